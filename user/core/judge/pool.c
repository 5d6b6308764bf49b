/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The latency gate's evidence from keep-alive pools. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../sequential.h"
#include "pool.h"

/* How strongly ranks are bet on. */
static const double lambda[] = { 0.5, 1, 1.5, 2, 3, 4 };
#define LAMBDAS (sizeof(lambda) / sizeof(*lambda))

struct place {
	double y, w;
	bool canary;
};

static int by_y(const void *a, const void *b)
{
	double x = ((const struct place *)a)->y, y = ((const struct place *)b)->y;

	return (x > y) - (x < y);
}

/*
 * The quantile of the normal distribution: Acklam's rational approximation,
 * made exact by one step of Halley's method on erfc.
 */
static double normal_quantile(double p)
{
	static const double a[] = { -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
				    1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00 };
	static const double b[] = { -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
				    6.680131188771972e+01, -1.328068155288572e+01 };
	static const double c[] = { -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
				    -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00 };
	static const double d[] = { 7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
				    3.754408661907416e+00 };
	double tail = fmin(p, 1 - p), x, error;

	if (tail < 0.02425) {
		double q = sqrt(-2 * log(tail));

		x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
		    ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
		x = p < 0.5 ? x : -x;
	} else {
		double q = p - 0.5, r = q * q;

		x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
		    (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
	}
	error = (0.5 * erfc(-x * M_SQRT1_2) - p) * sqrt(2 * M_PI) * exp(x * x / 2);
	return x - error / (1 + x * error / 2);
}

/* Equal ones share the mean of their ranks, or their order would speak. */
static size_t tied(const struct place *p, size_t from, size_t n)
{
	size_t to = from + 1;

	while (to < n && p[to].y == p[from].y)
		to++;
	return to;
}

/* E of one minute: the mean over lambda of prod exp(lambda A z) / (1 - w + w exp(lambda z)). */
static double minute(struct place *p, size_t n)
{
	double log_e[LAMBDAS] = { 0 };

	qsort(p, n, sizeof(*p), by_y);
	for (size_t from = 0, to; from < n; from = to) {
		double z;

		to = tied(p, from, n);
		z = normal_quantile(((double)(from + to)) / (2 * (double)n));
		for (size_t i = from; i < to; i++)
			for (size_t k = 0; k < LAMBDAS; k++)
				log_e[k] += (p[i].canary ? lambda[k] * z : 0) -
					    log(1 - p[i].w + p[i].w * exp(lambda[k] * z));
	}
	return exp(sequential_log_mean(log_e, LAMBDAS));
}

/* Weights that add up to at most 1 whenever one stops. */
static double weight(unsigned m)
{
	return 0.5 / ((double)m * (m + 1)) + (m <= POOL_MINUTES ? 0.5 / POOL_MINUTES : 0);
}

int pool_minute(struct pool_bet *b, struct pool_row *rows, size_t n, double max_slowdown)
{
	struct place *p = malloc((n ? n : 1) * sizeof(*p));
	size_t n_change = 0;
	double gain;

	if (!p)
		return -ENOMEM;
	b->minutes++;
	gain = weight(b->minutes);
	for (size_t i = 0; i < n; i++)
		p[i] = (struct place){ rows[i].wait - (rows[i].canary ? log(max_slowdown) : 0), rows[i].w, rows[i].canary };
	b->level += gain * minute(p, n);
	for (size_t i = 0; i < n; i++)
		if (!isnan(rows[i].first))
			p[n_change++] = (struct place){ rows[i].wait - rows[i].first - (rows[i].canary ? log(max_slowdown) : 0),
							rows[i].w, rows[i].canary };
	b->change += gain * minute(p, n_change);
	free(p);
	return 0;
}
