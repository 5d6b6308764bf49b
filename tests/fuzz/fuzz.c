/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz [-s SEED] [-n INPUTS] [-k KEEP]: runs rounds of ROUND inputs with the
 * seeds SEED, SEED + 1, ... and says in TAP whether kernel and model agreed.
 * Where they do not, it says how, shrinks the round, and prints the command
 * that plays what is left of it; KEEP is its list of inputs, as "3,17,20-24".
 * -b: look for a difference alone (bugs that were planted): exit 0 when there
 * is one.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define ROUND 20000
#define ENOUGH 200000		/* inputs from which every reason is to be hit */

static struct fuzz fuzz;
static unsigned tests, failed;

static void say(bool ok, const char *what)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, what);
	failed += !ok;
	fflush(stdout);
}

static const struct {
	const char *word;
	const char *why;	/* it can't be reached here; NULL: it can */
} reasons[] = {
#define X(name, verdict, word, text) { word, NULL },
	PERCH_REASONS(X)
#undef X
};

/* Two CPUs at once: test_race_flows has those. */
static const char *excuse(unsigned reason)
{
	switch (reason) {
	case PERCH_R_FOREIGN:
	case PERCH_R_RACE:
		return "needs two CPUs in one flow";
	default:
		return NULL;
	}
}

static bool reasons_hit(const struct tally *t)
{
	bool all = true;

	for (unsigned r = 0; r < PERCH_REASON_COUNT; r++) {
		__u64 n = t->reason[0][r] + t->reason[1][r] + t->reason[2][r];

		printf("# %-16s %10llu xdp %10llu tc_in %10llu tc_out%s%s\n", reasons[r].word,
		       (unsigned long long)t->reason[0][r], (unsigned long long)t->reason[1][r],
		       (unsigned long long)t->reason[2][r], n || !excuse(r) ? "" : ": ", n || !excuse(r) ? "" : excuse(r));
		all &= n || excuse(r);
	}
	return all;
}

/* One CPU, so that its counters move alone. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool run_rounds(__u64 seed, __u64 n, bool bug)
{
	for (__u64 done = 0; done < n; seed++) {
		__u32 size = n - done < ROUND ? n - done : ROUND;

		if (!round_run(&fuzz, seed, size)) {
			if (bug)
				printf("# found at input %llu\n", (unsigned long long)done + fuzz.steps + 1);
			else
				printf("# differs: fuzz -s %llu -n %u\n", (unsigned long long)seed, fuzz.steps + 1);
			if (!bug)
				round_shrink(&fuzz, seed, fuzz.steps + 1);
			return false;
		}
		done += size;
		fuzz.model.outcome.sets = 0;
	}
	return true;
}

static void report(__u64 n, bool same, time_t began)
{
	const struct tally *t = &fuzz.tally;
	char text[128];

	printf("# %llu inputs (%llu packets, %llu changes) in %lld s, %.1f %% of the packets rewritten, %llu unsure\n",
	       (unsigned long long)t->inputs, (unsigned long long)t->packets, (unsigned long long)t->ops,
	       (long long)(time(NULL) - began), t->packets ? 100.0 * t->rewritten / t->packets : 0,
	       (unsigned long long)t->unsure);
	snprintf(text, sizeof(text), "kernel and model agree on %llu inputs", (unsigned long long)n);
	say(same, text);
	say(t->rewritten * 10 >= t->packets * 3, "30 of 100 packets reach a rewrite");
	say(t->unsure * 1000 <= t->packets, "of 1,000 packets at most one met a deadline as it passed");
	if (n >= ENOUGH)
		say(reasons_hit(t), "every reason is hit");
}

int main(int argc, char **argv)
{
	__u64 seed = 1, n = 200000;
	const char *keep = NULL;
	time_t began = time(NULL);
	bool bug = false, same;
	int option;

	while ((option = getopt(argc, argv, "s:n:k:b")) != -1)
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			n = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			keep = optarg;
			break;
		case 'b':
			bug = true;
			break;
		default:
			return 2;
		}
	stay_here();
	if (lab_enter() || real_open(&fuzz.real) || model_open(&fuzz.model, &fuzz.real.lab.datapath.maps))
		return 2;
	twins_find(&fuzz.model);
	fuzz.report = bug ? NULL : stderr;
	printf("# seed %llu\n", (unsigned long long)seed);
	same = keep ? round_keep(&fuzz, seed, n, keep) : run_rounds(seed, n, bug);
	if (!bug && !keep) {
		report(n, same, began);
		printf("1..%u\n", tests);
	}
	model_close(&fuzz.model);
	real_close(&fuzz.real);
	return bug ? same : keep ? !same : failed != 0;
}
