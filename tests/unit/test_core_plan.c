/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The plan of a rollout is what the machine then does, stage by stage: shares,
 * times and who has to say go. */
#include "../../user/core/rollout_plan.h"
#include "test_core_world.h"

/* Run a healthy canary through its policy beside the plan. */
static void expect_as_planned(struct world *w)
{
	struct rollout_stage stage[ROLLOUT_STAGES];
	unsigned n = rollout_plan(&w->policy, stage);

	assert_true(n >= 1);
	world_start(w);
	for (unsigned i = 0; i < n; i++) {
		double seconds = (double)stage[i].time / SECOND;

		assert_int_equal(w->r.step, stage[i].step);
		assert_int_equal(w->r.share, stage[i].share);
		assert_int_equal(w->word_share, stage[i].share);
		assert_int_equal(w->r.watching, stage[i].watching);
		world_run(w, seconds - 0.1);
		assert_int_equal(w->r.phase, stage[i].watching ? ROLLOUT_WATCHING : ROLLOUT_PROGRESSING);
		assert_int_equal(w->r.step, stage[i].step);
		assert_int_equal(w->r.watching, stage[i].watching);
		world_run(w, 0.1);
		assert_int_equal(w->r.phase == ROLLOUT_PAUSED, stage[i].manual);
		if (!stage[i].manual)
			continue;
		world_run(w, 100);
		assert_int_equal(w->r.step, stage[i].step);
		assert_int_equal(rollout_advance(&w->r, &w->in), 0);
		world_tick(w);
	}
	assert_phase(w, SUCCEEDED);
}

static void test_plan_is_what_a_healthy_canary_goes_through(void **state)
{
	struct world w = world_make();

	expect_as_planned(&w);
}

static void test_plan_knows_pauses_and_manual_steps(void **state)
{
	struct world w = world_make();

	w.policy.step[1].pause = 100 * SECOND;
	w.policy.step[2].manual = true;
	w.policy.step[3].manual = true;
	expect_as_planned(&w);
}

static void test_plan_watches_a_last_step_of_all_at_what_holdback_leaves(void **state)
{
	struct world w = world_make();

	w.policy.watch = 600 * SECOND;
	w.policy.holdback = 500;
	expect_as_planned(&w);
	w = world_make();
	w.policy.watch = 600 * SECOND;
	w.policy.holdback = 8000;	/* less than the step before has */
	w.policy.step[3].pause = 700 * SECOND;
	w.policy.step[3].manual = true;
	expect_as_planned(&w);
}

static void test_plan_watches_a_last_step_below_all_after_it(void **state)
{
	struct world w = world_make();

	w.policy.watch = 600 * SECOND;
	w.policy.n_steps = 3;
	w.policy.step[2].manual = true;
	expect_as_planned(&w);
}

static void test_plan_without_steps_is_empty(void **state)
{
	struct rollout_stage stage[ROLLOUT_STAGES];
	struct world w = world_make();

	w.policy.n_steps = 0;
	assert_int_equal(rollout_plan(&w.policy, stage), 0);
}

/* A step begins with a warm-up where there is somebody to compare with. */
static void test_plan_has_the_warm_ups(void **state)
{
	struct rollout_stage stage[ROLLOUT_STAGES];
	struct world w = world_make();

	w.policy.compare.warmup = 30 * SECOND;
	assert_int_equal(rollout_plan(&w.policy, stage), 4);
	assert_int_equal(stage[0].time, 60 * SECOND);
	w.policy.compare.max_slowdown[MODEL_WAIT_RESPONSE_TIME] = MODEL_MARGIN;
	assert_int_equal(rollout_plan(&w.policy, stage), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(stage[i].time, (i < 3 ? 90 : 60) * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_has_the_warm_ups),
		cmocka_unit_test(test_plan_is_what_a_healthy_canary_goes_through),
		cmocka_unit_test(test_plan_knows_pauses_and_manual_steps),
		cmocka_unit_test(test_plan_watches_a_last_step_of_all_at_what_holdback_leaves),
		cmocka_unit_test(test_plan_watches_a_last_step_below_all_after_it),
		cmocka_unit_test(test_plan_without_steps_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
