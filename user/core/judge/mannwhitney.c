/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Mann-Whitney's test of two series. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mannwhitney.h"
#include "normal.h"

#define BISECTIONS 200

const char *mannwhitney_class_name(enum mannwhitney_class c)
{
	static const char *const names[] = { "Pass", "High", "Low", "Nodata" };

	return c < sizeof(names) / sizeof(*names) ? names[c] : "unknown";
}

struct mannwhitney_policy mannwhitney_policy_of(enum mannwhitney_effect effect)
{
	double none = effect == MANNWHITNEY_CLES ? 0.5 : 1;

	return (struct mannwhitney_policy){
		.tolerance = 0.25, .confidence = 0.98, .direction = MANNWHITNEY_EITHER,
		.effect = effect, .increase = none, .decrease = none, .outlier_factor = 3,
	};
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double mannwhitney_percentile(const double *sorted, size_t n, double p)
{
	double at = p * (double)(n - 1), below = floor(at);
	size_t i = (size_t)below;

	return i + 1 < n ? sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

size_t mannwhitney_fences(const double *sorted, size_t n, double factor, bool wide, size_t *ret_first)
{
	double q1, q3, low, high;
	size_t first = 0, end = n;

	*ret_first = 0;
	if (!n)
		return 0;
	q1 = mannwhitney_percentile(sorted, n, 0.25);
	q3 = mannwhitney_percentile(sorted, n, 0.75);
	low = q1 - factor * (q3 - q1);
	high = q3 + factor * (q3 - q1);
	if (wide) {
		low = fmin(low, mannwhitney_percentile(sorted, n, 0.01));
		high = fmax(high, mannwhitney_percentile(sorted, n, 0.99));
	}
	while (first < n && sorted[first] < low)
		first++;
	while (end > first && sorted[end - 1] > high)
		end--;
	*ret_first = first;
	return end - first;
}

/* The sum of the ranks of x - mu among both, and that of t^3 - t over ties. */
static double ranks(const double *x, size_t m, const double *y, size_t n, double mu, double *ret_ties)
{
	double sum = 0, ties = 0, rank = 0;

	for (size_t i = 0, j = 0; i < m || j < n;) {
		double v = j >= n || (i < m && x[i] - mu <= y[j]) ? x[i] - mu : y[j], t;
		size_t i0 = i, j0 = j;

		while (i < m && x[i] - mu == v)
			i++;
		while (j < n && y[j] == v)
			j++;
		t = (double)(i - i0 + j - j0);
		sum += (double)(i - i0) * (rank + (t + 1) / 2);
		ties += t * t * t - t;
		rank += t;
	}
	*ret_ties = ties;
	return sum;
}

double mannwhitney_z(const double *canary, size_t m, const double *baseline, size_t n, double mu)
{
	double a = (double)m, b = (double)n, all = a + b, ties, sigma, d;

	d = ranks(canary, m, baseline, n, mu, &ties) - a * (a + 1) / 2 - a * b / 2;
	sigma = sqrt(a * b / 12 * (all + 1 - ties / (all * (all - 1))));
	d -= d > 0 ? 0.5 : d < 0 ? -0.5 : 0;
	return sigma > 0 ? d / sigma : 0;
}

/* z falls with the shift, in steps: where does it come below (or to) `at`? */
static double falls_to(const double *x, size_t m, const double *y, size_t n, double at, bool equal)
{
	double low = x[0] - y[n - 1], high = x[m - 1] - y[0];

	for (int i = 0; i < BISECTIONS; i++) {
		double middle = low + (high - low) / 2, z;

		if (middle <= low || middle >= high)
			break;
		z = mannwhitney_z(x, m, y, n, middle);
		if (z < at || (equal && z <= at))
			high = middle;
		else
			low = middle;
	}
	return high;
}

double mannwhitney_effect_of(enum mannwhitney_effect effect, const double *canary, size_t m, const double *baseline, size_t n)
{
	double a = (double)m, b = (double)n, ties, sum_x = 0, sum_y = 0;

	if (effect == MANNWHITNEY_CLES)
		return (2 * ranks(canary, m, baseline, n, 0, &ties) - a * (a + 1)) / (2 * a * b);
	for (size_t i = 0; i < m; i++)
		sum_x += canary[i];
	for (size_t i = 0; i < n; i++)
		sum_y += baseline[i];
	return sum_x == 0 || sum_y == 0 ? NAN : (sum_x / a) / (sum_y / b);
}

/* A copy, sorted, as the policy wants it; NULL: no memory. */
static double *prepare(const struct mannwhitney_policy *policy, const double *v, size_t n, size_t *ret_n)
{
	double *copy = malloc((n ? n : 1) * sizeof(*copy));
	size_t kept = 0, first = 0;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!isnan(v[i]) || policy->nan_is_zero)
			copy[kept++] = isnan(v[i]) ? 0 : v[i];
	qsort(copy, kept, sizeof(*copy), by_value);
	if (policy->outliers_go) {
		kept = mannwhitney_fences(copy, kept, policy->outlier_factor, true, &first);
		memmove(copy, copy + first, kept * sizeof(*copy));
	}
	*ret_n = kept;
	return copy;
}

static void shift(const struct mannwhitney_policy *policy, const double *x, size_t m, const double *y, size_t n,
		  struct mannwhitney_result *ret)
{
	double z = normal_quantile(1 - (1 - policy->confidence) / 2);

	if (x[0] == x[m - 1] && y[0] == y[n - 1]) {
		ret->lower = ret->upper = ret->estimate = x[0] - y[0];
		return;
	}
	ret->lower = falls_to(x, m, y, n, z, false);
	ret->upper = falls_to(x, m, y, n, -z, true);
	/* the middle of where z is 0 */
	ret->estimate = (falls_to(x, m, y, n, 0, true) + falls_to(x, m, y, n, 0, false)) / 2;
}

static void classify(const struct mannwhitney_policy *policy, struct mannwhitney_result *r)
{
	double bound = policy->tolerance * fabs(r->estimate);

	if (policy->direction != MANNWHITNEY_DECREASE && r->lower > bound &&
	    (isnan(r->effect) || r->effect >= policy->increase)) {
		r->class = MANNWHITNEY_HIGH;
		r->why = "the canary's values are higher";
	} else if (policy->direction != MANNWHITNEY_INCREASE && r->upper < -bound &&
		   (isnan(r->effect) || r->effect <= policy->decrease)) {
		r->class = MANNWHITNEY_LOW;
		r->why = "the canary's values are lower";
	} else {
		r->why = "no shift beyond the tolerance is shown";
	}
}

static bool same(const double *x, size_t m, const double *y, size_t n)
{
	return (m == n && memcmp(x, y, n * sizeof(*x)) == 0) || (x[0] == x[m - 1] && y[0] == y[n - 1] && x[0] == y[0]);
}

/* x canary, y baseline, both sorted. */
static void judge(const struct mannwhitney_policy *policy, const double *x, size_t m, const double *y, size_t n,
		  struct mannwhitney_result *ret)
{
	*ret = (struct mannwhitney_result){ MANNWHITNEY_PASS, NAN, NAN, NAN, NAN, "" };
	if (!m || !n) {
		ret->class = policy->nan_is_zero ? MANNWHITNEY_PASS : MANNWHITNEY_NODATA;
		ret->why = !m && !n ? "neither has values" : m ? "the baseline has no values" : "the canary has no values";
		return;
	}
	ret->effect = mannwhitney_effect_of(policy->effect, x, m, y, n);
	if (same(x, m, y, n)) {
		ret->lower = ret->upper = ret->estimate = 0;
		ret->why = "both have the same values";
		return;
	}
	shift(policy, x, m, y, n, ret);
	classify(policy, ret);
}

int mannwhitney_judge(const struct mannwhitney_policy *policy, const double *baseline, size_t n_baseline,
		      const double *canary, size_t n_canary, struct mannwhitney_result *ret)
{
	size_t m = 0, n = 0;
	double *x = prepare(policy, canary, n_canary, &m), *y = prepare(policy, baseline, n_baseline, &n);
	int err = x && y ? 0 : -ENOMEM;

	if (!err)
		judge(policy, x, m, y, n, ret);
	free(x);
	free(y);
	return err;
}
