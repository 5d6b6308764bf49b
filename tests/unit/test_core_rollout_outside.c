// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns what the rollout machine makes of gates from outside and of webhooks
 * that are asked before a step. */
#include "test_core_world.h"

static void test_outside_failure_rolls_back_in_every_phase(void **state)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 10);
	w.in.outside_fails = "gate errors: 0.7 is above max 0.5";
	world_tick(&w);
	assert_int_equal(w.r.phase, ROLLOUT_ROLLED_BACK);
	assert_int_equal(w.rollbacks, 1);
	assert_string_equal(w.r.reason, w.in.outside_fails);

	w = world_make();
	world_start(&w);
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	w.in.outside_fails = "gate errors: 0.7 is above max 0.5";
	world_tick(&w);
	assert_int_equal(w.r.phase, ROLLOUT_ROLLED_BACK);

	/* nowhere to go back to */
	w = world_make();
	world_start(&w);
	w.in.stable_live = 0;
	w.in.outside_fails = "gate errors: 0.7 is above max 0.5";
	world_tick(&w);
	assert_int_equal(w.r.phase, ROLLOUT_HOLDING);
	assert_int_equal(w.rollbacks, 0);
}

static void test_outside_waiting_blocks_and_holds_only_when_late(void **state)
{
	struct world w = world_make();

	world_start(&w);
	w.in.outside_waits = "gate errors: no value yet";
	world_run(&w, 300);
	assert_int_equal(w.steps, 1);
	assert_int_equal(w.r.phase, ROLLOUT_PROGRESSING);
	assert_string_equal(w.r.blocked_by, w.in.outside_waits);
	world_run(&w, 1600);
	assert_int_equal(w.r.phase, ROLLOUT_HOLDING);
	w.in.outside_waits = NULL;
	world_run(&w, 1);
	assert_int_equal(w.steps, 2);
	assert_int_equal(w.r.phase, ROLLOUT_PROGRESSING);
}

static void test_outside_hold_holds_at_once_until_it_is_over_or_a_person_goes_on(void **state)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 5);
	w.in.outside_waits = "gate quality: 0.5 is below min 0.9";
	w.in.outside_holds = true;
	world_tick(&w);
	assert_int_equal(w.r.phase, ROLLOUT_HOLDING);
	assert_string_equal(w.r.reason, w.in.outside_waits);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), -EPERM);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_tick(&w);
	assert_int_equal(w.steps, 2);
	world_run(&w, 100);
	assert_int_equal(w.steps, 2);
	w.in.outside_waits = NULL;
	w.in.outside_holds = false;
	world_run(&w, 1);
	assert_int_equal(w.steps, 3);
}

static void test_promote_does_not_pass_a_failing_gate_from_outside(void **state)
{
	struct world w = world_make();

	world_start(&w);
	w.in.outside_fails = "gate errors: 0.7 is above max 0.5";
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), -EPERM);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), 0);
}

static void test_step_waits_for_who_is_asked_while_gates_go_on(void **state)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 50);
	w.in.step_waits = "webhook before a step answered 403";
	w.refuse = true;	/* the agent sets no share either */
	world_run(&w, 60);
	assert_int_equal(w.steps, 1);
	assert_int_equal(w.r.share, 2500);
	assert_int_equal(w.word_share, 500);
	assert_string_equal(w.r.blocked_by, w.in.step_waits);
	assert_int_equal(w.out.action, ROLLOUT_NOTHING);
	assert_false(w.out.changed);	/* nor does every look write */
	w.refuse = false;
	w.in.step_waits = NULL;
	world_tick(&w);
	assert_int_equal(w.steps, 2);
	assert_int_equal(w.word_share, 2500);

	world_run(&w, 50);
	w.in.step_waits = "webhook before a step answered 403";
	w.refuse = true;
	world_run(&w, 60);
	w.failures = 10;
	world_run(&w, 60);
	assert_int_equal(w.r.phase, ROLLOUT_ROLLED_BACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outside_failure_rolls_back_in_every_phase),
		cmocka_unit_test(test_outside_waiting_blocks_and_holds_only_when_late),
		cmocka_unit_test(test_outside_hold_holds_at_once_until_it_is_over_or_a_person_goes_on),
		cmocka_unit_test(test_promote_does_not_pass_a_failing_gate_from_outside),
		cmocka_unit_test(test_step_waits_for_who_is_asked_while_gates_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
