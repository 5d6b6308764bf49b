/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Evidence on totals. */
#include <math.h>

#include "../sequential.h"
#include "totals.h"

/* What is known of one moment, and the counts of the canary that there may be. */
struct moment {
	double canary, stable, bad;	/* n_c, n_s, b */
	__u64 least, most;
};

/* ln of Z(x), less the binomials of its first term: a factor that is in every Z. */
static double log_z(const struct moment *m, double x)
{
	double term = (double)m->least * log(x), top = term, sum = 1;

	for (__u64 i = m->least; i < m->most; i++) {
		double k = (double)i;

		term += log(x * (m->canary - k) * (m->bad - k) / ((k + 1) * (m->stable - m->bad + k + 1)));
		if (term > top) {
			sum = sum * exp(top - term) + 1;
			top = term;
		} else {
			sum += exp(term - top);
		}
	}
	return top + log(sum);
}

void totals_votes(struct totals *t, double ratio, const struct loss_counts *canary, const struct loss_counts *stable)
{
	struct moment m = { (double)canary->n, (double)stable->n, (double)(canary->bad + stable->bad), 0, 0 };
	double none;

	m.least = (__u64)fmax(0, m.bad - m.stable);
	m.most = (__u64)fmin(m.bad, m.canary);
	if (m.least >= m.most)
		return;		/* it can't have been otherwise */
	none = log_z(&m, ratio);
	for (unsigned j = 0; j < BET_ALTERNATIVES; j++) {
		double r = bet_alternative(j);

		t->log_ratio[j] += (double)canary->bad * log(r) - (log_z(&m, ratio * r) - none);
	}
}

double totals_log_e(const struct totals *t)
{
	return sequential_log_mean(t->log_ratio, BET_ALTERNATIVES);
}
