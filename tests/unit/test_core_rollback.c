/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rollout's ways off the path, in virtual time: rollback by gates, by
 * lost backends, by other hands and by command; pause and promote by command.
 * Restarts are in test_core_restart.c. */
#include <stdio.h>

#include "test_core_world.h"

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

	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), 0);
	assert_int_equal(w.out.action, ROLLOUT_PROMOTE);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), -EINVAL);
	/* over the limit, proven or not */
	w = world_at_second_step();
	w.in.canary = (struct judge_counts){ .connects = 100, .connect_failures = 3 };
	world_tick(&w);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), -EPERM);
	w.in.stable_live = 0;
	w.in.canary.connect_failures = 60;
	world_tick(&w);
	assert_phase(&w, HOLDING);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), -EPERM);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), 0);
	assert_phase(&w, SUCCEEDED);
	assert_string_equal(w.r.reason, "promoted by force");
}

static void test_promote_is_refused_without_canary_or_after_a_rollback(void **state)
{
	struct world w = world_at_second_step();

	w.in.canary_live = 0;
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), -EHOSTDOWN);
	w.in.canary_live = 2;
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), -EINVAL);
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
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), -EINVAL);
	assert_string_equal(rollout_next(&w.r, &w.policy), "");
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
		cmocka_unit_test(test_idle_machine_does_nothing),
		cmocka_unit_test(test_longest_names_are_cut_not_overrun),
		cmocka_unit_test(test_phases_have_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
