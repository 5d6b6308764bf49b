/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The latency gate's evidence from keep-alive pools. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../sequential.h"
#include "normal.h"
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

double pool_e(const struct pool_bet *b, double sum)
{
	unsigned even = b->minutes < POOL_MINUTES ? POOL_MINUTES - b->minutes : 0;

	return sum + 0.5 / (b->minutes + 1.0) + 0.5 * even / POOL_MINUTES;
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
