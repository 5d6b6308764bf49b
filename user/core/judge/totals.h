/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Evidence on totals: of the bad outcomes of a moment, how many are the canary's,
 * given how many connections of each version were decided in it?  No share is
 * asked, so that it can be believed where clients do not come as the shares say
 * (ratio.h), and the event gates (event.h) can not.  If the odds of the canary's
 * being bad are x times stable's, its part of b bad ones has Fisher's noncentral
 * hypergeometric distribution: P(c) = C(n_c, c) C(n_s, b - c) x^c / Z(x), with
 * Z(x) the sum of that over c.  Moments are strata; the alternatives are those of
 * the event gates, against the same margin.
 */
#ifndef PERCH_CORE_JUDGE_TOTALS_H
#define PERCH_CORE_JUDGE_TOTALS_H

#include "event.h"
#include "loss.h"

/* Plain bytes that may be kept; all zero: nothing came. */
struct totals {
	double log_ratio[BET_ALTERNATIVES];	/* sum of c ln R - ln Z(r0 R) / Z(r0) */
};

/* Outcomes of one moment, under a margin r0 = `ratio`. */
void totals_votes(struct totals *t, double ratio, const struct loss_counts *canary, const struct loss_counts *stable);
/* ln E, the mean over the alternatives. */
double totals_log_e(const struct totals *t);

#endif
