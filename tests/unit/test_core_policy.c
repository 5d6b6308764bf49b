/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a policy may ask of the rollout machine beyond plain steps: freezes,
 * undecided steps, blue and green, experiments, gates that are left out. */
#include "../../user/core/freeze.h"
#include "test_core_world.h"

#define FRIDAY_16 ((4 * 24 + 16) * 60)
#define MONDAY_8 (8 * 60)

static void test_freezes_are_times_of_the_week(void **state)
{
	static const char *const wrong[] = { "", "Fri", "Fri 16:00", "Fri 16:00-", "Fri 24:00-Mon 08:00", "Fri 16:60-Mon 08:00",
					     "fri 16:00-Mon 08:00", "Fri 16:00-Fri 16:00", "Fri 16:00-Mon 08:00 ", "Fri 16.00-Mon 08:00" };
	struct model_rollout p = { .n_freeze = 2 };
	char text[FREEZE_TEXT];

	assert_int_equal(freeze_parse("Fri 16:00-Mon 08:00", &p.freeze[0]), 0);
	assert_int_equal(freeze_parse("Wed 12:00-Wed 13:30", &p.freeze[1]), 0);
	assert_int_equal(p.freeze[0].from, FRIDAY_16);
	assert_int_equal(p.freeze[0].to, MONDAY_8);
	assert_string_equal(freeze_format(&p.freeze[0], text), "Fri 16:00-Mon 08:00");
	assert_null(freeze_at(&p, FRIDAY_16 - 1));
	assert_ptr_equal(freeze_at(&p, FRIDAY_16), &p.freeze[0]);
	assert_ptr_equal(freeze_at(&p, 0), &p.freeze[0]);
	assert_ptr_equal(freeze_at(&p, MONDAY_8 - 1), &p.freeze[0]);
	assert_null(freeze_at(&p, MONDAY_8));
	assert_ptr_equal(freeze_at(&p, (2 * 24 + 13) * 60), &p.freeze[1]);
	/* of two that hold the one that ends last is told */
	p.freeze[1] = (struct model_freeze){ FRIDAY_16, FRIDAY_16 + 60 };
	assert_ptr_equal(freeze_at(&p, FRIDAY_16 + 1), &p.freeze[0]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(freeze_parse(wrong[i], &p.freeze[0]), -EINVAL);
}

static struct world world_frozen(void)
{
	struct world w = world_make();

	w.policy.freeze[0] = (struct model_freeze){ FRIDAY_16, MONDAY_8 };
	w.policy.n_freeze = 1;
	w.in.minute = FRIDAY_16 - 1;
	world_start(&w);
	world_run(&w, 30);
	w.in.minute = FRIDAY_16;
	return w;
}

static void test_freeze_stops_steps_and_no_clock_runs_out(void **state)
{
	struct world w = world_frozen();

	w.policy.progress_deadline = 3600 * SECOND;
	world_run(&w, 64 * 3600);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 500);
	assert_string_equal(w.r.blocked_by, "frozen until Mon 08:00");
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout advance NAME");
	w.in.minute = MONDAY_8;
	/* the step's 30 s that were left */
	world_run(&w, 29);
	assert_phase(&w, PROGRESSING);
	assert_int_equal(w.word_share, 500);
	world_run(&w, 1.5);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 180);
	assert_phase(&w, SUCCEEDED);
}

static void test_freeze_stops_no_rollback(void **state)
{
	struct world w = world_frozen();

	world_run(&w, 3600);
	w.failures = 10;
	world_run(&w, 600);
	assert_phase(&w, ROLLED_BACK);
}

static void test_person_goes_on_in_a_freeze(void **state)
{
	struct world w = world_frozen();

	world_run(&w, 60);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 1);
	assert_int_equal(w.word_share, 2500);
	world_run(&w, 3600);
	assert_int_equal(w.word_share, 2500);
	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, false, &w.out), 0);
	world_obey(&w);
	assert_phase(&w, SUCCEEDED);
}

static void test_pause_in_a_freeze_stops_the_clock_once(void **state)
{
	struct world w = world_frozen();

	world_run(&w, 3600);
	assert_int_equal(rollout_pause(&w.r, &w.in), 0);
	world_run(&w, 3600);
	w.in.minute = MONDAY_8;
	assert_int_equal(rollout_resume(&w.r, &w.in), 0);
	assert_true(w.r.paused == 7200 * SECOND || w.r.paused + TICK == 7200 * SECOND);
	world_run(&w, 31);
	assert_int_equal(w.word_share, 2500);
}

static struct world world_undecided(enum model_inconclusive then)
{
	struct world w = world_make();

	w.policy.on_inconclusive = then;
	w.rate = 0;
	world_start(&w);
	return w;
}

static void test_undecided_step_holds_goes_on_or_goes_back(void **state)
{
	struct world hold = world_undecided(MODEL_HOLD), on = world_undecided(MODEL_ADVANCE), back = world_undecided(MODEL_ROLL_BACK);

	world_run(&hold, 1801);
	assert_phase(&hold, HOLDING);
	world_run(&on, 1799);
	assert_int_equal(on.word_share, 500);
	world_run(&on, 2);
	assert_phase(&on, PROGRESSING);
	assert_int_equal(on.word_share, 2500);
	world_run(&back, 1799);
	assert_phase(&back, PROGRESSING);
	world_run(&back, 2);
	assert_phase(&back, ROLLED_BACK);
	assert_non_null(strstr(back.r.reason, "not decided within maxStepTime: too few connections"));
}

/* Going on undecided is no way past a gate, nor past a stable that is ill. */
static void test_undecided_step_goes_past_no_gate(void **state)
{
	struct world w = world_make();

	w.policy.on_inconclusive = MODEL_ADVANCE;
	w.policy.alpha = 0;	/* nothing is ever proven */
	w.failures = 1;
	world_start(&w);
	world_run(&w, 1801);
	assert_phase(&w, HOLDING);
	assert_int_equal(w.word_share, 500);

	w = world_undecided(MODEL_ADVANCE);
	w.in.stable_live = 1;
	world_run(&w, 1801);
	assert_phase(&w, HOLDING);
}

static void test_freeze_decides_nothing_undecided(void **state)
{
	struct world w = world_undecided(MODEL_ROLL_BACK);

	w.policy.freeze[0] = (struct model_freeze){ FRIDAY_16, MONDAY_8 };
	w.policy.n_freeze = 1;
	w.in.minute = FRIDAY_16;
	world_run(&w, 4000);
	assert_phase(&w, PROGRESSING);
}

static void test_blue_green_waits_at_nothing_and_takes_all(void **state)
{
	struct world w = world_make();

	w.policy.strategy = MODEL_BLUE_GREEN;
	w.policy.n_steps = 2;
	w.policy.step[0] = (struct model_step){ .manual = true };
	w.policy.step[1] = (struct model_step){ .share = PERCH_SHARE_ALL };
	world_start(&w);
	world_run(&w, 1);
	assert_phase(&w, PAUSED);
	assert_int_equal(w.word_share, 0);
	assert_string_equal(rollout_next(&w.r, &w.policy), "rollout advance NAME");
	world_run(&w, 86400);
	assert_phase(&w, PAUSED);
	assert_int_equal(rollout_advance(&w.r, &w.in), 0);
	world_run(&w, 1);
	assert_int_equal(w.word_share, PERCH_SHARE_ALL);
	world_run(&w, 60);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(w.promotions, 1);
}

static struct world world_experiment(void)
{
	struct world w = world_make();

	w.policy.strategy = MODEL_EXPERIMENT;
	w.policy.n_steps = 2;
	w.policy.watch = 600 * SECOND;
	world_start(&w);
	return w;
}

static void test_experiment_ends_at_nothing(void **state)
{
	struct world w = world_experiment();

	world_run(&w, 121);
	assert_phase(&w, WATCHING);
	assert_int_equal(w.word_share, 2500);
	w.refuse = true;
	world_run(&w, 601);
	assert_int_equal(w.word_share, 2500);
	assert_phase(&w, PROGRESSING);
	w.refuse = false;
	world_run(&w, 1);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(w.word_share, 0);
	assert_int_equal(w.promotions, 0);
	assert_int_equal(w.rollbacks, 0);
	assert_non_null(strstr(w.r.reason, "not found worse"));
	assert_int_equal(rollout_start(&w.r, &w.policy, "v2", &w.in, &w.out), 0);
}

static void test_experiment_promotes_nobody_and_rolls_back_the_bad(void **state)
{
	struct world w = world_experiment();

	assert_int_equal(rollout_promote(&w.r, &w.policy, &w.in, true, &w.out), -ENOTSUP);
	w.failures = 5;
	world_run(&w, 60);
	assert_phase(&w, ROLLED_BACK);
}

static void test_gate_left_out_counts_for_nothing(void **state)
{
	struct world w = world_make();

	w.failures = 1;
	w.policy.alpha = 0;	/* over the limit, and nothing is proven */
	world_start(&w);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "reset"), -ENOENT);
	world_run(&w, 61);
	assert_int_equal(w.word_share, 500);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "connect_failure"), 0);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "connect_failure"), -EALREADY);
	assert_true(rollout_skips(&w.r, &w.policy, 0));
	world_run(&w, 1);
	assert_int_equal(w.word_share, 2500);
	w.policy.alpha = 0.01;
	w.failures = 10;
	world_run(&w, 181);
	assert_phase(&w, SUCCEEDED);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "connect_failure"), -EINVAL);
}

/* Gates from outside are left out by their names too. */
static void test_gate_from_outside_is_left_out(void **state)
{
	struct model_outside outside[] = { { .name = "errors" }, { .name = "quality" } };
	struct world w = world_make();

	w.policy.outside = outside;
	w.policy.n_outside = 2;
	world_start(&w);
	assert_int_equal(rollout_skip(&w.r, &w.policy, ""), -ENOENT);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "quality"), 0);
	assert_true(rollout_skips(&w.r, &w.policy, MODEL_GATES + 1));
	assert_false(rollout_skips(&w.r, &w.policy, MODEL_GATES));
	assert_false(rollout_skips(&w.r, &w.policy, 1));
	world_run(&w, 1);
	assert_true(rollout_skips(&w.r, &w.policy, MODEL_GATES + 1));
}

/* A reload that gives the policy other gates brings none back by its place. */
static void test_gates_that_changed_are_judged(void **state)
{
	struct world w = world_make();

	world_start(&w);
	assert_int_equal(rollout_skip(&w.r, &w.policy, "connect_failure"), 0);
	strcpy(w.policy.gate[0].name, "connect_failure 2");
	assert_false(rollout_skips(&w.r, &w.policy, 0));
	w.failures = 5;
	world_run(&w, 60);
	assert_phase(&w, ROLLED_BACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezes_are_times_of_the_week),
		cmocka_unit_test(test_freeze_stops_steps_and_no_clock_runs_out),
		cmocka_unit_test(test_freeze_stops_no_rollback),
		cmocka_unit_test(test_person_goes_on_in_a_freeze),
		cmocka_unit_test(test_pause_in_a_freeze_stops_the_clock_once),
		cmocka_unit_test(test_undecided_step_holds_goes_on_or_goes_back),
		cmocka_unit_test(test_undecided_step_goes_past_no_gate),
		cmocka_unit_test(test_freeze_decides_nothing_undecided),
		cmocka_unit_test(test_blue_green_waits_at_nothing_and_takes_all),
		cmocka_unit_test(test_experiment_ends_at_nothing),
		cmocka_unit_test(test_experiment_promotes_nobody_and_rolls_back_the_bad),
		cmocka_unit_test(test_gate_left_out_counts_for_nothing),
		cmocka_unit_test(test_gate_from_outside_is_left_out),
		cmocka_unit_test(test_gates_that_changed_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
