/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The rollout machine.
 *
 * Each look has three questions, in this order: did the word take the canary
 * back without us; must the canary go back; may it go on.  The first two hold
 * in every phase that has a canary, so a pause is never a way to keep a bad
 * one.  Going on needs what the policy asks of a step, or a person.
 *
 * `watching` and `pending` are no phases, because a pause or a hold lies over
 * them: what is done after it follows from them alone.
 */
#include <math.h>
#include <string.h>

#include "freeze.h"
#include "rollout_inside.h"

static bool step_overdue(const struct rollout *r, const struct model_rollout *policy, __u64 now)
{
	return !r->watching && policy->max_step_time && elapsed(now, r->step_since) >= policy->max_step_time;
}

/* Undecided for too long, and the policy says that this is not good enough. */
static bool step_given_up(const struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
			  char why[sizeof(r->reason)])
{
	if (policy->on_inconclusive != MODEL_ROLL_BACK || r->frozen_since || r->pending || r->phase == ROLLOUT_PAUSED ||
	    !step_overdue(r, policy, in->now))
		return false;
	rollout_say(why, sizeof(r->reason), "step %u of %zu was not decided within maxStepTime: %s", r->step + 1, policy->n_steps,
		    r->blocked_by[0] ? r->blocked_by : "its time is longer");
	return true;
}

/* Must the canary go back?  Why is for people, so it has the numbers. */
static bool canary_condemned(const struct rollout *r, const struct model_rollout *policy,
			     const struct rollout_input *in, char why[sizeof(r->reason)])
{
	const struct model_gate *gate;
	__u64 bad, n;

	if (!in->canary_live) {
		rollout_say(why, sizeof(r->reason), "canary has no live backend");
		return true;
	}
	if (!r->judge.fails && (in->compare_fails || in->outside_fails)) {
		rollout_say(why, sizeof(r->reason), "%s", in->compare_fails ? in->compare_fails : in->outside_fails);
		return true;
	}
	if (!r->judge.fails)
		return step_given_up(r, policy, in, why);
	gate = &policy->gate[r->judge.fails - 1];
	judge_gate_counts(policy, r->judge.fails - 1, &in->canary, &bad, &n);
	rollout_say(why, sizeof(r->reason), "gate %s: %llu of %llu bad (%.3g %%, limit %.3g %%), E %.3g >= %.3g", gate->name,
	    (unsigned long long)bad, (unsigned long long)n, 100.0 * bad / n, 100 * gate->max,
	    exp(fmin(r->judge.log_e, 690)), 1 / policy->alpha);
	return true;
}

/* Nowhere to go back to: stay.  The reason is that of the first look, so that
 * moving counts do not make news of every tick. */
static void hold_without_stable(struct rollout *r, const struct rollout_input *in, const char *why)
{
	if (strcmp(r->blocked_by, rollout_no_stable) != 0)
		REASON(r, "%s", why);
	BLOCKED(r, "%s", rollout_no_stable);
	if (r->phase != ROLLOUT_PAUSED)
		phase_set(r, ROLLOUT_HOLDING, in->now);
}

static bool deadline_passed(const struct rollout *r, const struct model_rollout *policy, __u64 now)
{
	__u64 time = elapsed(now, r->started);

	return !r->watching && policy->progress_deadline && time >= r->paused &&
	       time - r->paused >= policy->progress_deadline;
}

__u64 rollout_step_time(const struct rollout *r, const struct model_rollout *policy)
{
	__u64 pause = policy->step[step_index(r, policy)].pause;

	if (r->watching)
		return pause > policy->watch ? pause : policy->watch;
	return pause ? pause : policy->interval;
}

__u32 rollout_next_share(const struct rollout *r, const struct model_rollout *policy)
{
	__u32 index = step_index(r, policy) + 1;

	/* where it only observes, the share is a person's */
	if (policy->observe)
		for (index = 0; index < policy->n_steps && policy->step[index].share <= r->share;)
			index++;
	return index < policy->n_steps ? policy->step[index].share : PERCH_SHARE_ALL;
}

/* Seconds until the step has had its time and, at the rate seen, its
 * connections. */
static double step_eta(const struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	__u64 spent = elapsed(in->now, r->step_since), time = rollout_step_time(r, policy);
	__u64 have = in->step_connections, need = policy->min_connections;
	double wait = time > spent ? (double)(time - spent) / 1e9 : 0;

	if (r->watching || have >= need)
		return in->compare_waits && !(in->compare_eta < wait) ? in->compare_eta : wait;
	if (!have || !spent)
		return NAN;
	return fmax(wait, (double)(need - have) * (double)spent / 1e9 / (double)have);
}

static void blocked_by_freeze(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	const struct model_freeze *freeze = freeze_at(policy, in->minute);
	char end[FREEZE_TEXT];

	if (freeze)
		BLOCKED(r, "frozen until %s", freeze_end(freeze, end));
}

/* What only a person or a change of the world mends.  Says so in blocked_by. */
static bool step_blocked(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	unsigned over = gate_over_limit(r);

	BLOCKED(r, "%s", "");
	if (in->stable_live < r->stable_backends)
		BLOCKED(r, "stable has %u of %u live backends", in->stable_live, r->stable_backends);
	else if (r->advance)
		return false;
	else if (r->frozen_since)
		blocked_by_freeze(r, policy, in);
	else if (deadline_passed(r, policy, in->now))
		BLOCKED(r, "progress deadline");
	else if (over)
		BLOCKED(r, "over its limit: %s", policy->gate[over - 1].name);
	else if (in->outside_waits)
		BLOCKED(r, "%s", in->outside_waits);
	return r->blocked_by[0];
}

/* Has the step what the policy asks of it? */
static bool step_done(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	/* at 0 % there is nothing to wait for but the person */
	if (r->advance || (!r->share && policy->step[step_index(r, policy)].manual))
		return true;
	if (elapsed(in->now, r->step_since) < rollout_step_time(r, policy))
		return false;
	if (!r->watching && in->step_connections < policy->min_connections)
		BLOCKED(r, "too few connections");
	else if (in->compare_waits)
		BLOCKED(r, "%s", in->compare_waits);
	else
		return true;
	return false;
}

/* The step goes on: Holding when it took too long, else as before. */
static void step_stay(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	bool late = deadline_passed(r, policy, in->now) || step_overdue(r, policy, in->now), held = in->outside_holds;

	if (r->phase == ROLLOUT_PAUSED)
		return;
	late = late && !r->frozen_since;
	if (late && r->phase != ROLLOUT_HOLDING)
		REASON(r, "step %u of %zu took too long: %s", r->step + 1, policy->n_steps,
		       r->blocked_by[0] ? r->blocked_by : "its time is longer than maxStepTime");
	else if (held && r->phase != ROLLOUT_HOLDING)
		REASON(r, "%s", in->outside_waits);
	phase_set(r, late || held ? ROLLOUT_HOLDING : phase_running(r), in->now);
}

/* The step is done. */
static void step_next(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		      struct rollout_output *out)
{
	__u32 index = step_index(r, policy);
	bool last = index + 1 == policy->n_steps;

	/* a watched last step waits for its person after the watch */
	if (policy->step[index].manual && !r->advance && (!last || r->watching || !policy->watch)) {
		phase_set(r, ROLLOUT_PAUSED, in->now);
		r->manual = 1;
		BLOCKED(r, "manual step");
		REASON(r, "step %u of %zu is done and waits for a person", index + 1, policy->n_steps);
	} else if (!last) {
		step_enter(r, policy, index + 1, in->now, out);
	} else if (policy->watch && !r->watching) {
		watch_enter(r, in->now);
	} else if (policy->strategy == MODEL_EXPERIMENT) {
		rollout_end_experiment(r, in->now, out);
	} else {
		rollout_end_promoted(r, in->now, "promoted", out);
	}
}

/* Undecided for too long, and the policy says that nothing found is enough. */
static bool step_waved_on(const struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	return policy->on_inconclusive == MODEL_ADVANCE && step_overdue(r, policy, in->now);
}

/* May the canary go on? */
static void go_on(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		  struct rollout_output *out)
{
	if (r->phase == ROLLOUT_PAUSED && !r->advance) {
		BLOCKED(r, "%s", r->manual ? "manual step" : "paused");
		return;
	}
	if (r->pending) {
		BLOCKED(r, "%s", in->step_waits ? in->step_waits : "");
		phase_set(r, phase_running(r), in->now);
		if (!in->step_waits)
			ask_share(r, out);
		return;
	}
	if (step_blocked(r, policy, in)) {
		step_stay(r, policy, in);
	} else if (!step_done(r, policy, in) && !step_waved_on(r, policy, in)) {
		out->eta = step_eta(r, policy, in);
		step_stay(r, policy, in);
	} else {
		step_next(r, policy, in, out);
	}
}

/* What would be done?  *ret_why of a rollback. */
static enum rollout_would would_do(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
				   char ret_why[sizeof(r->reason)])
{
	if (canary_condemned(r, policy, in, ret_why)) {
		BLOCKED(r, "%s", in->stable_live ? "mode: observe" : rollout_no_stable);
		return in->stable_live ? ROLLOUT_WOULD_ROLL_BACK : ROLLOUT_WOULD_STAY;
	}
	if (step_blocked(r, policy, in) || (!step_done(r, policy, in) && !step_waved_on(r, policy, in)))
		return ROLLOUT_WOULD_STAY;
	BLOCKED(r, "mode: observe");
	return ROLLOUT_WOULD_GO_ON;
}

/* It is told as it turns so, not with each count: the reason stays the one for
 * which the canary would have gone back. */
static void would_tell(struct rollout *r, const struct model_rollout *policy, enum rollout_would would, const char *why)
{
	__u32 next = rollout_next_share(r, policy);

	if (r->would == would)
		return;
	r->would = would;
	if (would == ROLLOUT_WOULD_ROLL_BACK)
		REASON(r, "would roll back: %s", why);
	else if (would == ROLLOUT_WOULD_STAY)
		observe_say(r);
	else if (r->share < PERCH_SHARE_ALL)
		REASON(r, "would go on to %u.%02u %%", next / 100, next % 100);
	else
		REASON(r, "would be promoted");
}

static void look_on(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		    struct rollout_output *out)
{
	enum rollout_would would;
	char why[sizeof(r->reason)];

	if (r->phase == ROLLOUT_PAUSED)
		return;
	if (r->pending) {
		ask_share(r, out);
		return;
	}
	would = would_do(r, policy, in, why);
	if (would == ROLLOUT_WOULD_STAY)
		out->eta = step_eta(r, policy, in);
	would_tell(r, policy, would, why);
}

static void look(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		 struct rollout_output *out)
{
	char why[sizeof(r->reason)];

	gates_followed(r, policy);
	if (r->phase != ROLLOUT_PAUSED)
		freeze_follow(r, freeze_at(policy, in->minute), in->now);
	judge_look(&r->judge, policy, r->skipped, &in->canary, &in->stable);
	if (policy->observe) {
		look_on(r, policy, in, out);
		return;
	}
	if (!canary_condemned(r, policy, in, why)) {
		go_on(r, policy, in, out);
	} else if (in->stable_live) {
		rollout_end_rolled_back(r, in->now, why);
		out->action = ROLLOUT_ROLL_BACK;
	} else {
		hold_without_stable(r, in, why);
	}
}

void rollout_tick(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		  struct rollout_output *ret_out)
{
	struct rollout before = *r;

	*ret_out = (struct rollout_output){ .eta = NAN };
	if (!phase_has_canary(r) && r->phase != ROLLOUT_SUCCEEDED)
		return;
	times_mend(r, in->now);
	if (word_taken_back(r, in))
		rollout_end_rolled_back(r, in->now, in->rolled_back_why ? in->rolled_back_why : "rolled back outside of the rollout");
	else if (phase_has_canary(r) && policy->n_steps)
		look(r, policy, in, ret_out);
	/* the evidence moves with each look; the rest only when there is news */
	ret_out->changed = memcmp(&before, r, offsetof(struct rollout, judge)) != 0;
}
