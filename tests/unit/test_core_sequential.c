/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The exceedance e-process: against its definition in plain products, at the
 * edges of a double, and by seeded simulation of what it promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/core/sequential.h"

#define ALPHA 0.01

/* The definition, in long double products: nothing of the code's log space. */
static double by_products(double p0, __u64 bad, __u64 n)
{
	long double sum = 0;

	for (int j = 0; j < 12; j++) {
		long double p1 = p0 * 1.5L * powl(32 / 1.5L, j / 11.0L), cap = 1 - (1 - (long double)p0) / 32, e = 1;

		p1 = p1 < cap ? p1 : cap;
		for (__u64 i = 0; i < n; i++)
			e *= i < bad ? p1 / p0 : (1 - p1) / (1 - p0);
		sum += e;
	}
	return (double)logl(sum / 12);
}

static void test_exceedance_equals_its_definition(void **state)
{
	static const double p0[] = { 0.0001, 0.001, 0.01, 0.02, 0.05, 0.3, 0.6, 0.7, 0.95, 0.999 };

	for (size_t i = 0; i < sizeof(p0) / sizeof(*p0); i++)
		for (__u64 n = 0; n <= 60; n += n < 10 ? 1 : 10)
			for (__u64 bad = 0; bad <= n; bad += bad < 5 ? 1 : 5) {
				double want = by_products(p0[i], bad, n), got = sequential_exceedance(p0[i], bad, n);

				if (fabs(got - want) > 1e-9 * (1 + fabs(want)))
					fail_msg("p0 %g, %llu of %llu: %.12g, not %.12g", p0[i], bad, n, got, want);
			}
}

static void test_exceedance_starts_at_one_and_stays_finite(void **state)
{
	static const double p0[] = { 1e-9, 1e-4, 0.01, 0.5, 0.99, 1 - 1e-9 };
	static const __u64 n[] = { 1, 1000, 1000000, 1000000000 };

	for (size_t i = 0; i < sizeof(p0) / sizeof(*p0); i++) {
		assert_true(sequential_exceedance(p0[i], 0, 0) == 0);
		for (size_t k = 0; k < sizeof(n) / sizeof(*n); k++) {
			assert_true(isfinite(sequential_exceedance(p0[i], 0, n[k])));
			assert_true(isfinite(sequential_exceedance(p0[i], n[k] / 2, n[k])));
			assert_true(isfinite(sequential_exceedance(p0[i], n[k], n[k])));
			assert_true(sequential_exceedance(p0[i], 0, n[k]) < 0);
			assert_true(sequential_exceedance(p0[i], n[k], n[k]) > 0);
		}
	}
}

/* At a billion votes on the limit and at twice it: far on either side. */
static void test_exceedance_is_right_at_a_billion(void **state)
{
	assert_true(sequential_exceedance(0.01, 10000000, 1000000000) < -1000);
	assert_true(sequential_exceedance(0.01, 20000000, 1000000000) > 1000000);
}

static void test_exceedance_grows_with_each_bad_one(void **state)
{
	for (__u64 bad = 1; bad <= 200; bad++)
		assert_true(sequential_exceedance(0.02, bad, 200) > sequential_exceedance(0.02, bad - 1, 200));
}

static void test_log_mean_is_the_mean(void **state)
{
	double logs[] = { log(1), log(2), log(6) }, large[] = { 5000, 5000 }, none[] = { -INFINITY, -INFINITY };
	double one[] = { -INFINITY, 0 };

	assert_true(fabs(sequential_log_mean(logs, 3) - log(3)) < 1e-12);
	assert_true(fabs(sequential_log_mean(large, 2) - 5000) < 1e-12);
	assert_true(sequential_log_mean(none, 2) == -INFINITY);
	assert_true(fabs(sequential_log_mean(one, 2) - log(0.5)) < 1e-12);
	assert_true(sequential_log_mean(logs, 0) == 0);
}

/* xorshift64*, Vigna 2016 */
static double uniform(__u64 *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return (double)(*x * 0x2545f4914f6cdd1dull >> 11) / 9007199254740992.0;
}

/* Looks after every bad vote: E only falls between them, so these are all the
 * looks that matter.  Votes until E reached 1/alpha, 0: not within n. */
static __u64 crossing(double p0, double p, __u64 n, __u64 *seed)
{
	__u64 bad = 0;

	for (__u64 at = 0;;) {
		/* geometric gap to the next bad vote */
		at += 1 + (__u64)fmin(log(1 - uniform(seed)) / log1p(-p), 1e15);
		if (at > n)
			return 0;
		if (sequential_exceedance(p0, ++bad, at) >= -log(ALPHA))
			return at;
	}
}

static double crossing_rate(double p0, double p, __u64 n, int runs)
{
	__u64 seed = 42;
	int crossed = 0;

	for (int i = 0; i < runs; i++)
		crossed += crossing(p0, p, n, &seed) != 0;
	return (double)crossed / runs;
}

static void test_healthy_is_rarely_ever_over_the_line(void **state)
{
	static const struct {
		double p0;
		__u64 n;
		int runs;
	} cases[] = { { 0.02, 20000, 4000 }, { 0.002, 200000, 4000 }, { 0.3, 500, 4000 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double error = 2 * sqrt(ALPHA * (1 - ALPHA) / cases[i].runs);
		double at = crossing_rate(cases[i].p0, cases[i].p0, cases[i].n, cases[i].runs);
		double below = crossing_rate(cases[i].p0, cases[i].p0 * 0.8, cases[i].n, cases[i].runs);

		print_message("limit %g: ever over the line %.4f at it, %.4f at 0.8 of it\n", cases[i].p0, at, below);
		assert_true(at <= ALPHA + error);
		assert_true(below <= at);
	}
}

static void test_twice_the_limit_is_found(void **state)
{
	__u64 seed = 42, found[401] = {};
	int n = 0;

	for (int i = 0; i < 401; i++) {
		__u64 at = crossing(0.02, 0.04, 20000, &seed);

		if (!at)
			continue;
		int k = n++;

		for (; k > 0 && found[k - 1] > at; k--)
			found[k] = found[k - 1];
		found[k] = at;
	}
	assert_int_equal(n, 401);
	print_message("4 %% at a limit of 2 %%: found after %llu votes in the median, %llu at most\n", found[200],
		      found[400]);
	/* Wald's limit for a known rate is ln(1/alpha) / KL = 581 votes */
	assert_true(found[200] > 400 && found[200] < 1800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exceedance_equals_its_definition),
		cmocka_unit_test(test_exceedance_starts_at_one_and_stays_finite),
		cmocka_unit_test(test_exceedance_is_right_at_a_billion),
		cmocka_unit_test(test_exceedance_grows_with_each_bad_one),
		cmocka_unit_test(test_log_mean_is_the_mean),
		cmocka_unit_test(test_healthy_is_rarely_ever_over_the_line),
		cmocka_unit_test(test_twice_the_limit_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
