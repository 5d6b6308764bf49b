/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The stages of a policy.  A last step of 100 % is the watch itself, at what
 * holdback leaves of it; one below is held first and then watched.
 */
#include "rollout_plan.h"

static __u64 longer(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/* A step begins with a warm-up where there is somebody to compare with. */
static __u64 warm_up(const struct model_compare *c, __u32 share)
{
	return model_compares(c) && share && share < PERCH_SHARE_ALL ? c->warmup : 0;
}

unsigned rollout_plan(const struct model_rollout *policy, struct rollout_stage stage[ROLLOUT_STAGES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < policy->n_steps; i++) {
		const struct model_step *s = &policy->step[i];
		bool watched = policy->watch && i + 1 == policy->n_steps;
		struct rollout_stage held = { .step = i, .share = s->share, .time = s->pause ? s->pause : policy->interval,
					      .connections = policy->min_connections, .manual = s->manual && !watched };
		struct rollout_stage watch = { .step = i, .share = s->share, .time = longer(s->pause, policy->watch),
					       .watching = true, .manual = s->manual };

		held.time += warm_up(&policy->compare, s->share);
		if (!s->share && s->manual)
			held.time = held.connections = 0;
		if (!watched || s->share < PERCH_SHARE_ALL)
			stage[n++] = held;
		if (!watched)
			continue;
		if (s->share == PERCH_SHARE_ALL && policy->holdback < PERCH_SHARE_ALL)
			watch.share -= policy->holdback;
		/* a holdback takes nothing back of the step before */
		if (n && watch.share < stage[n - 1].share)
			watch.share = stage[n - 1].share;
		stage[n++] = watch;
	}
	return n;
}
