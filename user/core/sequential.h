/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Anytime-valid tests on counts (STATISTICS.md in the design; Howard and
 * Ramdas, "Sequential estimation of quantiles", 2022).  Pure functions of
 * counts: the caller keeps nothing between looks. */
#ifndef PERCH_CORE_SEQUENTIAL_H
#define PERCH_CORE_SEQUENTIAL_H

#include <linux/types.h>

/*
 * log E of the Bernoulli e-process against p <= p0 after `bad` of `n`: the
 * mean over 12 alternatives p1 log-spaced from 1.5 to 32 times p0 (capped
 * below 1) of (p1/p0)^bad ((1-p1)/(1-p0))^(n-bad).  By Ville's inequality
 * E >= 1/alpha ever, with p <= p0, has probability at most alpha.
 * 0 < p0 < 1, bad <= n; -INFINITY never, 0 at n = 0.
 */
double sequential_exceedance(double p0, __u64 bad, __u64 n);

/* log of the mean of n numbers given by their logs. */
double sequential_log_mean(const double *log_e, unsigned n);

#endif
