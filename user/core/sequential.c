/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Anytime-valid tests on counts, in log space: at a billion votes the
 * likelihoods themselves are far outside of a double, their logs are not.
 */
#include <math.h>

#include "sequential.h"

#define ALTERNATIVES 12
#define LEAST 1.5
#define MOST 32.0

/*
 * The j-th alternative.  LEAST..MOST times p0 would leave the unit interval
 * for a p0 above 1/MOST, so the good share shrinks by MOST at most: below 1
 * and above p0 for any p0.
 */
static double alternative(double p0, unsigned j)
{
	double p1 = p0 * LEAST * pow(MOST / LEAST, (double)j / (ALTERNATIVES - 1));

	return fmin(p1, 1 - (1 - p0) / MOST);
}

double sequential_exceedance(double p0, __u64 bad, __u64 n)
{
	double log_e[ALTERNATIVES];

	for (unsigned j = 0; j < ALTERNATIVES; j++) {
		double p1 = alternative(p0, j);

		log_e[j] = (double)bad * log(p1 / p0) + (double)(n - bad) * log1p(-(p1 - p0) / (1 - p0));
	}
	return sequential_log_mean(log_e, ALTERNATIVES);
}

double sequential_log_mean(const double *log_e, unsigned n)
{
	double top = -INFINITY, sum = 0;

	if (!n)
		return 0;
	for (unsigned i = 0; i < n; i++)
		top = fmax(top, log_e[i]);
	if (isinf(top))
		return top;
	for (unsigned i = 0; i < n; i++)
		sum += exp(log_e[i] - top);
	return top + log(sum / n);
}
