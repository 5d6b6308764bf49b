/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The sample ratio's evidence. */
#include <math.h>

#include "../sequential.h"
#include "ratio.h"

/* The odds of alternative j, as times those of w. */
static double odds(unsigned j)
{
	static const double off[RATIO_ALTERNATIVES / 2] = { 0.02, 0.05, 0.1, 0.2, 0.5, 1.6 };
	double log_odds = off[j / 2];

	return exp(j % 2 ? -log_odds : log_odds);
}

void ratio_clients(struct ratio *r, double w, __u64 canary, __u64 stable)
{
	for (unsigned j = 0; j < RATIO_ALTERNATIVES; j++) {
		double omega = odds(j), all = 1 - w + omega * w;	/* p = omega w / all */

		r->log_ratio[j] += (double)canary * log(omega / all) - (double)stable * log(all);
	}
	r->expected += w * (double)(canary + stable);
	r->canary += canary;
	r->stable += stable;
	r->most = fmax(r->most, ratio_log_e(r));
}

double ratio_log_e(const struct ratio *r)
{
	return sequential_log_mean(r->log_ratio, RATIO_ALTERNATIVES);
}
