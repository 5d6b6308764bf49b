/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rollout's way up in virtual time: steps, manual steps, holds, the watch
 * and the promotion.  The way back is in test_core_rollback.c. */
#include "test_core_world.h"

static void test_start_asks_for_the_first_step(void **state)
{
	struct world w = world_make();

	assert_int_equal(rollout_start(&w.r, &w.policy, "v2", &w.in, &w.out), 0);
	assert_int_equal(w.out.action, ROLLOUT_SET_SHARE);
	assert_int_equal(w.out.share, 500);
	assert_true(w.out.changed);
	assert_phase(&w, PROGRESSING);
	assert_string_equal(w.r.canary, "v2");
	assert_string_equal(w.r.reason, "step 1 of 4: 5.00 %");
	assert_int_equal(w.r.stable_backends, 2);
	assert_true(w.r.started == w.in.now);
}

static void test_start_is_refused_while_one_runs_or_nothing_lives(void **state)
{
	struct world w = world_make();
	struct rollout before = w.r;
	char longest[PERCH_NAME_LEN + 1];

	memset(longest, 'x', PERCH_NAME_LEN);
	longest[PERCH_NAME_LEN] = 0;
	assert_int_equal(rollout_start(&w.r, &w.policy, "", &w.in, &w.out), -EINVAL);
	assert_int_equal(rollout_start(&w.r, &w.policy, longest, &w.in, &w.out), -EINVAL);
	w.in.canary_live = 0;
	assert_int_equal(rollout_start(&w.r, &w.policy, "v2", &w.in, &w.out), -EHOSTDOWN);
	w.in.canary_live = 1;
	w.in.stable_live = 0;
	assert_int_equal(rollout_start(&w.r, &w.policy, "v2", &w.in, &w.out), -EHOSTDOWN);
	assert_memory_equal(&w.r, &before, sizeof(before));
	w.in.stable_live = 1;
	world_start(&w);
	assert_int_equal(rollout_start(&w.r, &w.policy, "v3", &w.in, &w.out), -EINVAL);
	w.policy.n_steps = 0;
	w.r.phase = ROLLOUT_IDLE;
	assert_int_equal(rollout_start(&w.r, &w.policy, "v2", &w.in, &w.out), -EINVAL);
}

static void test_healthy_canary_goes_through_every_step(void **state)
{
	static const __u32 share[] = { 500, 2500, 5000, 10000 };
	struct world w = world_make();

	world_start(&w);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(w.word_share, share[i]);
		assert_int_equal(w.r.step, i);
		world_run(&w, 59.9);
		assert_phase(&w, PROGRESSING);
		assert_int_equal(w.word_share, share[i]);
		assert_int_equal(w.out.action, ROLLOUT_NOTHING);
		world_run(&w, 0.1);
	}
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(w.steps, 4);
	assert_int_equal(w.promotions, 1);
	assert_string_equal(w.r.reason, "promoted");
	assert_string_equal(rollout_next(&w.r, &w.policy), "");
	world_run(&w, 10);
	assert_int_equal(w.promotions, 1);
	assert_false(w.out.changed);
}

static void test_step_waits_for_its_connections(void **state)
{
	struct world w = world_make();

	w.policy.min_connections = 100;
	w.rate = 1;
	world_start(&w);
	world_run(&w, 50);
	assert_true(fabs(w.out.eta - 50) < 1);
	assert_string_equal(w.r.blocked_by, "");
	world_run(&w, 30);
	assert_int_equal(w.word_share, 500);
	assert_string_equal(w.r.blocked_by, "too few connections");
	assert_true(fabs(w.out.eta - 20) < 1);
	world_run(&w, 20.1);
	assert_int_equal(w.word_share, 2500);
	assert_string_equal(w.r.blocked_by, "");
}

static void test_eta_is_the_interval_or_unknown(void **state)
{
	struct world w = world_make();

	world_start(&w);
	w.rate = 0;
	world_run(&w, 10);
	assert_true(isnan(w.out.eta));
	w.in.step_connections = 30;
	world_tick(&w);
	assert_true(fabs(w.out.eta - 50) < 0.2);
}

static void test_steps_own_pause_replaces_the_interval(void **state)
{
	struct world w = world_make();

	w.policy.step[0].pause = 5 * SECOND;
	w.policy.step[1].pause = 100 * SECOND;
	world_start(&w);
	world_run(&w, 5);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 99.9);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 5000);
}

static void test_manual_step_waits_for_advance(void **state)
{
	struct world w = world_make();

	w.policy.step[1].manual = true;
	world_start(&w);
	world_run(&w, 121);
	assert_phase(&w, PAUSED);
	assert_int_equal(w.word_share, 2500);
	assert_string_equal(w.r.blocked_by, "manual step");
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout advance NAME");
	assert_int_equal(rollout_resume(&w.r, &w.in), -EINVAL);
	assert_int_equal(rollout_pause(&w.r, &w.in), -EINVAL);
	/* a weekend is neither the step's time nor the deadline's */
	world_run(&w, 3000);
	w.in.now += 200000 * SECOND;
	world_run(&w, 1);
	assert_phase(&w, PAUSED);
	assert_false(w.out.changed);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 5000);
	world_run(&w, 60);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 10000);
}

static void test_advance_skips_the_wait_and_the_manual_step(void **state)
{
	struct world w = world_make();

	w.policy.step[0].manual = true;
	world_start(&w);
	world_run(&w, 1);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 2500);
	/* once asked, one step */
	world_run(&w, 10);
	assert_int_equal(w.word_share, 2500);
}

static void test_step_that_takes_too_long_holds_and_resumes(void **state)
{
	struct world w = world_make();

	w.rate = 0;
	world_start(&w);
	world_run(&w, 1799.9);
	assert_phase(&w, PROGRESSING);
	world_run(&w, 0.1);
	assert_phase(&w, HOLDING);
	assert_true(w.out.changed);
	assert_string_equal(w.r.reason, "step 1 of 4 took too long: too few connections");
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout advance NAME");
	world_run(&w, 1000);
	assert_phase(&w, HOLDING);
	assert_false(w.out.changed);
	w.rate = 10;
	world_run(&w, 4);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 2500);
}

static void test_held_step_goes_on_by_advance(void **state)
{
	struct world w = world_make();

	w.rate = 0;
	world_start(&w);
	world_run(&w, 1801);
	assert_phase(&w, HOLDING);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 2500);
}

static void test_deadline_holds_until_a_person_goes_on(void **state)
{
	struct world w = world_make();

	w.policy.progress_deadline = 90 * SECOND;
	world_start(&w);
	world_run(&w, 90);
	assert_phase(&w, HOLDING);
	assert_string_equal(w.r.blocked_by, "progress deadline");
	world_run(&w, 1000);
	assert_int_equal(w.word_share, 2500);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 5000);
}

static void test_no_step_while_stable_has_lost_backends(void **state)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 30);
	w.in.stable_live = 1;
	world_run(&w, 60);
	assert_int_equal(w.word_share, 500);
	assert_string_equal(w.r.blocked_by, "stable has 1 of 2 live backends");
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 10);
	assert_int_equal(w.word_share, 500);
	w.in.stable_live = 2;
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 2500);
}

static void test_gate_over_its_limit_stops_the_step_without_proof(void **state)
{
	struct world w = world_make();

	w.rate = 0;
	world_start(&w);
	w.in.canary.connects = 100;
	w.in.canary.connect_failures = 3;
	w.in.step_connections = 100;
	world_run(&w, 100);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 500);
	assert_string_equal(w.r.blocked_by, "over its limit: connect_failure");
	/* 3 of 150 is within it */
	w.in.canary.connects = 150;
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 2500);
}

static void test_watch_keeps_a_holdback_and_promotes_after_it(void **state)
{
	struct world w = world_make();

	w.policy.watch = 3600 * SECOND;
	w.policy.holdback = 500;
	world_start(&w);
	world_run(&w, 180);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, 9500);
	assert_string_equal(w.r.reason, "step 4 of 4: 95.00 %, watching");
	assert_int_equal(rollout_advance(&w.r, &w.in), -EINVAL);
	world_run(&w, 3599.9);
	assert_phase(&w, WATCHING);
	assert_true(w.out.eta < 0.2);
	world_run(&w, 0.1);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(w.word_share, PERCH_SHARE_ALL);
	assert_int_equal(w.promotions, 1);
}

static void test_holdback_takes_nothing_back(void **state)
{
	struct world w = world_make();

	w.policy.watch = 60 * SECOND;
	w.policy.holdback = 6000;
	world_start(&w);
	world_run(&w, 180);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, 5000);
	w = world_make();
	w.policy.watch = 60 * SECOND;
	w.policy.holdback = 0;
	world_start(&w);
	world_run(&w, 180);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, PERCH_SHARE_ALL);
}

static void test_last_step_below_all_is_watched_at_its_share(void **state)
{
	struct world w = world_make();

	w.policy.n_steps = 2;
	w.policy.watch = 100 * SECOND;
	w.policy.holdback = 500;
	world_start(&w);
	world_run(&w, 119.9);
	assert_phase(&w, PROGRESSING);
	world_run(&w, 0.1);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, 2500);
	assert_int_equal(w.steps, 2);
	world_run(&w, 99.9);
	assert_phase(&w, WATCHING);
	world_run(&w, 0.1);
	assert_phase(&w, SUCCEEDED);
}

static void test_manual_last_step_waits_once_and_after_the_watch(void **state)
{
	struct world w = world_make();

	w.policy.step[3].manual = true;
	w.policy.watch = 100 * SECOND;
	world_start(&w);
	world_run(&w, 280);
	assert_phase(&w, PAUSED);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 0.1);
	assert_phase(&w, SUCCEEDED);
}

static void test_single_step_of_all_is_watched_at_once(void **state)
{
	struct world w = world_make();

	w.policy.step[0].share = PERCH_SHARE_ALL;
	w.policy.n_steps = 1;
	w.policy.watch = 60 * SECOND;
	w.policy.holdback = 500;
	world_start(&w);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, 9500);
	world_run(&w, 60);
	assert_phase(&w, SUCCEEDED);
}

/* The watch has no step time and no deadline. */
static void test_watch_is_never_too_long(void **state)
{
	struct world w = world_make();

	w.policy.watch = 7200 * SECOND;
	w.policy.progress_deadline = 200 * SECOND;
	world_start(&w);
	world_run(&w, 180 + 7199);
	assert_phase(&w, WATCHING);
	world_run(&w, 1);
	assert_phase(&w, SUCCEEDED);
}

static void test_refused_step_is_asked_for_again(void **state)
{
	struct world w = world_make();

	w.refuse = true;
	world_start(&w);
	world_run(&w, 500);
	assert_int_equal(w.out.action, ROLLOUT_SET_SHARE);
	assert_int_equal(w.out.share, 500);
	assert_false(w.out.changed);
	assert_int_equal(w.steps, 0);
	assert_phase(&w, PROGRESSING);
	/* the step begins when it is there, not when it was asked for */
	w.refuse = false;
	world_run(&w, 60);
	assert_int_equal(w.word_share, 500);
	world_run(&w, 0.1);
	assert_int_equal(w.word_share, 2500);
}

static void test_policy_that_lost_steps_ends_with_its_last(void **state)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 121);
	assert_int_equal(w.r.step, 2);
	w.policy.n_steps = 2;
	world_run(&w, 60);
	assert_phase(&w, SUCCEEDED);
	w = world_make();
	world_start(&w);
	w.policy.n_steps = 0;
	world_run(&w, 1000);
	assert_int_equal(w.word_share, 500);
}

/* A warm-up is before the step's interval, not part of it. */
static void test_rollout_interval_begins_after_the_warm_up(void **state)
{
	struct world w = world_make();

	world_start(&w);
	w.in.compare_waits = "warming up";
	world_run(&w, 60);
	w.in.compare_waits = NULL;
	w.in.epoch += 2;
	rollout_warmed_up(&w.r, w.in.epoch, w.in.now);
	world_run(&w, 58);
	assert_int_equal(w.steps, 1);
	world_run(&w, 4);
	assert_int_equal(w.steps, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rollout_interval_begins_after_the_warm_up),
		cmocka_unit_test(test_start_asks_for_the_first_step),
		cmocka_unit_test(test_start_is_refused_while_one_runs_or_nothing_lives),
		cmocka_unit_test(test_healthy_canary_goes_through_every_step),
		cmocka_unit_test(test_step_waits_for_its_connections),
		cmocka_unit_test(test_eta_is_the_interval_or_unknown),
		cmocka_unit_test(test_steps_own_pause_replaces_the_interval),
		cmocka_unit_test(test_manual_step_waits_for_advance),
		cmocka_unit_test(test_advance_skips_the_wait_and_the_manual_step),
		cmocka_unit_test(test_step_that_takes_too_long_holds_and_resumes),
		cmocka_unit_test(test_held_step_goes_on_by_advance),
		cmocka_unit_test(test_deadline_holds_until_a_person_goes_on),
		cmocka_unit_test(test_no_step_while_stable_has_lost_backends),
		cmocka_unit_test(test_gate_over_its_limit_stops_the_step_without_proof),
		cmocka_unit_test(test_watch_keeps_a_holdback_and_promotes_after_it),
		cmocka_unit_test(test_holdback_takes_nothing_back),
		cmocka_unit_test(test_last_step_below_all_is_watched_at_its_share),
		cmocka_unit_test(test_manual_last_step_waits_once_and_after_the_watch),
		cmocka_unit_test(test_single_step_of_all_is_watched_at_once),
		cmocka_unit_test(test_watch_is_never_too_long),
		cmocka_unit_test(test_refused_step_is_asked_for_again),
		cmocka_unit_test(test_policy_that_lost_steps_ends_with_its_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
