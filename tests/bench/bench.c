/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The benchmarks' harness: runs, rounds, medians, tables. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench.h"
#include "tests/bench/wrap.skel.h"

int bench_open(struct bench *b, const struct lab_options *o, enum perch_forward forward)
{
	cpu_set_t cpus;
	int err;

	memset(b, 0, sizeof(*b));
	err = lab_open(&b->lab, o);
	if (err)
		return err;
	lab_web(&b->lab);
	lab_backends(&b->lab, 0, 2, 1);
	lab_forwards(&b->lab, forward);
	err = lab_apply(&b->lab);
	if (err)
		goto out;
	b->wrap = wrap_bpf__open();
	err = b->wrap ? wrap_bpf__load(b->wrap) : -errno;
	if (err)
		goto out;
	b->cpu = b->lab.cpus - 1;
	CPU_ZERO(&cpus);
	CPU_SET(b->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err = -errno;
out:
	if (err)
		bench_close(b);
	return err;
}

void bench_close(struct bench *b)
{
	wrap_bpf__destroy(b->wrap);
	lab_close(&b->lab);
}

int bench_program(const struct bench *b, const char *name)
{
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(b->lab.datapath.program[i].name, name))
			return b->lab.datapath.program[i].fd;
	return -ENOENT;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* The template, and the wrapper's orders for what comes after it. */
static void prepare(struct bench *b, struct bench_case *c, struct packet *p)
{
	struct wrap_config *w = &b->wrap->bss->config;

	packet_build(p, &c->packet);
	w->vary = c->clients > 1 ? c->vary : WRAP_SAME;
	w->v6 = lab_is_v6(&c->packet.from);
	w->mask = c->clients - 1;
	w->half = c->clients > 3 ? __builtin_ctz(c->clients) / 2 : 1;
	w->base = c->base;
	w->spread = c->spread;
	w->sequence = c->sequence;
	memset(w->verdicts, 0, sizeof(w->verdicts));
	memcpy(w->header, p->byte, sizeof(w->header));
}

static int set_target(struct bench *b, enum lab_hook hook, int program)
{
	struct bpf_map *targets = hook == LAB_XDP ? b->wrap->maps.target_xdp : b->wrap->maps.target_tc;
	__u32 zero = 0;

	return bpf_map_update_elem(bpf_map__fd(targets), &zero, &program, BPF_ANY) ? -errno : 0;
}

int bench_run(struct bench *b, struct bench_case *c, int program, __u32 repeat, int verdict, double *ret_ns)
{
	struct bpf_program *wrapper = c->hook == LAB_XDP ? b->wrap->progs.wrap_xdp : b->wrap->progs.wrap_tc;
	struct wrap_config *w = &b->wrap->bss->config;
	struct xdp_md xdp = { .ingress_ifindex = c->ifindex };
	struct __sk_buff skb = { .ifindex = c->ifindex, .ingress_ifindex = c->ifindex };
	static struct packet p;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = p.byte, .repeat = repeat);
	double begin;
	int err = set_target(b, c->hook, program);

	if (err)
		return err;
	prepare(b, c, &p);
	xdp.data_end = run.data_size_in = p.length;
	run.ctx_in = c->hook == LAB_XDP ? (void *)&xdp : (void *)&skb;
	run.ctx_size_in = c->hook == LAB_XDP ? sizeof(xdp) : sizeof(skb);
	begin = cpu_ns();
	err = bpf_prog_test_run_opts(bpf_program__fd(wrapper), &run);
	*ret_ns = (cpu_ns() - begin) / repeat;
	c->sequence = w->sequence;
	if (err)
		return err;
	if (repeat - w->verdicts[verdict & (WRAP_VERDICTS - 1)] <= repeat / BENCH_STRAY)
		return 0;
	fprintf(stderr, "bench: %s: not every verdict was %d:", c->name, verdict);
	for (int i = 0; i < WRAP_VERDICTS; i++)
		fprintf(stderr, " %llu", w->verdicts[i]);
	fputc('\n', stderr);
	return -EILSEQ;
}

/* One round of one case: the empty program with the same packets, then it. */
static int measure_round(struct bench *b, struct bench_case *c, unsigned round)
{
	struct bpf_program *empty = c->hook == LAB_XDP ? b->wrap->progs.empty_xdp : b->wrap->progs.empty_tc;
	__u32 repeat = c->repeat ? c->repeat : BENCH_REPEAT, sequence = c->sequence;
	double base, whole;
	int err = bench_run(b, c, bpf_program__fd(empty), repeat, c->hook == LAB_XDP ? XDP_PASS : TC_ACT_OK, &base);

	c->sequence = sequence;
	if (!err)
		err = bench_run(b, c, c->program, repeat, c->verdict, &whole);
	if (err) {
		fprintf(stderr, "bench: %s: %s\n", c->name, strerror(-err));
		return err;
	}
	c->ns[round] = whole - base;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n & 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

int bench_round(struct bench *b, struct bench_case *cases, size_t n, unsigned round)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = measure_round(b, &cases[i], round);
	return err;
}

void bench_medians(struct bench_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cases[i].median = bench_median(cases[i].ns, BENCH_ROUNDS);
}

int bench_measure(struct bench *b, struct bench_case *cases, size_t n)
{
	int err = 0;

	for (unsigned round = 0; round < BENCH_ROUNDS && !err; round++)
		err = bench_round(b, cases, n, round);
	if (!err)
		bench_medians(cases, n);
	return err;
}

void bench_print(const struct bench_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct bench_case *c = &cases[i];

		printf("%-44s %8.1f  %6.1f .. %-6.1f", c->name, c->median, c->ns[0], c->ns[BENCH_ROUNDS - 1]);
		if (c->bar)
			printf("  %7.1f  %s", c->bar, c->median <= c->bar ? "reached" : "MISSED");
		putchar('\n');
	}
}

void bench_print_json(const struct bench_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct bench_case *c = &cases[i];

		printf("%s{\"name\":\"%s\",\"ns\":%.2f,\"low\":%.2f,\"high\":%.2f", i ? "," : "", c->name, c->median,
		       c->ns[0], c->ns[BENCH_ROUNDS - 1]);
		if (c->bar)
			printf(",\"bar\":%.2f,\"reached\":%s", c->bar, c->median <= c->bar ? "true" : "false");
		putchar('}');
	}
}
