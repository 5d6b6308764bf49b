/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The beta function and its incomplete relative in logs: mixtures over a
 * share of millions of votes are far below the smallest double.
 */
#ifndef PERCH_CORE_JUDGE_BETA_H
#define PERCH_CORE_JUDGE_BETA_H

/* ln B(a, b); a, b > 0. */
double log_beta(double a, double b);
/* ln I_x(a, b), the regularized incomplete beta function; 0 <= x <= 1.
 * By the continued fraction of Abramowitz & Stegun 26.5.8, evaluated as Lentz
 * does; relative error about 1e-12. */
double log_beta_part(double x, double a, double b);

#endif
