/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* All evidence of one rollout. */
#include <math.h>

#include "../sequential.h"
#include "trial.h"

void trial_begin(struct trial *t, __u64 now)
{
	*t = (struct trial){ .least_p = 1, .block_since = now };
	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		bet_begin(&t->event[e]);
	for (unsigned w = 0; w < TRIAL_WAITS; w++)
		wait_begin(&t->wait[w]);
	trial_time(t, now);
}

static void block_begin(struct trial *t)
{
	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		bet_block(&t->event[e]);
	for (unsigned w = 0; w < TRIAL_WAITS; w++)
		wait_block(&t->wait[w]);
}

bool trial_block_over(const struct trial *t, __u64 now)
{
	return !t->event[0].blocks || now - t->block_since >= BET_BLOCK_NS;
}

/* Blocks that nobody looked at are one: a bet in an empty block wins nothing. */
void trial_time(struct trial *t, __u64 now)
{
	if (!trial_block_over(t, now))
		return;
	if (t->event[0].blocks)
		t->block_since = now - (now - t->block_since) % BET_BLOCK_NS;
	block_begin(t);
}

void trial_step_begin(struct trial *t)
{
	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		t->step[e] = (struct trial_step){ { 0 }, { 0 }, { { 0 } } };
}

static void counts_add(struct loss_counts *to, const struct loss_counts *more)
{
	to->bad += more->bad;
	to->n += more->n;
}

static void arm_add(struct trial_arm *to, const struct trial_arm *more)
{
	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		counts_add(&to->event[e], &more->event[e]);
	for (unsigned w = 0; w < TRIAL_WAITS; w++) {
		to->wait[w].n += more->wait[w].n;
		for (unsigned i = 0; i < WAIT_EDGES; i++)
			to->wait[w].above[i] += more->wait[w].above[i];
	}
}

void trial_take(struct trial *t, const struct trial_policy *policy, const struct trial_tally *tally)
{
	for (unsigned e = 0; e < TRIAL_EVENTS; e++) {
		const struct loss_counts *c = &tally->canary.event[e], *s = &tally->stable.event[e];

		if (policy->max_ratio[e] <= 0)
			continue;
		bet_votes(&t->event[e], tally->w, policy->max_ratio[e], c->bad, s->bad);
		totals_votes(&t->totals[e], policy->max_ratio[e], c, s);
		loss_votes(&t->step[e].bet, tally->w, policy->max_ratio[e], c->bad, s->bad);
		counts_add(&t->step[e].canary, c);
		counts_add(&t->step[e].stable, s);
	}
	for (unsigned w = 0; w < TRIAL_WAITS && !tally->warming; w++)
		if (policy->wait[w] && policy->wait_ratio > 0)
			wait_votes_bad(&t->wait[w], tally->w, policy->wait_ratio, policy->beyond[w],
				       &tally->canary.wait[w], &tally->stable.wait[w]);
		else if (policy->wait[w])
			wait_votes(&t->wait[w], tally->w, policy->beyond[w], &tally->canary.wait[w],
				   &tally->stable.wait[w]);
	arm_add(&t->canary, &tally->canary);
	arm_add(&t->stable, &tally->stable);
}

int trial_pools(struct trial *t, const struct trial_policy *policy, struct pool_row *rows, size_t n)
{
	return pool_minute(&t->pool, rows, n, policy->max_slowdown);
}

double trial_event_log_e(const struct trial *t, enum trial_event e)
{
	return bet_log_e(&t->event[e]);
}

static bool has_pools(const struct trial_policy *policy, enum trial_wait w)
{
	return w == TRIAL_RESPONSE_TIME && policy->pools;
}

/* Response times have up to three voices, of which none may be left out later. */
double trial_wait_log_e(const struct trial *t, const struct trial_policy *policy, enum trial_wait w)
{
	double log_e[3];
	unsigned n = 0;

	if (policy->wait[w])
		log_e[n++] = wait_log_e(&t->wait[w], policy->beyond[w]);
	if (has_pools(policy, w)) {
		log_e[n++] = log(pool_e(&t->pool, t->pool.level));
		log_e[n++] = log(pool_e(&t->pool, t->pool.change));
	}
	return sequential_log_mean(log_e, n);
}

/* Lowering a gate's evidence, whenever and for whatever reason, keeps the
 * average below an e-process. */
static double contribution(const struct trial_policy *policy, unsigned gate, double log_e)
{
	return policy->skipped >> gate & 1 ? fmin(log_e, 0) : log_e;
}

double trial_log_e(struct trial *t, const struct trial_policy *policy)
{
	double log_e[TRIAL_EVENTS + TRIAL_WAITS], all;
	unsigned n = 0;

	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		if (policy->max_ratio[e] > 0)
			log_e[n++] = contribution(policy, e, trial_event_log_e(t, e));
	for (unsigned w = 0; w < TRIAL_WAITS; w++)
		if (policy->wait[w] || has_pools(policy, w))
			log_e[n++] = contribution(policy, TRIAL_EVENTS + w, trial_wait_log_e(t, policy, w));
	all = sequential_log_mean(log_e, n);
	t->least_p = fmin(t->least_p, exp(-all));
	return all;
}

struct loss_verdict trial_safe(const struct trial *t, const struct trial_policy *policy, enum trial_event e, double delta)
{
	return loss_judge(t->step[e].canary, t->step[e].stable, delta, policy->beta, &t->step[e].bet);
}
