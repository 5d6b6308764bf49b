/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Histogram edges against the kernel's bucket function, quantiles and sums
 * against the sorted values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/histogram.h"

static __u64 us(double seconds)
{
	return (__u64)llround(seconds * 1e6);
}

static void test_edges_meet_the_kernels_buckets(void **state)
{
	for (unsigned b = 0; b < PERCH_HIST_BUCKETS; b++) {
		assert_int_equal(perch_hist_bucket(us(histogram_low(b))), b);
		if (b == PERCH_HIST_BUCKETS - 1)
			break;
		assert_int_equal(perch_hist_bucket(us(histogram_high(b)) - 1), b);
		assert_int_equal(perch_hist_bucket(us(histogram_high(b))), b + 1);
		assert_true(histogram_high(b) == histogram_low(b + 1));
	}
	assert_true(isinf(histogram_high(PERCH_HIST_BUCKETS - 1)));
	assert_int_equal(perch_hist_bucket(~0ull), PERCH_HIST_BUCKETS - 1);
}

static void test_empty_histogram_has_no_quantile(void **state)
{
	__u64 h[PERCH_HIST_BUCKETS] = { 0 };

	assert_true(isnan(histogram_quantile(h, 0.5)));
	assert_int_equal(histogram_count(h), 0);
	assert_true(histogram_sum(h) == 0);
}

static void test_one_bucket_is_interpolated(void **state)
{
	__u64 h[PERCH_HIST_BUCKETS] = { [100] = 4 };
	double low = histogram_low(100), width = histogram_high(100) - low;

	assert_true(fabs(histogram_quantile(h, 0.25) - (low + width / 4)) < 1e-12);
	assert_true(fabs(histogram_quantile(h, 0.5) - (low + width / 2)) < 1e-12);
	assert_true(histogram_quantile(h, 1e-9) >= low);
	assert_true(histogram_quantile(h, 1 - 1e-12) <= low + width);
}

static void test_last_bucket_gives_its_low_edge(void **state)
{
	__u64 h[PERCH_HIST_BUCKETS] = { [0] = 1, [PERCH_HIST_BUCKETS - 1] = 99 };

	assert_true(histogram_quantile(h, 0.9) == histogram_low(PERCH_HIST_BUCKETS - 1));
	assert_true(isfinite(histogram_sum(h)));
}

static int compare(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return (x > y) - (x < y);
}

#define VALUES 20000

/* The bucket of the quantile must be that of the value with its rank. */
static void test_quantiles_match_sorted_values(void **state)
{
	static const double q[] = { 0.001, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999 };
	static __u64 value[VALUES];
	unsigned seed = 7;

	for (int round = 0; round < 5; round++) {
		__u64 h[PERCH_HIST_BUCKETS] = { 0 };

		for (int i = 0; i < VALUES; i++) {
			double u = (rand_r(&seed) + 0.5) / (RAND_MAX + 1.0);

			value[i] = (__u64)exp(2 + 3 * round * u);
			h[perch_hist_bucket(value[i])]++;
		}
		qsort(value, VALUES, sizeof(*value), compare);
		for (size_t i = 0; i < sizeof(q) / sizeof(*q); i++) {
			unsigned b = perch_hist_bucket(value[(int)ceil(q[i] * VALUES) - 1]);
			double got = histogram_quantile(h, q[i]);

			assert_true(got >= histogram_low(b) && got <= histogram_high(b));
		}
		assert_int_equal(histogram_count(h), VALUES);
	}
}

/* Midpoints: an eighth of the value is the widest a bucket gets. */
static void test_sum_is_within_half_a_bucket(void **state)
{
	__u64 h[PERCH_HIST_BUCKETS] = { 0 };
	unsigned seed = 3;
	double sum = 0;

	for (int i = 0; i < VALUES; i++) {
		__u64 v = 16 + rand_r(&seed) % 10000000;

		sum += v * 1e-6;
		h[perch_hist_bucket(v)]++;
	}
	assert_true(fabs(histogram_sum(h) - sum) < sum / 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges_meet_the_kernels_buckets),
		cmocka_unit_test(test_empty_histogram_has_no_quantile),
		cmocka_unit_test(test_one_bucket_is_interpolated),
		cmocka_unit_test(test_last_bucket_gives_its_low_edge),
		cmocka_unit_test(test_quantiles_match_sorted_values),
		cmocka_unit_test(test_sum_is_within_half_a_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
