/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Distributions seen through a sample that grows: a band around the whole
 * empirical distribution function that holds at all times, and a test whether
 * two arms have the same quantile.  Howard & Ramdas, "Sequential estimation
 * of quantiles with applications to A/B testing and best-arm identification"
 * (Bernoulli 2022), theorem 2 and section 4.
 */
#ifndef PERCH_CORE_JUDGE_BAND_H
#define PERCH_CORE_JUDGE_BAND_H

#include <stddef.h>

/* C of the band at level alpha for A = .85: 8.123 at .05. */
double band_constant(double alpha);
/* The band's half width after t values, t >= t_min >= 1. */
double band_radius(double t, double t_min, double alpha);

/* The two-sided normal mixture's tuning for the time v (variance). */
double band_best_rho(double v, double alpha);
/* ln of the beta-binomial mixture supermartingale at deviation s and time v;
 * values lie in [-g, h]. */
double band_log_martingale(double s, double v, double rho, double g, double h);

/*
 * p of "the q-quantiles of both are the same", anytime-valid; both sorted
 * ascending.  t_opt: the sample size at which the test is sharpest.
 */
double band_quantile_p(const double *a, size_t n_a, const double *b, size_t n_b, double q, double t_opt, double alpha_opt);

#endif
