/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The latency gate's evidence from single votes. */
#include <math.h>

#include "../sequential.h"
#include "wait.h"

const double wait_quantile[WAIT_EDGES] = { 0.5, 0.9, 0.95, 0.99, 0.999 };

void wait_begin(struct wait_bet *b)
{
	for (unsigned i = 0; i < WAIT_EDGES; i++)
		bet_begin(&b->edge[i]);
}

void wait_block(struct wait_bet *b)
{
	for (unsigned i = 0; i < WAIT_EDGES; i++)
		bet_block(&b->edge[i]);
}

/*
 * One edge, one alternative: with odds omega times stable's of being above
 * the edge the canary's share of it is e2, and of all bad votes p_bad are the
 * canary's, of all good ones p_good.
 */
static double log_ratio_of(double omega, double w, double e, __u64 bad_c, __u64 good_c, __u64 bad_s, __u64 good_s)
{
	double e2 = omega * e / (1 - e + omega * e);
	double p_bad = w * e2 / (w * e2 + (1 - w) * e);
	double p_good = w * (1 - e2) / (w * (1 - e2) + (1 - w) * (1 - e));

	return (double)bad_c * log(p_bad / w) + (double)bad_s * log((1 - p_bad) / (1 - w)) +
	       (double)good_c * log(p_good / w) + (double)good_s * log((1 - p_good) / (1 - w));
}

void wait_votes(struct wait_bet *b, double w, const double beyond[WAIT_EDGES],
		const struct wait_votes *canary, const struct wait_votes *stable)
{
	for (unsigned i = 0; i < WAIT_EDGES; i++) {
		__u64 bad_c = canary->above[i] < canary->n ? canary->above[i] : canary->n;
		__u64 bad_s = stable->above[i] < stable->n ? stable->above[i] : stable->n;
		double log_ratio[BET_ALTERNATIVES];

		if (beyond[i] <= 0 || beyond[i] >= 1)
			continue;	/* an edge that nobody or everybody is above says nothing */
		for (unsigned j = 0; j < BET_ALTERNATIVES; j++)
			log_ratio[j] = log_ratio_of(bet_alternative(j), w, beyond[i], bad_c, canary->n - bad_c,
						    bad_s, stable->n - bad_s);
		bet_grow(&b->edge[i], log_ratio);
	}
}

void wait_votes_bad(struct wait_bet *b, double w, double ratio, const double beyond[WAIT_EDGES],
		    const struct wait_votes *canary, const struct wait_votes *stable)
{
	for (unsigned i = 0; i < WAIT_EDGES; i++)
		if (beyond[i] > 0 && beyond[i] < 1)
			bet_votes(&b->edge[i], w, ratio, canary->above[i], stable->above[i]);
}

double wait_log_e(const struct wait_bet *b, const double beyond[WAIT_EDGES])
{
	double log_e[WAIT_EDGES];
	unsigned n = 0;

	for (unsigned i = 0; i < WAIT_EDGES; i++)
		if (beyond[i] > 0 && beyond[i] < 1)
			log_e[n++] = bet_log_e(&b->edge[i]);
	return sequential_log_mean(log_e, n);
}
