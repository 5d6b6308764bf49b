/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The beta function in logs. */
#include <math.h>

#include "beta.h"

#define TERMS 100000
#define TINY 1e-300

double log_beta(double a, double b)
{
	return lgamma(a) + lgamma(b) - lgamma(a + b);
}

/* One step of Lentz's method: the fraction's next coefficient into c, d and
 * the value so far. */
static double lentz(double coefficient, double *c, double *d)
{
	*d = 1 + coefficient * *d;
	if (fabs(*d) < TINY)
		*d = TINY;
	*c = 1 + coefficient / *c;
	if (fabs(*c) < TINY)
		*c = TINY;
	*d = 1 / *d;
	return *d * *c;
}

static double fraction(double x, double a, double b)
{
	double c = 1, d = 1 - (a + b) * x / (a + 1), value;

	d = 1 / (fabs(d) < TINY ? TINY : d);
	value = d;
	for (int m = 1; m < TERMS; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double change;

		value *= lentz(even, &c, &d);
		change = lentz(odd, &c, &d);
		value *= change;
		if (fabs(change - 1) < 1e-15)
			break;
	}
	return value;
}

double log_beta_part(double x, double a, double b)
{
	if (x <= 0)
		return -INFINITY;
	if (x >= 1)
		return 0;
	/* the fraction converges fast on the near side of the mean alone */
	if (x > (a + 1) / (a + b + 2))
		return log1p(-exp(log_beta_part(1 - x, b, a)));
	return a * log(x) + b * log1p(-x) - log(a) - log_beta(a, b) + log(fraction(x, a, b));
}
