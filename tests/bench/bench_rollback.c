/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench_rollback PERCH SOCKET BPFFS SERVICE ROUNDS [-j]: how long it takes
 * from the start of the process `perch rollback SERVICE` until the split word
 * is turned, and until the last new connection to the canary.  perchd runs,
 * and so does the load; bench_rollback.sh makes both.
 *
 * Nothing is polled meanwhile: the write is dated by the drain that whoever
 * wrote it begins with the clock read next, connections by their flows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../user/datapath/clock.h"
#include "../../user/datapath/flows.h"
#include "../../user/datapath/registry.h"
#include "bench.h"

#define ROUNDS 1000
#define BAR_NS 1e6		/* of the last connection, at the median */
#define LOAD_NS 30000000	/* the canary is back for so long before a rollback */

struct latency {
	const char *name;
	double word[ROUNDS], last[ROUNDS], whole[ROUNDS];
	size_t n, unseen;	/* rounds in which the canary had no connection */
};

static const char *perch, *service;
static struct maps maps;

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* perch ARGUMENTS to its end; what it says goes nowhere. */
static int run(const char *const *arguments, __u64 *ret_began)
{
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int err, status;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	*ret_began = clock_ns();
	err = posix_spawn(&pid, perch, &quiet, NULL, (char *const *)arguments, environ);
	posix_spawn_file_actions_destroy(&quiet);
	if (err)
		return -err;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return status ? -ECANCELED : 0;
}

/* Connections to the canary's version since a time: how many, and the last. */
struct seen {
	__u32 version;
	__u64 since, last;
	size_t n;
};

static bool see(void *arg, const struct flow_copy *f)
{
	struct seen *s = arg;

	if (f->flow.created < s->since || maps.backends[f->flow.backend].version != s->version)
		return true;
	s->n++;
	if (f->flow.created > s->last)
		s->last = f->flow.created;
	return true;
}

static int round_run(struct latency *l, unsigned version, bool direct)
{
	const char *const retry[] = { "perch", "rollout", "retry", service, NULL };
	const char *const back[] = { "perch", "rollback", service, direct ? "--direct" : NULL, NULL };
	const struct timespec load = { 0, LOAD_NS };
	struct seen seen = { .version = version };
	__u64 began, drained;
	int err;

	err = run(retry, &seen.since);
	if (err)
		return err;
	nanosleep(&load, NULL);
	drained = __atomic_load_n(&maps.versions[version].drain_before, __ATOMIC_ACQUIRE);
	err = run(back, &began);
	if (err)
		return err;
	l->whole[l->n] = clock_ns() - began;
	if (maps.versions[version].drain_before == drained)
		return -EILSEQ;	/* it was not this that turned the word */
	l->word[l->n] = (double)(maps.versions[version].drain_before - REGISTRY_IN_FLIGHT_NS - began);
	flows_walk(&maps, see, &seen);
	l->unseen += !seen.n;
	l->last[l->n++] = seen.last > began ? seen.last - began : 0;
	return 0;
}

static void tell(struct latency *l, bool json, bool first)
{
	static const double at[] = { .5, .9, .99 };
	const char *const names[] = { "split word turned", "last new canary connection", "process over" };
	double *const all[] = { l->word, l->last, l->whole };
	bool reached;

	for (int i = 0; i < 3; i++)
		qsort(all[i], l->n, sizeof(double), by_value);
	reached = l->last[(l->n - 1) / 2] <= BAR_NS;
	if (json)
		printf("%s{\"name\":\"%s\",\"rounds\":%zu,\"unseen\":%zu", first ? "[" : ",", l->name, l->n, l->unseen);
	else
		printf("%s, %zu times (%zu without a canary connection), us from its start to\n  %-28s %8s %8s %8s\n", l->name,
		       l->n, l->unseen, "", "p50", "p90", "p99");
	for (int i = 0; i < 3; i++) {
		if (json)
			printf(",\"%s\":[%.0f,%.0f,%.0f]", (const char *[]){ "word", "last", "whole" }[i],
			       all[i][(size_t)(at[0] * (l->n - 1))], all[i][(size_t)(at[1] * (l->n - 1))],
			       all[i][(size_t)(at[2] * (l->n - 1))]);
		else
			printf("  %-28s %8.0f %8.0f %8.0f\n", names[i], all[i][(size_t)(at[0] * (l->n - 1))] / 1e3,
			       all[i][(size_t)(at[1] * (l->n - 1))] / 1e3, all[i][(size_t)(at[2] * (l->n - 1))] / 1e3);
	}
	if (json)
		printf(",\"reached\":%s}", reached ? "true" : "false");
	else
		printf("  the last connection within 1 ms at the median: %s\n", reached ? "reached" : "MISSED");
}

int main(int argc, char **argv)
{
	static struct latency by_agent = { .name = "perch rollback" }, direct = { .name = "perch rollback --direct" };
	bool json = argc == 7 && !strcmp(argv[6], "-j");
	int rounds = argc >= 6 ? atoi(argv[5]) : 0, id, err = 0;
	char why[WHY] = "";

	if (rounds < 1 || rounds > ROUNDS || (argc != 6 && !json)) {
		fprintf(stderr, "usage: bench_rollback PERCH SOCKET BPFFS SERVICE ROUNDS [-j]; run bench_rollback.sh\n");
		return 2;
	}
	perch = argv[1];
	service = argv[4];
	setenv("PERCH_SOCKET", argv[2], 1);
	setenv("PERCH_BPFFS", argv[3], 1);
	if (maps_open(&maps, argv[3], why)) {
		fprintf(stderr, "bench_rollback: %s\n", why);
		return 1;
	}
	id = registry_find(&maps, service);
	/* the canary is the second version of the lab's configuration */
	for (int i = 0; i < rounds && !err; i++)
		err = id < 0 ? id : round_run(&by_agent, id * PERCH_SLOTS + 1, false);
	for (int i = 0; i < rounds && !err; i++)
		err = round_run(&direct, id * PERCH_SLOTS + 1, true);
	if (err) {
		fprintf(stderr, "bench_rollback: round %zu: %s\n", by_agent.n + direct.n + 1, strerror(-err));
		return 1;
	}
	tell(&by_agent, json, true);
	tell(&direct, json, false);
	if (json)
		puts("]");
	maps_close(&maps);
	return 0;
}
