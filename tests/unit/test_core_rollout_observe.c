// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the rollout machine where its policy only observes: it judges and
 * tells, and changes nothing. */
#include "test_core_world.h"

#define WORSE "gate reset: 100 % of canary's 16 bad, 0 % of stable's 16, E 182 >= 100"

static struct world observed(void)
{
	struct world w = world_make();

	w.policy.observe = true;
	w.in.share = 1000;
	world_start(&w);
	return w;
}

static void test_the_share_stays_under_a_word_of_its_own(void **state)
{
	struct world w = observed();

	assert_int_equal(w.steps, 1);
	assert_int_equal(w.word_share, 1000);
	assert_int_equal(w.r.phase, ROLLOUT_PROGRESSING);
	assert_string_equal(w.r.reason, "observed at 10.00 %");
	world_run(&w, 30);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_STAY);
	assert_true(w.out.eta > 0 && w.out.eta <= 31);
	world_run(&w, 4000);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_GO_ON);
	assert_string_equal(w.r.reason, "would go on to 25.00 %");
	assert_string_equal(w.r.blocked_by, "mode: observe");
	assert_int_equal(w.steps, 1);
	assert_int_equal(w.word_share, 1000);
	assert_int_equal(w.promotions + w.rollbacks, 0);
}

static void test_a_bad_canary_is_told_of_once_and_stays(void **state)
{
	struct world w = observed();

	world_run(&w, 10);
	w.in.compare_fails = WORSE;
	world_tick(&w);
	assert_true(w.out.changed);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_ROLL_BACK);
	assert_string_equal(w.r.reason, "would roll back: " WORSE);
	w.in.compare_fails = "gate reset: 100 % of canary's 17 bad, 0 % of stable's 16, E 364 >= 100";
	world_tick(&w);
	assert_false(w.out.changed);
	assert_string_equal(w.r.reason, "would roll back: " WORSE);
	world_run(&w, 100);
	assert_int_equal(w.r.phase, ROLLOUT_PROGRESSING);
	assert_int_equal(w.rollbacks, 0);
	assert_int_equal(w.word_share, 1000);
}

static void test_an_absolute_gate_and_a_dead_canary_do_not_move_it_either(void **state)
{
	struct world w = observed();

	w.failures = 5;
	world_run(&w, 30);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_ROLL_BACK);
	assert_ptr_equal(strstr(w.r.reason, "would roll back: gate connect_failure: "), w.r.reason);
	w = observed();
	w.in.canary_live = 0;
	world_tick(&w);
	assert_string_equal(w.r.reason, "would roll back: canary has no live backend");
	w.in.canary_live = 2;
	world_tick(&w);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_STAY);
	assert_int_equal(w.rollbacks, 0);
}

/* Acting would hold: there is nowhere to go back to. */
static void test_without_stable_it_would_stay(void **state)
{
	struct world w = observed();

	w.in.compare_fails = WORSE;
	w.in.stable_live = 0;
	world_run(&w, 10);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_STAY);
	assert_string_equal(w.r.blocked_by, "stable has no live backend to go back to");
	assert_string_equal(w.r.reason, "observed at 10.00 %");
	w.in.stable_live = w.r.stable_backends;
	world_tick(&w);
	assert_string_equal(w.r.reason, "would roll back: " WORSE);
}

/* The reason is the one for which acting would have rolled back. */
static void test_the_first_reason_stays(void **state)
{
	struct world w = observed();

	w.in.compare_fails = WORSE;
	world_tick(&w);
	w.in.compare_fails = NULL;
	w.in.outside_fails = "gate errors: 5 of 5 bad";
	world_tick(&w);
	assert_string_equal(w.r.reason, "would roll back: " WORSE);
}

static void test_on_inconclusive_is_told_too(void **state)
{
	struct world w = observed();

	w.policy.max_step_time = 100 * SECOND;
	w.in.compare_waits = "reset: about 900 more connections of the canary";
	world_run(&w, 90);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_STAY);
	w.policy.on_inconclusive = MODEL_ADVANCE;
	world_run(&w, 20);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_GO_ON);
	w.policy.on_inconclusive = MODEL_ROLL_BACK;
	world_tick(&w);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_ROLL_BACK);
	assert_ptr_equal(strstr(w.r.reason, "would roll back: step 1 of "), w.r.reason);
}

static void test_beyond_the_last_step_it_would_be_promoted(void **state)
{
	struct world w = observed();

	rollout_moved(&w.r, w.in.epoch += 2, PERCH_SHARE_ALL, w.in.now);
	world_run(&w, 4000);
	assert_string_equal(w.r.reason, "would be promoted");
}

static void test_an_abort_takes_it_back(void **state)
{
	struct world w = observed();

	assert_int_equal(rollout_abort(&w.r, &w.in, NULL, &w.out), 0);
	assert_int_equal(w.out.action, ROLLOUT_ROLL_BACK);
	assert_int_equal(w.r.phase, ROLLOUT_ROLLED_BACK);
}

/* A person moves it, and ends it. */
static void test_a_person_moves_and_ends_it(void **state)
{
	struct world w = observed();

	world_run(&w, 100);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_GO_ON);
	w.in.epoch += 2;
	w.in.share = w.word_share = 3000;
	w.in.step_connections = 0;
	rollout_moved(&w.r, w.in.epoch, 3000, w.in.now);
	world_tick(&w);
	assert_int_equal(w.r.would, ROLLOUT_WOULD_STAY);
	assert_string_equal(w.r.reason, "observed at 30.00 %");
	assert_int_equal(w.steps, 1);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), 0);
	world_obey(&w);
	assert_int_equal(w.promotions, 1);

	w = observed();
	w.in.epoch |= 1;
	w.in.rolled_back = true;
	world_tick(&w);
	assert_int_equal(w.r.phase, ROLLOUT_ROLLED_BACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_share_stays_under_a_word_of_its_own),
		cmocka_unit_test(test_a_bad_canary_is_told_of_once_and_stays),
		cmocka_unit_test(test_an_absolute_gate_and_a_dead_canary_do_not_move_it_either),
		cmocka_unit_test(test_without_stable_it_would_stay),
		cmocka_unit_test(test_the_first_reason_stays),
		cmocka_unit_test(test_on_inconclusive_is_told_too),
		cmocka_unit_test(test_beyond_the_last_step_it_would_be_promoted),
		cmocka_unit_test(test_an_abort_takes_it_back),
		cmocka_unit_test(test_a_person_moves_and_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
