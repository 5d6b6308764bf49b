/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Evidence in closed form for votes that were all cast at one share: what
 * `perch judge sequential` and displays show (the gates of a rollout, whose
 * shares move, are in event.h).  Of c + s bad votes c are the canary's; under
 * "no worse than r0 times stable" each is the canary's with probability at
 * most theta0.  Lindon & Malek, "Anytime-valid inference for multinomial
 * count data" (NeurIPS 2022).
 */
#ifndef PERCH_CORE_JUDGE_MIXTURE_H
#define PERCH_CORE_JUDGE_MIXTURE_H

#include <linux/types.h>

/* theta0 = w r0 / (w r0 + 1 - w): the canary's share of bad votes when its
 * risk is r0 times stable's; 0 < w < 1. */
double mixture_share(double w, double ratio);
/* ln E against "at most theta0", a beta(a, b) prior cut to (theta0, 1). */
double mixture_one_sided_prior(double theta0, double a, double b, __u64 canary, __u64 stable);
/* The same with a = 1/2, b = (1 - theta0) / (2 theta0). */
double mixture_one_sided(double theta0, __u64 canary, __u64 stable);
#define MIXTURE_ARMS 4
/* ln E against "exactly theta0[i]" for n arms, prior Dirichlet(prior[i]). */
double mixture_dirichlet(const double *theta0, const double *prior, const __u64 *votes, unsigned n);
/* The same, prior Dirichlet(k theta0[i]); n <= MIXTURE_ARMS. */
double mixture_two_sided(const double *theta0, const __u64 *votes, unsigned n, double k);

struct ratio_interval {
	double low, high;	/* high INFINITY: no bound */
};
/* The confidence sequence of the risk ratio at level 1 - alpha: all R that
 * the two-sided mixture with k does not refute. */
struct ratio_interval mixture_ratio(double w, double k, double alpha, __u64 canary, __u64 stable);
/* What is left of the interval so far, after one more look; where nothing is
 * left, the newer. */
struct ratio_interval ratio_meet(struct ratio_interval a, struct ratio_interval newer);

#endif
