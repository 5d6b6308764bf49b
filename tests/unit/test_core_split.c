/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Plans over the whole hash range, and the word through steps, rollbacks and
 * refusals, one hand at a time; test_core_split_race.c has two. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/core/split.h"

enum { STABLE = 3, CANARY = 5, BASELINE = 0 };

static struct split_want want_shares(__u32 canary, __u32 baseline)
{
	return (struct split_want){
		.rest = STABLE, .canary = CANARY, .baseline = BASELINE, .fallback = STABLE,
		.canary_share = canary, .baseline_share = baseline, .salt = 77,
		.role = { [STABLE] = PERCH_ROLE_STABLE, [CANARY] = PERCH_ROLE_CANARY, [BASELINE] = PERCH_ROLE_BASELINE },
		.fallback_role = { [STABLE] = PERCH_ROLE_STABLE },
	};
}

static void plans(__u32 canary, __u32 baseline, struct perch_plan *plan, struct perch_plan *twin)
{
	struct split_want want = want_shares(canary, baseline);

	assert_int_equal(split_plan(&want, plan, twin), 0);
}

static void test_every_slot_of_the_range_is_exact(void **state)
{
	static const __u32 share[][2] = {
		{ 0, 0 }, { 1, 0 }, { 0, 1 }, { 1, 1 }, { 500, 0 }, { 500, 500 }, { 1000, 2500 }, { 5000, 5000 },
		{ 9999, 1 }, { 9999, 0 }, { 10000, 0 }, { 0, 10000 },
	};

	for (size_t i = 0; i < sizeof(share) / sizeof(*share); i++) {
		__u32 count[PERCH_SLOTS] = { 0 };
		struct perch_plan plan, twin;

		plans(share[i][0], share[i][1], &plan, &twin);
		for (__u32 v = 0; v < PERCH_SHARE_ALL; v++) {
			count[split_slot(&plan, v)]++;
			assert_int_equal(split_slot(&twin, v), STABLE);
		}
		assert_int_equal(count[CANARY], share[i][0]);
		assert_int_equal(count[BASELINE], share[i][1]);
		assert_int_equal(count[STABLE], PERCH_SHARE_ALL - share[i][0] - share[i][1]);
		for (int slot = 0; slot < PERCH_SLOTS; slot++)
			assert_int_equal(split_share(&plan, slot), count[slot]);
		assert_int_equal(split_share(&twin, STABLE), PERCH_SHARE_ALL);
	}
}

static void test_growth_moves_only_what_it_grows_by_and_one_way(void **state)
{
	static const __u32 step[] = { 0, 1, 100, 500, 1000, 2500, 5000, 9500, 10000 };

	for (size_t i = 1; i < sizeof(step) / sizeof(*step); i++) {
		__u32 baseline = step[i] <= 9500 ? 500 : 0, moved = 0;
		struct perch_plan a, b, twin;

		plans(step[i - 1], baseline, &a, &twin);
		plans(step[i], baseline, &b, &twin);
		for (__u32 v = 0; v < PERCH_SHARE_ALL; v++) {
			if (split_slot(&a, v) == split_slot(&b, v))
				continue;
			assert_int_equal(split_slot(&a, v), STABLE);
			assert_int_equal(split_slot(&b, v), CANARY);
			moved++;
		}
		assert_int_equal(moved, step[i] - step[i - 1]);
	}
}

static void test_plan_keeps_salt_roles_and_absent_arms(void **state)
{
	struct split_want want = want_shares(0, 0);
	struct perch_plan plan, twin;

	want.baseline = -1;
	assert_int_equal(split_plan(&want, &plan, &twin), 0);
	assert_int_equal(plan.low, CANARY);
	assert_int_equal(plan.high, STABLE);
	assert_int_equal(plan.salt, 77);
	assert_int_equal(twin.salt, 77);
	assert_memory_equal(plan.role, want.role, sizeof(want.role));
	assert_memory_equal(twin.role, want.fallback_role, sizeof(want.fallback_role));
	/* after a promotion: all to the new one, back to the one before */
	want = (struct split_want){ .rest = CANARY, .canary = -1, .baseline = -1, .fallback = STABLE };
	assert_int_equal(split_plan(&want, &plan, &twin), 0);
	assert_int_equal(split_share(&plan, CANARY), PERCH_SHARE_ALL);
	assert_int_equal(split_share(&twin, STABLE), PERCH_SHARE_ALL);
}

static void refused(struct split_want want)
{
	struct perch_plan plan, twin, before;

	memset(&plan, 0x5a, sizeof(plan));
	before = plan;
	assert_int_equal(split_plan(&want, &plan, &twin), -EINVAL);
	assert_memory_equal(&plan, &before, sizeof(plan));
}

static void test_contradictions_are_refused(void **state)
{
	struct split_want want;

#define REFUSED(change)                                                        \
	do {                                                                   \
		want = want_shares(500, 500);                                  \
		change;                                                        \
		refused(want);                                                 \
	} while (0)
	REFUSED(want.rest = -1);
	REFUSED(want.rest = PERCH_SLOTS);
	REFUSED(want.fallback = -1);
	REFUSED(want.fallback = PERCH_SLOTS);
	REFUSED(want.fallback = CANARY);
	REFUSED(want.fallback = BASELINE);
	REFUSED(want.canary = -1);
	REFUSED(want.canary = -2);
	REFUSED(want.canary = PERCH_SLOTS);
	REFUSED(want.canary = STABLE);
	REFUSED(want.canary = BASELINE);
	REFUSED(want.baseline = -1);
	REFUSED(want.baseline = STABLE);
	REFUSED(want.canary_share = 9501);
	REFUSED(want.canary_share = PERCH_SHARE_ALL + 1);
	REFUSED(want.canary_share = 0xffffffff);
	REFUSED((want.canary_share = 0x80000000, want.baseline_share = 0x80000000));
#undef REFUSED
}

static void test_init_names_a_whole_pair(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin, read;
	__u64 word;

	plans(0, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1234);
	assert_int_equal(split_read(&s, &word, &read), 0);
	assert_int_equal(perch_word_plan(word) & 1, 0);
	assert_int_equal(perch_word_epoch(word), 2);
	assert_int_equal(perch_word_flags(word), PERCH_BY_AGENT);
	assert_int_equal(read.epoch, 2);
	assert_true(read.from == word);
	assert_true(s.named == (2ull << 32 | 1234));
	/* another service in the same element goes on counting */
	split_rollback(&s, PERCH_BY_DIRECT);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1300);
	assert_int_equal(perch_word_epoch(split_word(&s)), 4);
	assert_int_equal(perch_word_flags(split_word(&s)), PERCH_BY_AGENT);
	assert_int_equal(split_read(&s, &word, &read), 0);
	assert_true(read.from == word);
}

/* Four turns of the ring, every third step after a rollback. */
static void test_steps_and_rollbacks_go_round_the_ring(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin, read, before;
	__u64 word, from;

	plans(0, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	for (__u32 i = 1; i < 4 * PERCH_PAIRS; i++) {
		from = split_word(&s);
		before = s.plan[perch_word_plan(from)];
		plans(i, 0, &plan, &twin);
		assert_int_equal(split_step(&s, from, &plan, &twin, PERCH_BY_JUDGE, i + 1, &word), 0);
		assert_true(word == split_word(&s));
		assert_int_equal(perch_word_epoch(word), (perch_word_epoch(from) | 1) + 1);
		assert_int_equal(perch_word_plan(word), ((perch_word_plan(from) | 1) + 1) % (2 * PERCH_PAIRS));
		assert_int_equal(perch_word_flags(word), PERCH_BY_JUDGE);
		assert_true(s.named == ((__u64)perch_word_epoch(word) << 32 | (i + 1)));
		assert_int_equal(split_read(&s, &word, &read), 0);
		assert_int_equal(split_share(&read, CANARY), i);
		assert_true(read.from == from);
		/* the plan before is still there */
		assert_memory_equal(&before, &s.plan[perch_word_plan(from)], sizeof(before));
		if (i % 3)
			continue;
		assert_true(split_rollback(&s, PERCH_BY_REFLEX) == word);
		assert_true(split_word(&s) ==
			    (word | PERCH_WORD_TWIN | perch_word(0, 0, PERCH_BY_REFLEX | PERCH_ROLLED_BACK)));
		assert_int_equal(split_read(&s, &from, &read), 0);
		assert_int_equal(split_share(&read, STABLE), PERCH_SHARE_ALL);
		assert_true(read.from == word);
	}
}

static void test_rollback_is_idempotent_and_tells_who_was_first(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin;
	__u64 first, second;

	plans(500, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	first = split_rollback(&s, PERCH_BY_REFLEX);
	second = split_rollback(&s, PERCH_BY_DIRECT);
	assert_false(perch_word_flags(first) & PERCH_ROLLED_BACK);
	assert_true(perch_word_flags(second) & PERCH_ROLLED_BACK);
	assert_true(perch_word_flags(second) & PERCH_BY_REFLEX);
	assert_int_equal(perch_word_epoch(split_word(&s)), perch_word_epoch(second));
}

static void test_step_from_a_word_that_moved_is_refused_and_writes_nothing(void **state)
{
	static struct perch_split s, before;
	struct perch_plan plan, twin;
	__u64 judged, word;

	plans(500, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	judged = split_word(&s);
	split_rollback(&s, PERCH_BY_DIRECT);
	before = s;
	assert_int_equal(split_step(&s, judged, &plan, &twin, PERCH_BY_AGENT, 9, &word), -ESTALE);
	assert_true(word == before.word);
	assert_memory_equal(&s, &before, sizeof(s));
	/* the step that saw the rollback is taken */
	assert_int_equal(split_step(&s, word, &plan, &twin, PERCH_BY_AGENT, 9, &word), 0);
	assert_false(perch_word_flags(word) & PERCH_ROLLED_BACK);
	assert_int_equal(perch_word_epoch(s.plan[perch_word_plan(word)].from), perch_word_epoch(before.word));
}

/* Killed between plan and swap: nobody sees the plan, and a rollback wins. */
static void test_prepared_step_changes_nothing_until_it_is_swapped(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin, read;
	__u64 judged, word, found;

	plans(500, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	judged = split_word(&s);
	plans(2500, 0, &plan, &twin);
	assert_int_equal(split_prepare(&s, judged, &plan, &twin, PERCH_BY_AGENT, &word), 0);
	assert_true(split_word(&s) == judged);
	assert_int_equal(split_read(&s, &found, &read), 0);
	assert_int_equal(read.low_end, 500);
	/* the next agent prepares the same pair again */
	assert_int_equal(split_prepare(&s, judged, &plan, &twin, PERCH_BY_JUDGE, &word), 0);
	split_rollback(&s, PERCH_BY_DEADMAN);
	assert_int_equal(split_swap(&s, judged, word, &found), -ESTALE);
	assert_true(found == split_word(&s) && perch_word_flags(found) & PERCH_ROLLED_BACK);
	assert_int_equal(split_prepare(&s, found, &plan, &twin, PERCH_BY_JUDGE, &word), 0);
	assert_int_equal(split_swap(&s, found, word, &found), 0);
	assert_int_equal(split_read(&s, &found, &read), 0);
	assert_true(found == word);
	assert_int_equal(read.low_end, 2500);
}

static void test_flags_change_without_a_new_plan(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin;
	__u64 word, judged;

	plans(500, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	judged = split_word(&s);
	assert_int_equal(split_flags(&s, judged, PERCH_PAUSED | PERCH_ARMED, PERCH_BY_AGENT, &word), 0);
	assert_true(word == perch_word(perch_word_plan(judged), perch_word_epoch(judged), PERCH_PAUSED | PERCH_ARMED));
	assert_int_equal(split_flags(&s, judged, 0, PERCH_PAUSED, &judged), -ESTALE);
	assert_true(judged == word);
	assert_int_equal(split_flags(&s, judged, 0, PERCH_PAUSED, &word), 0);
	assert_int_equal(perch_word_flags(word), PERCH_ARMED);
}

static void test_named_moves_forward_only(void **state)
{
	static struct perch_split s;

	split_named(&s, perch_word(2, 10, 0), 100);
	split_named(&s, perch_word(2, 8, 0), 200);
	split_named(&s, perch_word(2, 10, PERCH_PAUSED), 300);
	assert_true(s.named == (10ull << 32 | 100));
	split_named(&s, perch_word(3, 11, 0), 400);
	assert_true(s.named == (11ull << 32 | 400));
}

static void test_read_gives_up_on_a_plan_that_never_fits(void **state)
{
	static struct perch_split s;
	struct perch_plan plan, twin, read;
	__u64 word;

	plans(500, 0, &plan, &twin);
	split_init(&s, &plan, &twin, PERCH_BY_AGENT, 1);
	s.plan[perch_word_plan(s.word)].epoch = 1;
	assert_int_equal(split_read(&s, &word, &read), -EAGAIN);
}

/* A page that can't be written stops the writer in the middle of a pair. */
static struct {
	struct perch_split *split;
	void *page;
	long page_size;
	__u32 pair;
	int stops;
	__u32 even_epoch, odd_epoch;
	__u64 word;
} stop;

static void on_stop(int signal)
{
	stop.stops++;
	stop.even_epoch = stop.split->plan[stop.pair].epoch;
	stop.odd_epoch = stop.split->plan[stop.pair + 1].epoch;
	stop.word = stop.split->word;
	mprotect(stop.page, stop.page_size, PROT_READ | PROT_WRITE);
}

/* Placed so that the page begins with the odd plan's second word. */
static char *stop_place(void)
{
	char *pages;

	stop.page_size = sysconf(_SC_PAGESIZE);
	pages = mmap(NULL, 2 * stop.page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	stop.page = pages + stop.page_size;
	stop.pair = 2;
	stop.split = (struct perch_split *)((char *)stop.page - offsetof(struct perch_split, plan[stop.pair + 1]) - 8);
	return pages;
}

static void test_pair_matches_no_word_while_it_is_written(void **state)
{
	struct sigaction action = { .sa_handler = on_stop }, old;
	struct perch_plan plan, twin, read;
	char *pages = stop_place();
	__u64 judged, word;

	plans(500, 0, &plan, &twin);
	split_init(stop.split, &plan, &twin, PERCH_BY_AGENT, 1);
	assert_int_equal(perch_word_plan(split_word(stop.split)), stop.pair);
	/* around the ring, until that pair, with its old epochs, is next */
	for (int i = 0; i < PERCH_PAIRS - 1; i++)
		assert_int_equal(split_step(stop.split, split_word(stop.split), &plan, &twin, 0, 1, &word), 0);
	judged = split_word(stop.split);
	assert_int_equal(stop.split->plan[stop.pair].epoch, 2);
	sigaction(SIGSEGV, &action, &old);
	mprotect(stop.page, stop.page_size, PROT_READ);
	assert_int_equal(split_step(stop.split, judged, &plan, &twin, 0, 1, &word), 0);
	sigaction(SIGSEGV, &old, NULL);
	assert_int_equal(stop.stops, 1);
	assert_int_equal(stop.even_epoch & 1, 1);
	assert_int_equal(stop.odd_epoch & 1, 0);
	assert_true(stop.word == judged);
	assert_int_equal(perch_word_plan(word), stop.pair);
	assert_int_equal(split_read(stop.split, &word, &read), 0);
	munmap(pages, 2 * stop.page_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_slot_of_the_range_is_exact),
		cmocka_unit_test(test_growth_moves_only_what_it_grows_by_and_one_way),
		cmocka_unit_test(test_plan_keeps_salt_roles_and_absent_arms),
		cmocka_unit_test(test_contradictions_are_refused),
		cmocka_unit_test(test_init_names_a_whole_pair),
		cmocka_unit_test(test_steps_and_rollbacks_go_round_the_ring),
		cmocka_unit_test(test_rollback_is_idempotent_and_tells_who_was_first),
		cmocka_unit_test(test_step_from_a_word_that_moved_is_refused_and_writes_nothing),
		cmocka_unit_test(test_prepared_step_changes_nothing_until_it_is_swapped),
		cmocka_unit_test(test_flags_change_without_a_new_plan),
		cmocka_unit_test(test_named_moves_forward_only),
		cmocka_unit_test(test_pair_matches_no_word_while_it_is_written),
		cmocka_unit_test(test_read_gives_up_on_a_plan_that_never_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
