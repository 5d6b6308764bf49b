// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns what gates from outside say: failures in a row, stale values, one
 * comparison per step, and the score of many. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/judge/outside.h"

#define SECOND 1000000000ull

static struct model_outside bounded(void)
{
	return (struct model_outside){ .name = "errors", .min = -INFINITY, .max = 0.5, .threshold = 3, .consecutive = true,
				       .check_interval = 10 * SECOND, .max_age = 60 * SECOND, .weight = NAN };
}

static struct model_outside compared(const char *name)
{
	struct model_outside g = { .min = -INFINITY, .max = INFINITY, .threshold = 3, .compare = true, .hold = true,
				   .check_interval = 10 * SECOND, .max_age = 60 * SECOND, .weight = NAN,
				   .direction = MANNWHITNEY_INCREASE, .tolerance = 0.25, .confidence = 0.98 };

	snprintf(g.name, sizeof(g.name), "%s", name);
	snprintf(g.group, sizeof(g.group), "%s", name);
	return g;
}

static struct outside_now at(unsigned seconds)
{
	return (struct outside_now){ .now = seconds * SECOND, .started = SECOND, .step_since = SECOND };
}

static struct outside_ruling rule(struct model_outside *gates, size_t n, struct outside_state *states, struct outside_now t)
{
	const struct model_rollout p = { .outside = gates, .n_outside = n, .score_pass = 9500, .score_marginal = 7500 };
	struct outside_state *st[MODEL_OUTSIDE];
	struct outside_ruling r;

	for (size_t i = 0; i < n; i++) {
		st[i] = &states[i];
		outside_begin(st[i], &gates[i], &t);
	}
	outside_rule(&p, st, &t, &r);
	return r;
}

static struct outside_ruling measured(struct model_outside *g, struct outside_state *st, unsigned seconds, double value)
{
	struct outside_now t = at(seconds);

	outside_begin(st, g, &t);
	outside_value(st, g, t.now, value);
	return rule(g, 1, st, t);
}

static void test_failures_in_a_row_roll_back(void **state)
{
	struct model_outside g = bounded();
	struct outside_state st = {};

	assert_int_equal(measured(&g, &st, 10, 0.4).action, OUTSIDE_GO_ON);
	assert_int_equal(measured(&g, &st, 20, 0.6).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 30, 0.6).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 40, 0.5).action, OUTSIDE_GO_ON);
	assert_int_equal(measured(&g, &st, 50, 0.6).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 60, NAN).action, OUTSIDE_WAIT);	/* neither */
	assert_int_equal(measured(&g, &st, 70, 0.7).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 80, 0.8).action, OUTSIDE_ROLL_BACK);
	assert_string_equal(measured(&g, &st, 90, 0.8).why, "gate errors: 0.8 is above max 0.5, 4 checks failed in a row");
}

static void test_failures_add_up_without_consecutive(void **state)
{
	struct model_outside g = bounded();
	struct outside_state st = {};

	g.consecutive = false;
	assert_int_equal(measured(&g, &st, 10, 0.6).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 20, 0.1).action, OUTSIDE_GO_ON);
	assert_int_equal(measured(&g, &st, 30, 0.6).action, OUTSIDE_WAIT);
	assert_int_equal(measured(&g, &st, 40, 0.1).action, OUTSIDE_GO_ON);
	assert_int_equal(measured(&g, &st, 50, 0.6).action, OUTSIDE_ROLL_BACK);
}

static void test_critical_fails_at_once_and_hold_only_holds(void **state)
{
	struct model_outside g = bounded();
	struct outside_state st = {};

	g.critical = true;
	assert_int_equal(measured(&g, &st, 10, 0.6).action, OUTSIDE_ROLL_BACK);
	g.hold = true;
	assert_int_equal(measured(&g, &st, 20, 0.6).action, OUTSIDE_HOLD);
	assert_int_equal(measured(&g, &st, 30, 0.1).action, OUTSIDE_GO_ON);
}

static void test_stale_and_missing_values_never_pass(void **state)
{
	struct model_outside g = bounded();
	struct outside_state st = {};
	struct outside_ruling r = rule(&g, 1, &st, at(5));
	struct outside_now t;

	assert_int_equal(r.action, OUTSIDE_WAIT);
	assert_string_equal(r.why, "gate errors: no value yet");
	outside_trouble(&st, "connection refused");
	assert_string_equal(rule(&g, 1, &st, at(6)).why, "gate errors: connection refused");
	assert_int_equal(measured(&g, &st, 10, 0.1).action, OUTSIDE_GO_ON);
	assert_int_equal(rule(&g, 1, &st, at(70)).action, OUTSIDE_GO_ON);
	r = rule(&g, 1, &st, at(71));
	assert_int_equal(r.action, OUTSIDE_WAIT);
	assert_string_equal(r.why, "gate errors: its value is older than maxAge");
	/* measured under the step before, it says nothing of this one */
	assert_int_equal(measured(&g, &st, 80, 0.1).action, OUTSIDE_GO_ON);
	t = at(82);
	t.step = 1;
	t.step_since = 81 * SECOND;
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_WAIT);
}

static void test_checks_begin_after_the_delay_of_each_rollout(void **state)
{
	struct model_outside g = bounded();
	struct outside_state st = {};
	struct outside_now t = at(5);

	g.initial_delay = 60 * SECOND;
	outside_begin(&st, &g, &t);
	assert_false(outside_due(&st, &g, &t));
	t = at(61);
	assert_true(outside_due(&st, &g, &t));
	assert_false(outside_due(&st, &g, &t));
	t = at(71);
	assert_true(outside_due(&st, &g, &t));
	outside_value(&st, &g, t.now, 0.9);
	assert_int_equal(st.failures, 1);
	t = at(100);
	t.started = 99 * SECOND;
	outside_begin(&st, &g, &t);
	assert_int_equal(st.failures, 0);
	assert_false(outside_due(&st, &g, &t));
}

static void fill(struct outside_state *st, double canary, double baseline)
{
	for (int i = 0; i < 20; i++)
		outside_pair(st, (2 + i) * SECOND, canary + i % 5 * 0.01, baseline + i % 7 * 0.01);
}

static void test_comparison_is_made_once_at_the_end_of_a_step(void **state)
{
	struct model_outside g = compared("cpu");
	struct outside_state st = {};
	struct outside_now t = at(30);

	outside_begin(&st, &g, &t);
	fill(&st, 9, 1);
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_GO_ON);	/* nothing is said before */
	assert_int_equal(outside_verdict(&st, &g, &t), OUTSIDE_INCONCLUSIVE);
	t.step_over = true;
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_HOLD);
	assert_int_equal(st.test.class, MANNWHITNEY_HIGH);
	/* what comes later does not count, whatever it is */
	for (int i = 0; i < 100; i++)
		fill(&st, 1, 1);
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_HOLD);
	g.hold = false;
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_ROLL_BACK);
	/* the next step begins with nothing */
	t.step = 1;
	rule(&g, 1, &st, t);
	assert_int_equal(st.test.class, MANNWHITNEY_NODATA);
	assert_int_equal(rule(&g, 1, &st, t).action, OUTSIDE_HOLD);	/* no data is no proof */
}

static void test_score_of_many_decides(void **state)
{
	struct model_outside g[4];
	struct outside_state st[4] = {};
	struct outside_now t = at(30);
	static const char *const names[] = { "a", "b", "c", "d" };

	for (int i = 0; i < 4; i++) {
		g[i] = compared(names[i]);
		outside_begin(&st[i], &g[i], &t);
		fill(&st[i], i ? 1 : 9, 1);
	}
	t.step_over = true;
	assert_true(rule(g, 4, st, t).score == 75);
	assert_int_equal(rule(g, 4, st, t).action, OUTSIDE_HOLD);	/* marginal */
	g[0].weight = 60;
	g[0].hold = false;
	assert_true(rule(g, 4, st, t).score == 40);
	assert_int_equal(rule(g, 4, st, t).action, OUTSIDE_ROLL_BACK);
	g[0].weight = 4;
	assert_int_equal(rule(g, 4, st, t).action, OUTSIDE_GO_ON);
	g[0].critical = true;
	assert_int_equal(rule(g, 4, st, t).action, OUTSIDE_ROLL_BACK);
}

static void test_gate_that_is_left_out_says_nothing(void **state)
{
	struct model_outside g[2] = { bounded(), compared("cpu") };
	struct outside_state *none[2] = { NULL, NULL };
	const struct model_rollout p = { .outside = g, .n_outside = 2, .score_pass = 9500, .score_marginal = 7500 };
	struct outside_now t = at(1000);
	struct outside_ruling r;

	t.step_over = true;
	outside_rule(&p, none, &t, &r);
	assert_int_equal(r.action, OUTSIDE_GO_ON);
	assert_string_equal(r.why, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_in_a_row_roll_back),
		cmocka_unit_test(test_failures_add_up_without_consecutive),
		cmocka_unit_test(test_critical_fails_at_once_and_hold_only_holds),
		cmocka_unit_test(test_stale_and_missing_values_never_pass),
		cmocka_unit_test(test_checks_begin_after_the_delay_of_each_rollout),
		cmocka_unit_test(test_comparison_is_made_once_at_the_end_of_a_step),
		cmocka_unit_test(test_score_of_many_decides),
		cmocka_unit_test(test_gate_that_is_left_out_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
