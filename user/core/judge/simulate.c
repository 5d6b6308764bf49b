/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rollouts in virtual time. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "simulate.h"

#define SECOND 1000000000ull
#define GATES 6			/* share alpha: what a service of TCP has by default */

struct simulate_case simulate_defaults(void)
{
	struct simulate_case c = {
		.rate = 100, .ratio = 1, .step = { 0.01, 0.05, 0.1, 0.25, 0.5, 1 }, .n_steps = 6,
		.interval = 60, .min_connections = 30, .max_loss = 0.002, .max_loss_per_hour = 60, .most = 86400,
		.policy = { .alpha = 0.01, .beta = 0.05, .max_slowdown = 1.25 },
	};

	for (unsigned gate = 0; gate < GATES; gate++)
		c.policy.max_ratio[gate] = 1.5;
	return c;
}

/* Where a run is. */
struct run {
	const struct simulate_case *c;
	struct random *random;
	struct trial trial;
	struct simulate_result *result;
	struct simulate_tick left;	/* of the recorded tick that is played */
	size_t tick;
	double step_since;	/* s */
	__u64 looked_at;	/* the canary's connections when the loss rule was last asked */
};

/* What comes in the next second, whoever gets it. */
static struct loss_counts arrivals(struct run *run)
{
	const struct simulate_case *c = run->c;
	struct simulate_tick *left = &run->left;
	struct loss_counts now;

	if (!c->recorded) {
		now.n = random_poisson(run->random, c->rate);
		now.bad = random_binomial(run->random, now.n, c->bad);
		return now;
	}
	while (!left->seconds)
		*left = c->recorded[run->tick++ % c->n_recorded];
	now.n = random_binomial(run->random, left->n - left->bad, 1 / (double)left->seconds);
	now.bad = random_binomial(run->random, left->bad, 1 / (double)left->seconds);
	left->n -= now.n + now.bad;
	left->bad -= now.bad;
	left->seconds--;
	now.n += now.bad;
	return now;
}

/* How many of its good connections the canary spoils. */
static double spoiled(const struct simulate_case *c, double t)
{
	double bad = fmin(1, c->bad * c->ratio + c->points);

	return t < c->from || bad <= c->bad ? 0 : (bad - c->bad) / (1 - c->bad);
}

/* A second's votes at share w; true: some were bad. */
static bool second(struct run *run, double t, double w)
{
	const struct simulate_case *c = run->c;
	struct loss_counts all = arrivals(run);
	__u64 bad = random_binomial(run->random, all.bad, w), good = random_binomial(run->random, all.n - all.bad, w);
	__u64 extra = random_binomial(run->random, good, spoiled(c, t));
	struct trial_tally tally = { .w = w };

	tally.canary.event[TRIAL_CONNECT_FAILURE] = (struct loss_counts){ bad + extra, bad + good };
	tally.stable.event[TRIAL_CONNECT_FAILURE] = (struct loss_counts){ all.bad - bad, all.n - bad - good };
	run->result->excess += (double)extra;
	trial_take(&run->trial, &c->policy, &tally);
	return all.bad || extra;
}

static bool may_go_on(struct run *run, double t)
{
	const struct simulate_case *c = run->c;
	const struct trial_step *s = &run->trial.step[TRIAL_CONNECT_FAILURE];
	unsigned step = run->result->step;
	double delta;

	if (t - run->step_since < c->interval)
		return false;
	if (c->by_time)
		return true;
	if ((double)s->canary.n < c->min_connections || s->canary.n == run->looked_at)
		return false;
	run->looked_at = s->canary.n;
	delta = loss_delta(loss_allowed(c->max_loss, c->max_loss_per_hour, c->rate), step + 1 < c->n_steps ? c->step[step + 1] : 1);
	return trial_safe(&run->trial, &c->policy, TRIAL_CONNECT_FAILURE, delta).safe;
}

/* The last share that is left to compare at, or 100 %: the rollout is over. */
static bool is_over(const struct simulate_case *c, unsigned step)
{
	return step >= c->n_steps || c->step[step] >= 1;
}

static void step_next(struct run *run, double t)
{
	run->result->held += t - run->step_since - run->c->interval;
	run->result->step++;
	run->step_since = t;
	run->looked_at = 0;
	trial_step_begin(&run->trial);
}

void simulate_rollout(const struct simulate_case *c, struct random *r, struct simulate_result *ret)
{
	struct run run = { .c = c, .random = r, .result = ret };

	*ret = (struct simulate_result){ .end = SIMULATE_OPEN };
	trial_begin(&run.trial, 0);
	for (__u64 s = 0; (double)s < c->most; s++) {
		double t = (double)s;

		trial_time(&run.trial, s * SECOND);
		ret->seconds = t + 1;
		if (second(&run, t, c->step[ret->step]) && trial_log_e(&run.trial, &c->policy) >= -log(c->policy.alpha)) {
			ret->end = SIMULATE_ROLLED_BACK;
			return;
		}
		if (!may_go_on(&run, t + 1))
			continue;
		step_next(&run, t + 1);
		if (is_over(c, ret->step)) {
			ret->end = SIMULATE_SUCCEEDED;
			return;
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	if (!n)
		return NAN;
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int simulate_runs(const struct simulate_case *c, unsigned runs, __u64 seed, struct simulate_summary *ret)
{
	double *good = calloc(runs + 1, sizeof(*good)), *bad = calloc(runs + 1, sizeof(*bad));
	double *excess = calloc(runs + 1, sizeof(*excess)), *held = calloc(runs + 1, sizeof(*held));
	struct random random;
	int err = good && bad && excess && held ? 0 : -ENOMEM;

	*ret = (struct simulate_summary){ .runs = runs };
	random_seed(&random, seed);
	for (unsigned i = 0; i < runs && !err; i++) {
		struct simulate_result one;

		simulate_rollout(c, &random, &one);
		held[i] = one.held;
		if (one.end == SIMULATE_SUCCEEDED)
			good[ret->succeeded++] = one.seconds;
		if (one.end == SIMULATE_ROLLED_BACK) {
			excess[ret->rolled_back] = one.excess;
			bad[ret->rolled_back++] = one.seconds;
		}
	}
	if (!err) {
		ret->succeeded_seconds = median(good, ret->succeeded);
		ret->rolled_back_seconds = median(bad, ret->rolled_back);
		ret->excess = median(excess, ret->rolled_back);
		ret->held = median(held, runs);
	}
	free(good);
	free(bad);
	free(excess);
	free(held);
	return err;
}
