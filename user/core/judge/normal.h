/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The normal distribution. */
#ifndef PERCH_CORE_JUDGE_NORMAL_H
#define PERCH_CORE_JUDGE_NORMAL_H

/* The quantile of probability p, 0 < p < 1; exact to about 1e-15. */
double normal_quantile(double p);

#endif
