/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Mann-Whitney's test and the score against cases of the judge whose
 * semantics they have (mannwhitney.json).  Runs at the top of the tree.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../user/core/judge/mannwhitney.h"
#include "../../user/core/judge/score.h"

#define CASES "tests/unit/mannwhitney.json"

static json_t *cases;

static void near(const char *id, const char *what, double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance))
		fail_msg("%s: %s is %.12g, not %.12g", id, what, got, want);
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key)) ?: "";
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* A series; "NaN" in it is none. */
static double *series(const json_t *o, const char *key, size_t *ret_n)
{
	const json_t *list = json_object_get(o, key), *v;
	double *values = calloc(json_array_size(list) + 1, sizeof(double));
	size_t i;

	assert_non_null(values);
	json_array_foreach(list, i, v)
		values[i] = json_is_string(v) ? NAN : json_number_value(v);
	*ret_n = json_array_size(list);
	return values;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double *sorted(const json_t *o, const char *key, size_t *ret_n)
{
	double *v = series(o, key, ret_n);

	qsort(v, *ret_n, sizeof(*v), by_value);
	return v;
}

static struct mannwhitney_policy policy_of(const json_t *params)
{
	const char *direction = text(params, "direction");
	bool cles = strcmp(text(params, "effectSizeMeasure"), "cles") == 0;
	struct mannwhitney_policy p = mannwhitney_policy_of(cles ? MANNWHITNEY_CLES : MANNWHITNEY_MEAN_RATIO);

	p.tolerance = number(params, "tolerance");
	p.confidence = number(params, "confidence");
	p.increase = number(params, "allowedIncrease");
	p.decrease = number(params, "allowedDecrease");
	p.direction = strcmp(direction, "increase") == 0 ? MANNWHITNEY_INCREASE :
		      strcmp(direction, "decrease") == 0 ? MANNWHITNEY_DECREASE : MANNWHITNEY_EITHER;
	p.nan_is_zero = strcmp(text(params, "nanStrategy"), "replace") == 0;
	return p;
}

static void check_exact(const char *id, const struct mannwhitney_result *r, const json_t *exact)
{
	if (!exact)
		return;
	near(id, "lower", r->lower, number(exact, "ci_lower"), 1e-6);
	near(id, "upper", r->upper, number(exact, "ci_upper"), 1e-6);
	assert_string_equal(mannwhitney_class_name(r->class), text(exact, "classification"));
}

static void test_classifications_agree(void **state)
{
	const json_t *list = json_object_get(cases, "classify"), *c;
	unsigned judged = 0;
	size_t i;

	json_array_foreach(list, i, c) {
		struct mannwhitney_policy policy = policy_of(json_object_get(c, "params"));
		const char *want = text(json_object_get(c, "expect"), "classification");
		struct mannwhitney_result r;
		size_t m, n;
		double *x = series(c, "experiment", &m), *y = series(c, "control", &n);

		assert_int_equal(mannwhitney_judge(&policy, y, n, x, m, &r), 0);
		if (*want && strcmp(mannwhitney_class_name(r.class), want) != 0)
			fail_msg("%s: %s, not %s", text(c, "id"), mannwhitney_class_name(r.class), want);
		assert_true(*r.why);
		check_exact(text(c, "id"), &r, json_object_get(c, "exact"));
		judged++;
		free(x);
		free(y);
	}
	assert_true(judged >= 16);
}

static void test_statistic_agrees(void **state)
{
	const json_t *list = json_object_get(cases, "mann_whitney"), *c, *at;
	size_t i, j;

	json_array_foreach(list, i, c) {
		const json_t *expect = json_object_get(c, "expect");
		struct mannwhitney_policy policy = mannwhitney_policy_of(MANNWHITNEY_MEAN_RATIO);
		struct mannwhitney_result r;
		size_t m, n;
		double *x = sorted(c, "experiment", &m), *y = sorted(c, "control", &n);

		json_array_foreach(json_object_get(expect, "wilcoxon_diff"), j, at)
			near(text(c, "id"), "z", mannwhitney_z(x, m, y, n, number(at, "mu")), number(at, "value"), 1e-5);
		if (json_object_get(expect, "ci_lower")) {
			policy.confidence = number(c, "confidence");
			assert_int_equal(mannwhitney_judge(&policy, y, n, x, m, &r), 0);
			/* they stop looking for a root at 1e-4 */
			near(text(c, "id"), "lower", r.lower, number(expect, "ci_lower"), 2e-4);
			near(text(c, "id"), "upper", r.upper, number(expect, "ci_upper"), 2e-4);
			near(text(c, "id"), "estimate", r.estimate, number(expect, "estimate"), 2e-4);
		}
		free(x);
		free(y);
	}
}

static void test_percentiles_and_fences_agree(void **state)
{
	const json_t *c, *out;
	size_t i, j, n, first;

	json_array_foreach(json_object_get(cases, "percentile"), i, c) {
		double *v = sorted(c, "data", &n);

		near("percentile", "value", mannwhitney_percentile(v, n, number(c, "p") / 100), number(c, "value"), 1e-9);
		free(v);
	}
	json_array_foreach(json_object_get(cases, "outlier"), i, c) {
		double *v = sorted(c, "data", &n);
		size_t kept = mannwhitney_fences(v, n, number(c, "factor"), false, &first);

		assert_int_equal(kept, n - json_array_size(json_object_get(c, "outliers")));
		json_array_foreach(json_object_get(c, "outliers"), j, out)
			for (size_t k = first; k < first + kept; k++)
				assert_true(v[k] != json_number_value(out));
		free(v);
	}
}

static void test_effects_agree(void **state)
{
	const json_t *c;
	size_t i, m, n;

	json_array_foreach(json_object_get(cases, "effect"), i, c) {
		bool cles = strcmp(text(c, "measure"), "cles") == 0;
		double *x = sorted(c, "experiment", &m), *y = sorted(c, "control", &n);
		double effect = mannwhitney_effect_of(cles ? MANNWHITNEY_CLES : MANNWHITNEY_MEAN_RATIO, x, m, y, n);

		if (json_is_string(json_object_get(c, "value")))
			assert_true(isnan(effect));
		else
			near("effect", text(c, "measure"), effect, number(c, "value"), number(c, "tolerance"));
		free(x);
		free(y);
	}
}

/* Values that are none go, or become 0, before anything is computed. */
static void test_missing_values_are_left_out_or_zero(void **state)
{
	const double gaps[] = { NAN, 5, NAN, 5, 5 }, whole[] = { 5, 5, 5 }, none[] = { NAN, NAN };
	struct mannwhitney_policy policy = mannwhitney_policy_of(MANNWHITNEY_MEAN_RATIO);
	struct mannwhitney_result r;

	assert_int_equal(mannwhitney_judge(&policy, gaps, 5, whole, 3, &r), 0);
	assert_int_equal(r.class, MANNWHITNEY_PASS);
	near("gaps", "effect", r.effect, 1, 1e-12);
	assert_int_equal(mannwhitney_judge(&policy, whole, 3, none, 2, &r), 0);
	assert_int_equal(r.class, MANNWHITNEY_NODATA);
	policy.nan_is_zero = true;
	assert_int_equal(mannwhitney_judge(&policy, whole, 3, none, 2, &r), 0);
	assert_int_equal(r.class, MANNWHITNEY_LOW);
}

static void test_outliers_go_when_told_to(void **state)
{
	const double steady[] = { 10, 11, 10, 12, 11, 10, 12, 11, 10, 11 };
	const double spike[] = { 10, 11, 10, 12, 11, 10, 12, 11, 10, 5000 };
	struct mannwhitney_policy policy = mannwhitney_policy_of(MANNWHITNEY_MEAN_RATIO);
	struct mannwhitney_result r;

	assert_int_equal(mannwhitney_judge(&policy, steady, 10, spike, 10, &r), 0);
	assert_true(r.effect > 40);
	policy.outliers_go = true;
	assert_int_equal(mannwhitney_judge(&policy, steady, 10, spike, 10, &r), 0);
	near("outlier", "effect", r.effect, 97.0 / 9 / 10.8, 1e-9);
}

static void score_case(const json_t *c)
{
	const json_t *list = json_object_get(c, "metrics"), *m;
	struct score_metric metrics[8];
	struct score_group groups[SCORE_GROUPS];
	struct score score;
	size_t n = 0, n_groups = 0, i;
	json_t *weight;
	const char *name;

	json_object_foreach(json_object_get(c, "groupWeights"), name, weight)
		groups[n_groups++] = (struct score_group){ .name = name, .weight = json_number_value(weight) };
	json_array_foreach(list, i, m) {
		enum mannwhitney_class class = MANNWHITNEY_PASS;

		while (strcmp(mannwhitney_class_name(class), text(m, "classification")) != 0)
			assert_true(++class <= MANNWHITNEY_NODATA);
		metrics[n++] = (struct score_metric){
			json_string_value(json_array_get(json_object_get(m, "groups"), 0)), class,
			json_is_true(json_object_get(m, "critical")),
		};
	}
	assert_int_equal(score_metrics(metrics, n, groups, &n_groups, &score), 0);
	near(text(c, "id"), "score", score.summary, number(json_object_get(c, "expect"), "summaryScore"), 1e-9);
}

static void test_scores_agree(void **state)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(cases, "score"), i, c)
		score_case(c);
	assert_true(i >= 7);
}

static void test_a_critical_metric_makes_it_nothing(void **state)
{
	const struct score_metric metrics[] = { { "a", MANNWHITNEY_PASS, false }, { "a", MANNWHITNEY_PASS, false },
						{ "b", MANNWHITNEY_LOW, true } };
	struct score_group groups[SCORE_GROUPS] = { { .name = "b", .weight = 10 } };
	struct score score;
	size_t n = 1;

	assert_int_equal(score_metrics(metrics, 3, groups, &n, &score), 0);
	near("critical", "score", score.summary, 0, 0);
	assert_int_equal(n, 2);
	near("critical", "the rest", groups[1].weight, 90, 1e-9);
	assert_true(*score.why);
	groups[0].weight = 101;
	assert_int_equal(score_metrics(metrics, 3, groups, &n, &score), -22);
}

static void test_thresholds_agree(void **state)
{
	assert_string_equal(score_class(100, 95, 75), "Pass");
	assert_string_equal(score_class(95, 95, 75), "Pass");
	assert_string_equal(score_class(94.99, 95, 75), "Marginal");
	assert_string_equal(score_class(75, 95, 75), "Marginal");
	assert_string_equal(score_class(74.99, 95, 75), "Fail");
}

static int read_cases(void **state)
{
	cases = json_load_file(CASES, 0, NULL);
	return cases ? 0 : -1;
}

static int free_cases(void **state)
{
	json_decref(cases);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classifications_agree),
		cmocka_unit_test(test_statistic_agrees),
		cmocka_unit_test(test_percentiles_and_fences_agree),
		cmocka_unit_test(test_effects_agree),
		cmocka_unit_test(test_missing_values_are_left_out_or_zero),
		cmocka_unit_test(test_outliers_go_when_told_to),
		cmocka_unit_test(test_scores_agree),
		cmocka_unit_test(test_a_critical_metric_makes_it_nothing),
		cmocka_unit_test(test_thresholds_agree),
	};

	return cmocka_run_group_tests(tests, read_cases, free_cases);
}
