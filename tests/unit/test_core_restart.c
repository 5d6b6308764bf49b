/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A rollout whose agent or host restarts, in virtual time: it goes on from the
 * bytes saved last, repeats no step it had passed, and a clock that leaps does
 * no harm. */
#include "test_core_world.h"

static void test_promotion_that_was_undone_is_asked_again(void **state)
{
	struct world w = world_at_second_step();
	struct rollout before;

	world_run(&w, 178);
	for (int i = 0; i < 20; i++) {
		before = w.r;
		w.in.now += TICK;
		rollout_tick(&w.r, &w.policy, &w.in, &w.out);
		if (w.out.action == ROLLOUT_PROMOTE)
			break;
	}
	assert_int_equal(w.out.action, ROLLOUT_PROMOTE);
	w.r = before;
	w.in.now += TICK;
	world_tick(&w);
	assert_phase(&w, SUCCEEDED);
}

/* The agent dies at any tick and goes on with the bytes it had saved last. */
static void test_restart_at_any_tick_goes_on_where_it_was(void **state)
{
	struct world w = world_make();
	struct rollout saved;

	w.policy.watch = 100 * SECOND;
	world_start(&w);
	saved = w.r;
	for (int i = 0; i < 3000 && w.r.phase != ROLLOUT_SUCCEEDED; i++) {
		world_run(&w, 0.1);
		if (w.out.changed)
			saved = w.r;
		if (i % 7)
			continue;
		w.r = saved;
		assert_true(rollout_valid(&w.r));
	}
	assert_phase(&w, SUCCEEDED);
	/* no step was repeated: one each, the last in the watch */
	assert_int_equal(w.steps, 4);
	assert_int_equal(w.promotions, 1);
}

static void test_death_between_the_step_and_saving_repeats_the_same_share(void **state)
{
	struct world w = world_make();
	struct rollout asked;

	world_start(&w);
	asked = w.r;
	asked.pending = 1;
	asked.epoch = 6;
	w.r = asked;
	world_tick(&w);
	assert_int_equal(w.out.action, ROLLOUT_SET_SHARE);
	assert_int_equal(w.word_share, 500);
	/* rolled back while it was dead: no share at all */
	w.r = asked;
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_int_equal(w.out.action, ROLLOUT_NOTHING);
}

static void test_clock_of_another_boot_does_no_harm(void **state)
{
	struct world w = world_at_second_step();

	w.in.now = 5 * SECOND;
	world_run(&w, 59);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 2);
	assert_int_equal(w.word_share, 5000);
	/* and in a pause, whose end adds to times */
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	world_run(&w, 1000);
	w.in.now = 7 * SECOND;
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	assert_true(w.r.step_since <= w.in.now && w.r.phase_since <= w.in.now && w.r.started <= w.in.now);
	world_run(&w, 61);
	assert_int_equal(w.word_share, 10000);
}

static void test_clock_that_leaps_ahead_still_wants_connections(void **state)
{
	struct world w = world_make();

	w.rate = 0;
	world_start(&w);
	w.in.now += 1000 * SECOND;
	world_tick(&w);
	assert_int_equal(w.word_share, 500);
	w.in.now = ~0ull;
	world_tick(&w);
	assert_phase(&w, HOLDING);
}

static void test_damaged_bytes_are_no_state(void **state)
{
	struct world w = world_at_second_step();
	struct rollout good = w.r, bad;

	assert_true(rollout_valid(&good));
#define BAD(change)                                                            \
	do {                                                                   \
		bad = good;                                                    \
		change;                                                        \
		assert_false(rollout_valid(&bad));                             \
	} while (0)
	BAD(bad.phase = 7);
	BAD(bad.step = MODEL_STEPS);
	BAD(bad.share = PERCH_SHARE_ALL + 1);
	BAD(bad.canary[0] = 0);
	BAD(memset(bad.canary, 'x', sizeof(bad.canary)));
	BAD(memset(bad.reason, 'x', sizeof(bad.reason)));
	BAD(memset(bad.blocked_by, 'x', sizeof(bad.blocked_by)));
	BAD(bad.judge.n = MODEL_GATES + 1);
	BAD(bad.judge.fails = bad.judge.n + 1);
#undef BAD
	memset(&bad, 0, sizeof(bad));
	assert_true(rollout_valid(&bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promotion_that_was_undone_is_asked_again),
		cmocka_unit_test(test_restart_at_any_tick_goes_on_where_it_was),
		cmocka_unit_test(test_death_between_the_step_and_saving_repeats_the_same_share),
		cmocka_unit_test(test_clock_of_another_boot_does_no_harm),
		cmocka_unit_test(test_clock_that_leaps_ahead_still_wants_connections),
		cmocka_unit_test(test_damaged_bytes_are_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
