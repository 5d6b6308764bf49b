/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The split word under two threads over plain memory: one steps (and now and
 * then rolls back), one chooses by the word (and now and then rolls back, as
 * the reflex would).  Three things must not happen: a plan that is half of
 * two, a canary chosen after a rollback that was done before the choice
 * began, and a step that brings a canary back without having seen it.
 * alone
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../user/core/split.h"

#define SECONDS 2

enum { STABLE, CANARY };

struct race {
	struct perch_split split;
	__u32 rolled_back;	/* epoch of the newest rollback that is done */
	bool stop;
	__u64 steps, refused, saw_rollback, rollbacks[2];
	__u64 choices, canaries, retries;
	__u64 torn, wrong, after_rollback, blind;
};

static __u32 random_next(__u32 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Every word of the body carries the nonce or follows from it. */
static void plan_make(__u32 nonce, struct perch_plan *plan, struct perch_plan *twin)
{
	struct split_want want = {
		.rest = STABLE, .canary = CANARY, .baseline = -1, .fallback = STABLE,
		.canary_share = nonce % PERCH_SHARE_ALL + 1, .salt = nonce,
		.role = { nonce }, .fallback_role = { nonce },
	};

	split_plan(&want, plan, twin);
	for (int i = 0; i < 3; i++)
		plan->more[i] = twin->more[i] = nonce;
}

static bool plan_is_whole(const struct perch_plan *plan, __u64 word)
{
	__u32 nonce = plan->salt, share = perch_word_epoch(word) & 1 ? 0 : nonce % PERCH_SHARE_ALL + 1;

	return plan->role[0] == (__u8)nonce && plan->low_end == share && plan->more[0] == nonce &&
	       plan->more[1] == nonce && plan->more[2] == nonce;
}

/* Note a rollback as done: from here on no choice may say canary. */
static void roll_back(struct race *r, int who)
{
	__u32 epoch = perch_word_epoch(split_rollback(&r->split, who ? PERCH_BY_REFLEX : PERCH_BY_AGENT)) | 1;
	__u32 old = __atomic_load_n(&r->rolled_back, __ATOMIC_SEQ_CST);

	while (old < epoch && !__atomic_compare_exchange_n(&r->rolled_back, &old, epoch, false, __ATOMIC_SEQ_CST,
							   __ATOMIC_SEQ_CST))
		;
	r->rollbacks[who]++;
}

static void *planner(void *arg)
{
	struct race *r = arg;
	__u32 x = 12345, nonce = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct perch_plan plan, twin;
		__u64 judged = split_word(&r->split), word;

		if (random_next(&x) % 16 == 0) {
			roll_back(r, 0);
			continue;
		}
		plan_make(++nonce, &plan, &twin);
		if (split_step(&r->split, judged, &plan, &twin, PERCH_BY_AGENT, 0, &word)) {
			r->refused++;
		} else {
			r->steps++;
			r->saw_rollback += perch_word_epoch(judged) & 1;
		}
		for (volatile __u32 spin = x >> 26; spin; spin--)
			;
	}
	return NULL;
}

static void choose(struct race *r)
{
	__u32 done = __atomic_load_n(&r->rolled_back, __ATOMIC_SEQ_CST);
	struct perch_plan plan;
	__u64 word;

	if (split_read(&r->split, &word, &plan)) {
		r->retries++;
		return;
	}
	r->choices++;
	r->torn += !plan_is_whole(&plan, word);
	r->wrong += plan.epoch != perch_word_epoch(word);
	if (split_slot(&plan, 0) != CANARY)
		return;
	r->canaries++;
	r->after_rollback += perch_word_epoch(word) <= done;
	r->blind += perch_word_epoch(word) == done + 1 && perch_word_epoch(plan.from) != done;
}

static void *chooser(void *arg)
{
	struct race *r = arg;
	struct timespec now, end;
	__u32 x = 999;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += SECONDS;
	do {
		for (int i = 0; i < 1000; i++) {
			choose(r);
			if (random_next(&x) % 64 == 0)
				roll_back(r, 1);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	return NULL;
}

/* The n-th CPU this process may use, so that the two really run at once. */
static void run_on(pthread_t thread, int n)
{
	cpu_set_t may, one;

	if (sched_getaffinity(0, sizeof(may), &may))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(thread, sizeof(one), &one);
		return;
	}
}

static void test_racing_steps_and_rollbacks_tear_nothing_and_revive_nothing(void **state)
{
	static struct race r;
	struct perch_plan plan, twin;
	pthread_t thread[2];

	plan_make(0, &plan, &twin);
	split_init(&r.split, &plan, &twin, PERCH_BY_AGENT, 0);
	assert_int_equal(pthread_create(&thread[0], NULL, planner, &r), 0);
	run_on(thread[0], 0);
	assert_int_equal(pthread_create(&thread[1], NULL, chooser, &r), 0);
	run_on(thread[1], 1);
	pthread_join(thread[1], NULL);
	pthread_join(thread[0], NULL);

	print_message("choices %llu (canary %llu, given up %llu), steps %llu (%llu saw a rollback), refused %llu, "
		      "rollbacks %llu and %llu\n", r.choices, r.canaries, r.retries, r.steps, r.saw_rollback, r.refused,
		      r.rollbacks[0], r.rollbacks[1]);
	assert_int_equal(r.torn, 0);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(r.after_rollback, 0);
	assert_int_equal(r.blind, 0);
	/* the race was one */
	assert_true(r.choices > 100000 && r.canaries > 1000 && r.steps > 10000 && r.saw_rollback > 100);
	assert_true(r.rollbacks[0] > 100 && r.rollbacks[1] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_racing_steps_and_rollbacks_tear_nothing_and_revive_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
