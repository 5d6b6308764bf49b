/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the gates say to given counts: which counts they use, proof, doubt,
 * one alpha for all, and stable as the measure of what a limit can tell. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/judge.h"
#include "../../user/core/sequential.h"

static struct model_rollout policy_two_gates(void)
{
	return (struct model_rollout){
		.alpha = 0.01, .min_connections = 30, .n_gates = 2,
		.gate = {
			{ .name = "connect_failure", .signal = MODEL_CONNECT_FAILURE, .max = 0.02 },
			{ .name = "reset", .signal = MODEL_RESET, .max = 0.05 },
		},
	};
}

static struct judge_counts counts(__u64 n, __u64 failures, __u64 resets)
{
	return (struct judge_counts){
		.connects = n, .connect_failures = failures, .established = n - failures, .resets = resets,
	};
}

static struct judge look(const struct model_rollout *policy, struct judge_counts canary, struct judge_counts stable)
{
	struct judge j;

	memset(&j, 0x5a, sizeof(j));
	judge_look(&j, policy, 0, &canary, &stable);
	return j;
}

static void test_each_gate_uses_its_own_counts(void **state)
{
	static const struct model_rollout policy = {
		.n_gates = 7,
		.gate = {
			{ .signal = MODEL_RESPONSE_TIME }, { .signal = MODEL_CONNECT_FAILURE },
			{ .signal = MODEL_RESPONSE_TIME }, { .signal = MODEL_RESET }, { .signal = MODEL_RESPONSE_TIME },
			{ .signal = MODEL_RESPONSE_TIME }, { .signal = MODEL_RESPONSE_TIME },
		},
	};
	static const __u64 want[][2] = {
		{ 11, 500 }, { 7, 1000 }, { 12, 500 }, { 9, 900 }, { 13, 500 }, { 14, 500 }, { 0, 0 },
	};
	struct judge_counts c = {
		.connects = 1000, .connect_failures = 7, .established = 900, .resets = 9, .responders = 500,
		.over = { 11, 12, 13, 14 },
	};
	__u64 bad, n;

	for (unsigned g = 0; g < policy.n_gates; g++) {
		judge_gate_counts(&policy, g, &c, &bad, &n);
		assert_int_equal(bad, want[g][0]);
		assert_int_equal(n, want[g][1]);
	}
	/* a sample between two counters of one connection */
	c.resets = 901;
	judge_gate_counts(&policy, 3, &c, &bad, &n);
	assert_int_equal(bad, 900);
}

static void test_no_data_is_inconclusive(void **state)
{
	struct model_rollout policy = policy_two_gates();
	struct judge j = look(&policy, counts(0, 0, 0), counts(0, 0, 0));

	assert_int_equal(j.n, 2);
	assert_int_equal(j.fails, 0);
	assert_true(j.log_e == 0);
	for (int g = 0; g < 2; g++) {
		assert_int_equal(j.gate[g].verdict, JUDGE_INCONCLUSIVE);
		assert_false(j.gate[g].over_limit);
		assert_false(j.gate[g].stable_fails);
	}
}

static void test_pass_needs_enough_data_within_the_limit(void **state)
{
	struct model_rollout policy = policy_two_gates();

	assert_int_equal(look(&policy, counts(29, 0, 0), counts(9999, 0, 0)).gate[0].verdict, JUDGE_INCONCLUSIVE);
	assert_int_equal(look(&policy, counts(30, 0, 0), counts(9999, 0, 0)).gate[0].verdict, JUDGE_PASS);
	/* 2 of 100 is at the limit, 3 is over it and no proof */
	assert_int_equal(look(&policy, counts(100, 2, 0), counts(9999, 0, 0)).gate[0].verdict, JUDGE_PASS);
	struct judge j = look(&policy, counts(100, 3, 0), counts(9999, 0, 0));
	assert_int_equal(j.gate[0].verdict, JUDGE_INCONCLUSIVE);
	assert_true(j.gate[0].over_limit);
	assert_int_equal(j.gate[1].verdict, JUDGE_PASS);
	assert_int_equal(j.fails, 0);
	policy.min_connections = 0;
	assert_int_equal(look(&policy, counts(0, 0, 0), counts(9999, 0, 0)).gate[0].verdict, JUDGE_INCONCLUSIVE);
}

static void test_proof_fails_the_worst_gate(void **state)
{
	struct model_rollout policy = policy_two_gates();
	struct judge j = look(&policy, counts(50, 20, 5), counts(1000, 0, 0));

	assert_int_equal(j.fails, 1);
	assert_int_equal(j.gate[0].verdict, JUDGE_FAIL);
	assert_int_not_equal(j.gate[1].verdict, JUDGE_FAIL);
	j = look(&policy, counts(50, 1, 40), counts(1000, 0, 0));
	assert_int_equal(j.fails, 2);
	assert_int_equal(j.gate[1].verdict, JUDGE_FAIL);
	/* both over the line: both marked, the stronger named */
	j = look(&policy, counts(200, 20, 150), counts(1000, 0, 0));
	assert_int_equal(j.fails, 2);
	assert_int_equal(j.gate[0].verdict, JUDGE_FAIL);
	assert_int_equal(j.gate[1].verdict, JUDGE_FAIL);
}

/* One alpha: with two gates one has to be twice as sure. */
static void test_average_of_the_gates_meets_the_line_exactly(void **state)
{
	struct model_rollout policy = policy_two_gates();
	bool before = false;

	for (__u64 bad = 0; bad <= 30; bad++) {
		double a = sequential_exceedance(0.02, bad, 100), b = sequential_exceedance(0.05, 0, 100 - bad);
		struct judge j = look(&policy, counts(100, bad, 0), counts(1000, 0, 0));
		bool fails = (exp(a) + exp(b)) / 2 >= 100;

		assert_true(fabs(j.log_e - log((exp(a) + exp(b)) / 2)) < 1e-9);
		assert_true(j.gate[0].log_e == a && j.gate[1].log_e == b);
		assert_int_equal(j.fails != 0, fails);
		assert_true(fails || !before);
		before = fails;
	}
	assert_true(before);
}

static void test_gate_that_stable_fails_is_inconclusive(void **state)
{
	struct model_rollout policy = policy_two_gates();
	/* proven of stable, and little above the limit on much data */
	const struct judge_counts worse[] = { counts(50, 20, 0), counts(10000, 230, 0), counts(250, 6, 0) };

	for (size_t i = 0; i < sizeof(worse) / sizeof(*worse); i++) {
		struct judge j = look(&policy, counts(200, 120, 0), worse[i]);

		assert_true(j.gate[0].stable_fails);
		assert_int_equal(j.gate[0].verdict, JUDGE_INCONCLUSIVE);
		assert_true(j.gate[0].log_e > 100);
		assert_true(j.gate[0].over_limit);
		assert_true(j.log_e <= 0);
		assert_int_equal(j.fails, 0);
	}
}

static void test_stable_with_little_data_does_not_excuse_the_canary(void **state)
{
	struct model_rollout policy = policy_two_gates();
	const struct judge_counts fine[] = { counts(0, 0, 0), counts(10, 1, 0), counts(200, 4, 0), counts(10000, 190, 0) };

	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
		assert_int_equal(look(&policy, counts(200, 120, 0), fine[i]).fails, 1);
}

static void test_other_gates_still_fail_while_stable_fails_one(void **state)
{
	struct model_rollout policy = policy_two_gates();
	struct judge j = look(&policy, counts(200, 120, 60), counts(1000, 500, 0));

	assert_int_equal(j.fails, 2);
	assert_int_equal(j.gate[0].verdict, JUDGE_INCONCLUSIVE);
	assert_int_equal(j.gate[1].verdict, JUDGE_FAIL);
}

/* A gate without counts of its own must not thin the others' evidence. */
static void test_blind_gate_is_told_and_left_out(void **state)
{
	struct model_rollout policy = { .alpha = 0.01, .min_connections = 1, .n_gates = 5 };
	struct judge_counts canary = { .responders = 100, .over = { [3] = 30 } };
	struct judge j;

	for (int g = 0; g < 5; g++)
		policy.gate[g] = (struct model_gate){ .signal = MODEL_RESPONSE_TIME, .max = 0.01 };
	j = look(&policy, canary, (struct judge_counts){ .responders = 1000 });
	assert_int_equal(j.gate[4].verdict, JUDGE_BLIND);
	assert_true(j.gate[4].log_e == 0);
	assert_true(fabs(j.log_e - (sequential_exceedance(0.01, 30, 100) - log(4))) < 1e-6);
	assert_int_equal(j.fails, 4);
}

static void test_limits_of_nothing_and_of_all_are_bearable(void **state)
{
	struct model_rollout policy = policy_two_gates();
	struct judge j;

	policy.gate[0].max = 0;
	policy.gate[1].max = 1;
	j = look(&policy, counts(1000, 10, 990), counts(1000, 0, 0));
	assert_true(isfinite(j.gate[0].log_e) && isfinite(j.gate[1].log_e));
	assert_int_equal(j.fails, 1);
	assert_int_equal(j.gate[1].verdict, JUDGE_PASS);
	assert_int_equal(look(&policy, counts(1000, 0, 990), counts(1000, 0, 0)).fails, 0);
}

static void test_policy_without_gates_fails_nobody(void **state)
{
	struct model_rollout policy = { .alpha = 0.01 };
	struct judge j = look(&policy, counts(1000, 1000, 0), counts(1000, 0, 0));

	assert_int_equal(j.n, 0);
	assert_int_equal(j.fails, 0);
}

static void test_verdicts_have_their_names(void **state)
{
	assert_string_equal(judge_verdict_name(JUDGE_PASS), "pass");
	assert_string_equal(judge_verdict_name(JUDGE_FAIL), "fail");
	assert_string_equal(judge_verdict_name(JUDGE_INCONCLUSIVE), "inconclusive");
	assert_string_equal(judge_verdict_name(JUDGE_BLIND), "blind");
	assert_string_equal(judge_verdict_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_gate_uses_its_own_counts),
		cmocka_unit_test(test_no_data_is_inconclusive),
		cmocka_unit_test(test_pass_needs_enough_data_within_the_limit),
		cmocka_unit_test(test_proof_fails_the_worst_gate),
		cmocka_unit_test(test_average_of_the_gates_meets_the_line_exactly),
		cmocka_unit_test(test_gate_that_stable_fails_is_inconclusive),
		cmocka_unit_test(test_stable_with_little_data_does_not_excuse_the_canary),
		cmocka_unit_test(test_other_gates_still_fail_while_stable_fails_one),
		cmocka_unit_test(test_blind_gate_is_told_and_left_out),
		cmocka_unit_test(test_limits_of_nothing_and_of_all_are_bearable),
		cmocka_unit_test(test_policy_without_gates_fails_nobody),
		cmocka_unit_test(test_verdicts_have_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
