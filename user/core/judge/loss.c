/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The loss rule. */
#include <math.h>

#include "../sequential.h"
#include "beta.h"
#include "loss.h"
#include "mixture.h"

#define BISECTIONS 100
#define LOWER_PRIOR 50.0
#define UPPER_SHARE 0.4		/* of beta: .02 of .05 */
#define LOWER_SHARE 0.1		/* .005 of .05 */
#define MOST_CONNECTIONS 1e12

static const double alternatives[LOSS_ALTERNATIVES] = { 0.25, 0.4, 0.5, 0.6, 0.67, 0.75, 0.85 };

double loss_allowed(double share, double per_hour, double rate)
{
	return rate > 0 ? fmax(share, per_hour / (3600 * rate)) : share;
}

double loss_delta(double allowed, double next_share)
{
	return next_share > 0 ? fmin(0.5, allowed / next_share) : 0.5;
}

/* ln of the beta-binomial mixture over the share p; c, g real, so that the
 * future can be asked about too. */
static double against(double p, double prior, double c, double g)
{
	return prior - (c > 0 ? c * log(p) : 0) - (g > 0 ? g * log1p(-p) : 0);
}

/* The share between `in` (not refuted) and `out` at which it is. */
static double root(double in, double out, double level, double b, double c, double n)
{
	double prior = log_beta(0.5 + c, b + n - c) - log_beta(0.5, b), limit = -log(level);

	for (int i = 0; i < BISECTIONS; i++) {
		double middle = (in + out) / 2;

		if (against(middle, prior, c, n - c) < limit)
			in = middle;
		else
			out = middle;
	}
	return in;
}

static double upper(double c, double n, double delta, double level)
{
	return n > 0 ? root(c / n, 1, level, 0.5 / delta, c, n) : 1;
}

static double lower(double c, double n, double level)
{
	return n > 0 && c > 0 ? root(c / n, 0, level, LOWER_PRIOR, c, n) : 0;
}

double loss_upper(struct loss_counts canary, double delta, double level)
{
	return upper((double)canary.bad, (double)canary.n, delta, level);
}

double loss_lower(struct loss_counts stable, double level)
{
	return lower((double)stable.bad, (double)stable.n, level);
}

void loss_votes(struct loss_bet *b, double w, double ratio, __u64 canary, __u64 stable)
{
	double p0 = mixture_share(w, ratio);

	for (unsigned j = 0; j < LOSS_ALTERNATIVES; j++) {
		double p = mixture_share(w, ratio * alternatives[j]);

		b->log_ratio[j] += (double)canary * log(p / p0) + (double)stable * log((1 - p) / (1 - p0));
	}
}

double loss_log_e(const struct loss_bet *b)
{
	return sequential_log_mean(b->log_ratio, LOSS_ALTERNATIVES);
}

struct loss_verdict loss_judge(struct loss_counts canary, struct loss_counts stable, double delta, double beta,
			       const struct loss_bet *bet)
{
	struct loss_verdict v = {
		.upper = loss_upper(canary, delta, UPPER_SHARE * beta),
		.lower = loss_lower(stable, LOWER_SHARE * beta),
		.delta = delta,
		.log_e = loss_log_e(bet),
	};

	v.safe = v.upper - v.lower < delta || v.log_e >= log(2 / beta);
	return v;
}

/* Would (a) hold with `times` as many votes? */
static bool would_do(struct loss_counts canary, struct loss_counts stable, double times, double delta, double beta)
{
	double u = upper((double)canary.bad * times, (double)canary.n * times, delta, UPPER_SHARE * beta);
	double l = lower((double)stable.bad * times, (double)stable.n * times, LOWER_SHARE * beta);

	return u - l < delta;
}

double loss_more(struct loss_counts canary, struct loss_counts stable, double delta, double beta)
{
	double n = (double)(canary.n ? canary.n : 1), low = 1, high = 1;

	if (!canary.n)
		canary = (struct loss_counts){ 0, 1 };
	while (!would_do(canary, stable, high, delta, beta)) {
		low = high;
		high *= 2;
		if (high * n > MOST_CONNECTIONS)
			return NAN;
	}
	for (int i = 0; i < 50 && high > low; i++) {
		double middle = (low + high) / 2;

		if (would_do(canary, stable, middle, delta, beta))
			high = middle;
		else
			low = middle;
	}
	return ceil((high - 1) * n);
}
