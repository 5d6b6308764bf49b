/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The benchmarks' harness: programs run many times over through the wrapper,
 * on one CPU, in interleaved rounds; what is told is the median over the
 * rounds of (program - empty program), in ns of CPU time.
 */
#ifndef PERCH_BENCH_H
#define PERCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "../prog/lab.h"
#include "wrap.h"

#define BENCH_ROUNDS 9
#define BENCH_MAX 64

struct wrap_bpf;

struct bench {
	struct wrap_bpf *wrap;
	struct lab lab;
	int cpu;
};

/* One thing to measure: a program, and the packets it gets. */
struct bench_case {
	const char *name;
	enum lab_hook hook;
	int program;		/* its descriptor */
	__u32 ifindex;		/* where the packets come in */
	struct packet_spec packet;	/* of client `base` */
	enum wrap_vary vary;
	__u32 clients;		/* a power of two; 1: the same each time */
	__u32 base;
	__u32 spread;		/* over how many destinations, see wrap.h */
	__u32 repeat;		/* 0: BENCH_REPEAT */
	int verdict;		/* what the program returns */
	double bar;		/* ns, 0: none */

	__u32 sequence;		/* goes on from round to round */
	double ns[BENCH_ROUNDS];	/* of the program alone */
	double median;
};

#define BENCH_REPEAT (1u << 18)
/* One packet in so many may go another way: its flow found no room, or its
 * checksum looks as if it were yet to be filled in. */
#define BENCH_STRAY 10000

int bench_open(struct bench *b, const struct lab_options *o, enum perch_forward forward);
void bench_close(struct bench *b);
int bench_program(const struct bench *b, const char *name);	/* of the datapath */

/* Run a case's program `repeat` times.  0 and the CPU time of one run in ns;
 * -EILSEQ when more verdicts than BENCH_STRAY allows were another. */
int bench_run(struct bench *b, struct bench_case *c, int program, __u32 repeat, int verdict, double *ret_ns);
/* All cases, round by round; fills ns and median. */
int bench_measure(struct bench *b, struct bench_case *cases, size_t n);
/* Its parts, for cases of two datapaths that take turns: round 0 to
 * BENCH_ROUNDS - 1 of each, then the medians. */
int bench_round(struct bench *b, struct bench_case *cases, size_t n, unsigned round);
void bench_medians(struct bench_case *cases, size_t n);

void bench_print(const struct bench_case *cases, size_t n);
void bench_print_json(const struct bench_case *cases, size_t n);
double bench_median(double *values, size_t n);	/* sorts them */

#endif
