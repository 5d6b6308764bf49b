/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Evidence in closed form for votes at one share. */
#include <math.h>

#include "beta.h"
#include "mixture.h"

#define BISECTIONS 200

double mixture_share(double w, double ratio)
{
	return w * ratio / (w * ratio + 1 - w);
}

double mixture_one_sided_prior(double theta0, double a, double b, __u64 canary, __u64 stable)
{
	double c = (double)canary, s = (double)stable;

	return log_beta(a + c, b + s) + log_beta_part(1 - theta0, b + s, a + c) -
	       log_beta(a, b) - log_beta_part(1 - theta0, b, a) -
	       c * log(theta0) - s * log1p(-theta0);
}

double mixture_one_sided(double theta0, __u64 canary, __u64 stable)
{
	return mixture_one_sided_prior(theta0, 0.5, (1 - theta0) / (2 * theta0), canary, stable);
}

double mixture_dirichlet(const double *theta0, const double *prior, const __u64 *votes, unsigned n)
{
	double log_e = 0, votes_sum = 0, prior_sum = 0;

	for (unsigned i = 0; i < n; i++) {
		double v = (double)votes[i];

		log_e += lgamma(prior[i] + v) - lgamma(prior[i]) - v * log(theta0[i]);
		votes_sum += v;
		prior_sum += prior[i];
	}
	return log_e + lgamma(prior_sum) - lgamma(prior_sum + votes_sum);
}

double mixture_two_sided(const double *theta0, const __u64 *votes, unsigned n, double k)
{
	double prior[MIXTURE_ARMS];

	for (unsigned i = 0; i < n; i++)
		prior[i] = k * theta0[i];
	return mixture_dirichlet(theta0, prior, votes, n);
}

/* ln E of the mixture against the share p of bad votes. */
static double against(double p, double prior, double c, double s)
{
	return prior - (c > 0 ? c * log(p) : 0) - (s > 0 ? s * log1p(-p) : 0);
}

/* The root of `against` = limit between `in`, where it is below, and `out`. */
static double root(double in, double out, double limit, double prior, double c, double s)
{
	for (int i = 0; i < BISECTIONS; i++) {
		double middle = (in + out) / 2;

		if (against(middle, prior, c, s) < limit)
			in = middle;
		else
			out = middle;
	}
	return in;
}

static double ratio_of(double p, double w)
{
	return p * (1 - w) / ((1 - p) * w);
}

struct ratio_interval mixture_ratio(double w, double k, double alpha, __u64 canary, __u64 stable)
{
	double c = (double)canary, s = (double)stable, limit = -log(alpha);
	double prior = log_beta(k * w + c, k * (1 - w) + s) - log_beta(k * w, k * (1 - w));
	struct ratio_interval found = { 0, INFINITY };
	double best = c + s > 0 ? c / (c + s) : w;

	if (canary)
		found.low = ratio_of(root(best, 0, limit, prior, c, s), w);
	if (stable)
		found.high = ratio_of(root(best, 1, limit, prior, c, s), w);
	return found;
}

struct ratio_interval ratio_meet(struct ratio_interval a, struct ratio_interval newer)
{
	struct ratio_interval both = { fmax(a.low, newer.low), fmin(a.high, newer.high) };

	return both.low <= both.high ? both : newer;
}
