/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sample ratio: do new clients come to the canary as often as its share
 * says?  Each is a Bernoulli trial with probability w; that its odds are omega
 * times those of w is bet on for 12 omega, six below one and six above, from
 * the start.  An e-process over shares that move: E >= 1/alpha refutes the
 * share at level alpha, however often we look.  (Lindon & Malek's multinomial
 * test, with a prior of points on the odds instead of a Dirichlet on a share
 * that does not stay.)
 */
#ifndef PERCH_CORE_JUDGE_RATIO_H
#define PERCH_CORE_JUDGE_RATIO_H

#include <linux/types.h>

#define RATIO_ALTERNATIVES 12
#define RATIO_CLIENTS 1000	/* of fewer it is no alarm yet */

/* Plain bytes that may be kept; all zero: nobody came. */
struct ratio {
	double log_ratio[RATIO_ALTERNATIVES];
	double expected;	/* clients of the canary, by its shares */
	double most;		/* ln E was once; >= 0 */
	__u64 canary, stable;	/* clients that came */
};

/* Clients that came while the share was w (0 < w < 1). */
void ratio_clients(struct ratio *r, double w, __u64 canary, __u64 stable);
/* ln E as of now. */
double ratio_log_e(const struct ratio *r);

#endif
