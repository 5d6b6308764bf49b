/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench_word [-j]: how long it takes to move the split word in the mapped
 * table, by one step (a new plan with its twin, and the swap), by one
 * rollback (the OR), and by the whole of a rollback as agent and command line
 * do it (the OR, the drain, the rejection).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../user/datapath/registry.h"
#include "bench.h"

#define MOVES 100000
#define WHOLE_ROLLBACKS 2000

struct latency {
	const char *name;
	double ns[MOVES];
	size_t n;
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(const struct latency *l, double q)
{
	return l->ns[(size_t)(q * (l->n - 1))];
}

/* What two readings of the clock take by themselves. */
static void measure_clock(struct latency *l)
{
	l->name = "clock alone";
	for (l->n = 0; l->n < MOVES; l->n++) {
		double begin = now_ns();

		l->ns[l->n] = now_ns() - begin;
	}
}

/* Steps and rollbacks in turn, so that each step comes after a rollback. */
static int measure_moves(struct lab *lab, struct latency *steps, struct latency *rollbacks)
{
	struct perch_split *split = lab_split(lab, false);
	struct perch_plan plan, twin;
	__u64 word;

	lab->web[0].share = 500;
	lab_plan(&lab->web[0], &plan, &twin);
	steps->name = "step";
	rollbacks->name = "rollback";
	for (steps->n = rollbacks->n = 0; steps->n < MOVES; steps->n++, rollbacks->n++) {
		double begin = now_ns(), middle, end;
		int err = split_step(split, split_word(split), &plan, &twin, PERCH_BY_AGENT, 1, &word);

		middle = now_ns();
		split_rollback(split, PERCH_BY_AGENT);
		end = now_ns();
		if (err || perch_word_epoch(split_word(split)) != (perch_word_epoch(word) | 1))
			return err ?: -EILSEQ;
		steps->ns[steps->n] = middle - begin;
		rollbacks->ns[rollbacks->n] = end - middle;
	}
	return 0;
}

static int measure_whole(struct lab *lab, struct latency *whole)
{
	const struct maps *m = &lab->datapath.maps;

	registry_name_service(m, 0, "web4");
	registry_name_version(m, 0, 0, "v1", PERCH_ROLE_STABLE, 1);
	registry_name_version(m, 0, 1, "v2", PERCH_ROLE_CANARY, 1);
	whole->name = "whole rollback";
	for (whole->n = 0; whole->n < WHOLE_ROLLBACKS; whole->n++) {
		__u64 before, or_ns;
		double begin;
		int err = lab_step(lab, 500);

		begin = now_ns();
		if (!err)
			err = registry_rollback(m, 0, -1, PERCH_BY_DIRECT, "bench", &before, &or_ns);
		whole->ns[whole->n] = now_ns() - begin;
		if (err)
			return err;
	}
	return 0;
}

static void print(const struct latency *l, size_t n)
{
	printf("%-16s %10s %10s %10s %10s\n", "ns", "p50", "p99", "p99.9", "moves");
	for (size_t i = 0; i < n; i++)
		printf("%-16s %10.0f %10.0f %10.0f %10zu\n", l[i].name, quantile(&l[i], .5), quantile(&l[i], .99),
		       quantile(&l[i], .999), l[i].n);
}

static void print_json(const struct latency *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%s{\"name\":\"%s\",\"p50\":%.0f,\"p99\":%.0f,\"p999\":%.0f,\"moves\":%zu}", i ? "," : "[",
		       l[i].name, quantile(&l[i], .5), quantile(&l[i], .99), quantile(&l[i], .999), l[i].n);
	puts("]");
}

int main(int argc, char **argv)
{
	static struct latency l[4];
	static struct lab lab;
	bool json = argc == 2 && !strcmp(argv[1], "-j");
	int err;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: bench_word [-j]\n");
		return 2;
	}
	if (lab_enter() || lab_open(&lab, NULL))
		return 1;
	lab_web(&lab);
	measure_clock(&l[0]);
	err = lab_apply(&lab) ?: measure_moves(&lab, &l[1], &l[2]) ?: measure_whole(&lab, &l[3]);
	if (err)
		fprintf(stderr, "bench_word: %s\n", strerror(-err));
	lab_close(&lab);
	if (err)
		return 1;
	for (size_t i = 0; i < 4; i++)
		qsort(l[i].ns, l[i].n, sizeof(l[i].ns[0]), by_value);
	(json ? print_json : print)(l, 4);
	return 0;
}
