/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rollout's ways off the path, in virtual time: rollback by gates, by
 * lost backends, by other hands and by command; pause, promote by command,
 * restarts of agent and host. */
#include <stdio.h>

#include "test_core_world.h"

static struct world world_at_second_step(void)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 61);
	assert_int_equal(w.word_share, 2500);
	return w;
}

static void test_failing_gate_rolls_back_at_once_and_says_why(void **state)
{
	struct world w = world_at_second_step();
	char want[128];

	w.in.canary = (struct judge_counts){ .connects = 200, .connect_failures = 60 };
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_int_equal(w.rollbacks, 1);
	snprintf(want, sizeof(want), "gate connect_failure: 60 of 200 bad (30 %%, limit 2 %%), E %.3g >= 100",
		 exp(w.r.judge.log_e));
	assert_string_equal(w.r.reason, want);
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout retry NAME");
	assert_int_equal(w.r.share, 0);
	world_run(&w, 10);
	assert_int_equal(w.rollbacks, 1);
	assert_false(w.out.changed);
}

static void test_all_refused_is_found_within_few_connections(void **state)
{
	struct world w = world_make();

	w.failures = w.rate = 1;
	world_start(&w);
	world_run(&w, 5);
	assert_phase(&w, ROLLED_BACK);
	assert_true(w.in.canary.connect_failures <= 3);
}

static void test_every_phase_with_a_canary_rolls_back(void **state)
{
	for (int phase = ROLLOUT_PROGRESSING; phase <= ROLLOUT_WATCHING; phase++) {
		struct world w = world_make();

		w.policy.watch = phase == ROLLOUT_WATCHING ? 3600 * SECOND : 0;
		w.policy.n_steps = 1;
		w.policy.step[0].share = phase == ROLLOUT_WATCHING ? PERCH_SHARE_ALL : 500;
		w.rate = phase == ROLLOUT_HOLDING ? 0 : 10;
		world_start(&w);
		if (phase == ROLLOUT_HOLDING)
			world_run(&w, 1801);
		if (phase == ROLLOUT_PAUSED)
			assert_int_equal(rollout_pause(&w.r, &w.in), 0);
		world_run(&w, 1);
		assert_int_equal(w.r.phase, phase);
		w.in.canary = (struct judge_counts){ .connects = 200, .connect_failures = 60 };
		world_tick(&w);
		assert_phase(&w, ROLLED_BACK);
		assert_int_equal(w.rollbacks, 1);
	}
}

static void test_no_live_canary_backend_rolls_back(void **state)
{
	struct world w = world_at_second_step();

	w.in.canary_live = 1;
	world_run(&w, 1);
	assert_phase(&w, PROGRESSING);
	w.in.canary_live = 0;
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_string_equal(w.r.reason, "canary has no live backend");
}

static void test_without_stable_the_canary_stays_until_it_is_back(void **state)
{
	struct world w = world_at_second_step();
	int news = 0;

	w.in.stable_live = 0;
	w.in.canary = (struct judge_counts){ .connects = 200, .connect_failures = 60 };
	w.failures = 3;
	for (int i = 0; i < 100; i++) {
		world_run(&w, 0.1);
		news += w.out.changed;
	}
	assert_phase(&w, HOLDING);
	assert_int_equal(news, 1);
	assert_int_equal(w.rollbacks, 0);
	assert_non_null(strstr(w.r.reason, "gate connect_failure"));
	assert_string_equal(w.r.blocked_by, "stable has no live backend to go back to");
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout abort NAME");
	w.in.stable_live = 1;
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_int_equal(w.rollbacks, 1);
}

static void test_hold_without_stable_ends_when_the_canary_lives_again(void **state)
{
	struct world w = world_at_second_step();

	w.in.stable_live = w.in.canary_live = 0;
	world_run(&w, 1);
	assert_phase(&w, HOLDING);
	w.in.stable_live = w.in.canary_live = 2;
	world_run(&w, 1);
	assert_phase(&w, PROGRESSING);
	assert_string_equal(w.r.blocked_by, "");
}

static void test_pause_without_stable_stays_a_pause(void **state)
{
	struct world w = world_at_second_step();

	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	w.in.stable_live = w.in.canary_live = 0;
	world_run(&w, 1);
	assert_phase(&w, PAUSED);
	assert_string_equal(w.r.reason, "canary has no live backend");
	w.in.stable_live = w.in.canary_live = 2;
	world_run(&w, 1);
	assert_phase(&w, PAUSED);
	assert_string_equal(w.r.blocked_by, "paused");
}

static void test_both_equally_bad_is_held_not_rolled_back(void **state)
{
	struct world w = world_make();

	w.failures = w.rate / 10;
	w.in.stable = (struct judge_counts){ .connects = 200, .connect_failures = 20 };
	world_start(&w);
	world_run(&w, 3600);
	assert_phase(&w, HOLDING);
	assert_int_equal(w.in.canary.connect_failures, 3600);
	assert_string_equal(w.r.blocked_by, "over its limit: connect_failure");
	assert_int_equal(w.word_share, 500);
}

static void test_word_rolled_back_by_another_hand_is_taken_over(void **state)
{
	struct world w = world_at_second_step();

	w.in.epoch |= 1;
	w.in.rolled_back = true;
	w.in.rolled_back_why = "reflex: 10 failed connections in a row";
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_int_equal(w.out.action, ROLLOUT_NOTHING);
	assert_true(w.out.changed);
	assert_string_equal(w.r.reason, "reflex: 10 failed connections in a row");
	w = world_at_second_step();
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	world_tick(&w);
	assert_string_equal(w.r.reason, "rolled back outside of the rollout");
}

static void test_success_that_is_rolled_back_is_no_success(void **state)
{
	struct world w = world_at_second_step();

	world_run(&w, 200);
	assert_phase(&w, SUCCEEDED);
	w.in.canary_live = 0;
	world_run(&w, 1);
	assert_phase(&w, SUCCEEDED);
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_true(w.out.changed);
}

/* The word says rolled back until the retry's first step is there. */
static void test_retry_starts_from_a_word_that_is_rolled_back(void **state)
{
	struct world w = world_at_second_step();

	assert_int_equal(rollout_abort(&w.r, &w.in, NULL, &w.out), 0);
	world_obey(&w);
	assert_true(w.in.rolled_back);
	w.refuse = true;
	world_start(&w);
	world_run(&w, 1);
	assert_phase(&w, PROGRESSING);
	w.refuse = false;
	world_run(&w, 61);
	assert_int_equal(w.word_share, 2500);
	/* and the next one is seen */
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
}

static void test_abort_rolls_back_with_its_reason(void **state)
{
	struct world w = world_at_second_step();

	assert_int_equal(rollout_abort(&w.r, &w.in, "not today", &w.out), 0);
	assert_int_equal(w.out.action, ROLLOUT_ROLL_BACK);
	assert_true(w.out.changed);
	assert_phase(&w, ROLLED_BACK);
	assert_string_equal(w.r.reason, "not today");
	assert_int_equal(rollout_abort(&w.r, &w.in, "again", &w.out), -EINVAL);
	w = world_at_second_step();
	/* its own reason as the reason */
	assert_int_equal(rollout_abort(&w.r, &w.in, w.r.reason, &w.out), 0);
	assert_string_equal(w.r.reason, "step 2 of 4: 25.00 %");
	w = world_make();
	assert_int_equal(rollout_abort(&w.r, &w.in, "nothing runs", &w.out), -EINVAL);
}

static void test_pause_stops_the_clock_and_resume_goes_on(void **state)
{
	struct world w = world_at_second_step();

	world_run(&w, 20);
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	world_run(&w, 5000);
	assert_phase(&w, PAUSED);
	assert_int_equal(w.word_share, 2500);
	assert_string_equal(w.r.blocked_by, "paused");
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout resume NAME");
	assert_int_equal(rollout_advance(&w.r, &w.in), -EINVAL);
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	assert_int_equal(rollout_resume(&w.r, &w.in), -EINVAL);
	world_run(&w, 30);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 12);
	assert_int_equal(w.word_share, 5000);
}

static void test_pause_in_the_watch_comes_back_to_the_watch(void **state)
{
	struct world w = world_make();

	w.policy.watch = 100 * SECOND;
	world_start(&w);
	world_run(&w, 200);
	assert_phase(&w, WATCHING);
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	world_run(&w, 1000);
	assert_phase(&w, PAUSED);
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	world_run(&w, 79);
	assert_phase(&w, WATCHING);
	world_run(&w, 2);
	assert_phase(&w, SUCCEEDED);
}

static void test_resume_asks_again_for_a_share_that_was_changed(void **state)
{
	struct world w = world_at_second_step();

	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	w.in.epoch += 2;
	w.word_share = 100;
	world_run(&w, 10);
	assert_int_equal(w.word_share, 100);
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 2500);
	assert_phase(&w, PROGRESSING);
}

static void test_pause_before_the_first_step_is_there_keeps_it_back(void **state)
{
	struct world w = world_make();

	w.refuse = true;
	world_start(&w);
	world_run(&w, 1);
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	w.refuse = false;
	world_run(&w, 100);
	assert_int_equal(w.steps, 0);
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 500);
}

static void test_promote_skips_steps_but_no_gate(void **state)
{
	struct world w = world_at_second_step();

	assert_int_equal(rollout_promote(&w.r, &w.in, false, &w.out), 0);
	assert_int_equal(w.out.action, ROLLOUT_PROMOTE);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(rollout_promote(&w.r, &w.in, true, &w.out), -EINVAL);
	/* over the limit, proven or not */
	w = world_at_second_step();
	w.in.canary = (struct judge_counts){ .connects = 100, .connect_failures = 3 };
	world_tick(&w);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(rollout_promote(&w.r, &w.in, false, &w.out), -EPERM);
	w.in.stable_live = 0;
	w.in.canary.connect_failures = 60;
	world_tick(&w);
	assert_phase(&w, HOLDING);
	assert_int_equal(rollout_promote(&w.r, &w.in, false, &w.out), -EPERM);
	assert_int_equal(rollout_promote(&w.r, &w.in, true, &w.out), 0);
	assert_phase(&w, SUCCEEDED);
	assert_string_equal(w.r.reason, "promoted by force");
}

static void test_promote_is_refused_without_canary_or_after_a_rollback(void **state)
{
	struct world w = world_at_second_step();

	w.in.canary_live = 0;
	assert_int_equal(rollout_promote(&w.r, &w.in, false, &w.out), -EHOSTDOWN);
	w.in.canary_live = 2;
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	assert_int_equal(rollout_promote(&w.r, &w.in, true, &w.out), -EINVAL);
}

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

static void test_idle_machine_does_nothing(void **state)
{
	struct world w = world_make();

	w.in.rolled_back = true;
	world_run(&w, 10);
	assert_phase(&w, IDLE);
	assert_int_equal(w.out.action, ROLLOUT_NOTHING);
	assert_int_equal(rollout_pause(&w.r, &w.in), -EINVAL);
	assert_int_equal(rollout_resume(&w.r, &w.in), -EINVAL);
	assert_int_equal(rollout_advance(&w.r, &w.in), -EINVAL);
	assert_int_equal(rollout_promote(&w.r, &w.in, true, &w.out), -EINVAL);
	assert_string_equal(rollout_next(&w.r, &w.policy), "");
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

static void test_longest_names_are_cut_not_overrun(void **state)
{
	struct world w = world_at_second_step();

	memset(w.policy.gate[0].name, 'g', PERCH_NAME_LEN - 1);
	w.in.canary = (struct judge_counts){ .connects = 100, .connect_failures = 3 };
	world_tick(&w);
	assert_int_equal(strlen(w.r.blocked_by), sizeof(w.r.blocked_by) - 1);
	w.in.canary = (struct judge_counts){ .connects = 4000000000000000000, .connect_failures = 3999999999999999999 };
	world_tick(&w);
	assert_phase(&w, ROLLED_BACK);
	assert_int_equal(strlen(w.r.reason), sizeof(w.r.reason) - 1);
}

static void test_phases_have_their_names(void **state)
{
	static const char *const names[] = {
		"Idle", "Progressing", "Paused", "Holding", "Watching", "Succeeded", "RolledBack", "Unknown",
	};

	for (int i = 0; i < 8; i++)
		assert_string_equal(rollout_phase_name(i), names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failing_gate_rolls_back_at_once_and_says_why),
		cmocka_unit_test(test_all_refused_is_found_within_few_connections),
		cmocka_unit_test(test_every_phase_with_a_canary_rolls_back),
		cmocka_unit_test(test_no_live_canary_backend_rolls_back),
		cmocka_unit_test(test_without_stable_the_canary_stays_until_it_is_back),
		cmocka_unit_test(test_hold_without_stable_ends_when_the_canary_lives_again),
		cmocka_unit_test(test_pause_without_stable_stays_a_pause),
		cmocka_unit_test(test_both_equally_bad_is_held_not_rolled_back),
		cmocka_unit_test(test_word_rolled_back_by_another_hand_is_taken_over),
		cmocka_unit_test(test_success_that_is_rolled_back_is_no_success),
		cmocka_unit_test(test_retry_starts_from_a_word_that_is_rolled_back),
		cmocka_unit_test(test_abort_rolls_back_with_its_reason),
		cmocka_unit_test(test_pause_stops_the_clock_and_resume_goes_on),
		cmocka_unit_test(test_pause_in_the_watch_comes_back_to_the_watch),
		cmocka_unit_test(test_resume_asks_again_for_a_share_that_was_changed),
		cmocka_unit_test(test_pause_before_the_first_step_is_there_keeps_it_back),
		cmocka_unit_test(test_promote_skips_steps_but_no_gate),
		cmocka_unit_test(test_promote_is_refused_without_canary_or_after_a_rollback),
		cmocka_unit_test(test_promotion_that_was_undone_is_asked_again),
		cmocka_unit_test(test_restart_at_any_tick_goes_on_where_it_was),
		cmocka_unit_test(test_death_between_the_step_and_saving_repeats_the_same_share),
		cmocka_unit_test(test_clock_of_another_boot_does_no_harm),
		cmocka_unit_test(test_clock_that_leaps_ahead_still_wants_connections),
		cmocka_unit_test(test_idle_machine_does_nothing),
		cmocka_unit_test(test_damaged_bytes_are_no_state),
		cmocka_unit_test(test_longest_names_are_cut_not_overrun),
		cmocka_unit_test(test_phases_have_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
