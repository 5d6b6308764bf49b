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
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rollout.h"

static const char no_stable[] = "stable has no live backend to go back to";

const char *rollout_phase_name(enum rollout_phase p)
{
	static const char *const names[] = {
		[ROLLOUT_IDLE] = "Idle", [ROLLOUT_PROGRESSING] = "Progressing",
		[ROLLOUT_PAUSED] = "Paused", [ROLLOUT_HOLDING] = "Holding",
		[ROLLOUT_WATCHING] = "Watching", [ROLLOUT_SUCCEEDED] = "Succeeded",
		[ROLLOUT_ROLLED_BACK] = "RolledBack",
	};

	return p < sizeof(names) / sizeof(*names) ? names[p] : "Unknown";
}

/* Leaves no stale bytes behind the text, so that equal texts are equal bytes.
 * What is said may come from where it goes to. */
static __attribute__((format(printf, 3, 4))) void say(char *out, size_t size, const char *format, ...)
{
	char text[128] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, size < sizeof(text) ? size : sizeof(text), format, args);
	va_end(args);
	memcpy(out, text, size < sizeof(text) ? size : sizeof(text));
}

#define REASON(r, ...) say((r)->reason, sizeof((r)->reason), __VA_ARGS__)
#define BLOCKED(r, ...) say((r)->blocked_by, sizeof((r)->blocked_by), __VA_ARGS__)

static __u64 elapsed(__u64 now, __u64 since)
{
	return now > since ? now - since : 0;
}

static void phase_set(struct rollout *r, enum rollout_phase phase, __u64 now)
{
	if (r->phase == phase)
		return;
	r->phase = phase;
	r->phase_since = now;
}

static enum rollout_phase phase_running(const struct rollout *r)
{
	return r->watching ? ROLLOUT_WATCHING : ROLLOUT_PROGRESSING;
}

static bool phase_has_canary(const struct rollout *r)
{
	return r->phase >= ROLLOUT_PROGRESSING && r->phase <= ROLLOUT_WATCHING;
}

/* Times of another boot lie ahead of the clock: what they mark begins now. */
static void times_mend(struct rollout *r, __u64 now)
{
	if (r->started > now) {
		r->started = now;
		r->paused = 0;
	}
	if (r->step_since > now)
		r->step_since = now;
	if (r->phase_since > now)
		r->phase_since = now;
}

/* The step of the policy; one that lost steps in a reload ends with its last. */
static __u32 step_index(const struct rollout *r, const struct model_rollout *policy)
{
	return r->step < policy->n_steps ? r->step : policy->n_steps - 1;
}

static void ask_share(const struct rollout *r, struct rollout_output *out)
{
	out->action = ROLLOUT_SET_SHARE;
	out->share = r->share;
}

/* A pause stops the clock of the step and that of the deadline. */
static void pause_leave(struct rollout *r, __u64 now)
{
	__u64 time = elapsed(now, r->phase_since);

	if (r->phase != ROLLOUT_PAUSED)
		return;
	r->step_since += time;
	r->paused += time;
	r->manual = 0;
}

/* What every step ends with, whatever comes after it. */
static void step_leave(struct rollout *r, __u64 now)
{
	pause_leave(r, now);
	r->advance = 0;
	r->step_since = now;
	BLOCKED(r, "%s", "");
}

static void step_enter(struct rollout *r, const struct model_rollout *policy, __u32 index, __u64 now,
		       struct rollout_output *out)
{
	__u32 share = policy->step[index].share;

	step_leave(r, now);
	r->watching = policy->watch && index + 1 == policy->n_steps && share == PERCH_SHARE_ALL;
	if (r->watching && policy->holdback < PERCH_SHARE_ALL)
		share -= policy->holdback;
	/* a holdback larger than what the step before left takes nothing back */
	if (r->watching && share < r->share)
		share = r->share;
	r->step = index;
	r->share = share;
	r->pending = 1;
	phase_set(r, phase_running(r), now);
	REASON(r, "step %u of %zu: %u.%02u %%%s", index + 1, policy->n_steps, share / 100, share % 100,
	       r->watching ? ", watching" : "");
	ask_share(r, out);
}

/* A last step below 100 %: watched at its own share. */
static void watch_enter(struct rollout *r, __u64 now)
{
	step_leave(r, now);
	r->watching = 1;
	phase_set(r, ROLLOUT_WATCHING, now);
	REASON(r, "watching at %u.%02u %%", r->share / 100, r->share % 100);
}

static void promote(struct rollout *r, __u64 now, const char *why, struct rollout_output *out)
{
	step_leave(r, now);
	r->watching = 0;
	r->pending = 0;
	r->share = PERCH_SHARE_ALL;
	phase_set(r, ROLLOUT_SUCCEEDED, now);
	REASON(r, "%s", why);
	out->action = ROLLOUT_PROMOTE;
}

static void rolled_back(struct rollout *r, __u64 now, const char *why)
{
	step_leave(r, now);
	r->watching = 0;
	r->pending = 0;
	r->share = 0;
	phase_set(r, ROLLOUT_ROLLED_BACK, now);
	REASON(r, "%s", why);
}

/* Was the word rolled back by another hand?  Only after our last step: a
 * retry begins with a word that says rolled back, until its first step. */
static bool word_taken_back(const struct rollout *r, const struct rollout_input *in)
{
	return in->rolled_back && (__s32)(in->epoch - r->epoch) > 0;
}

/* Must the canary go back?  Why is for people, so it has the numbers. */
static bool canary_condemned(const struct rollout *r, const struct model_rollout *policy,
			     const struct rollout_input *in, char why[sizeof(r->reason)])
{
	const struct model_gate *gate;
	__u64 bad, n;

	if (!in->canary_live) {
		say(why, sizeof(r->reason), "canary has no live backend");
		return true;
	}
	if (!r->judge.fails && in->outside_fails)
		say(why, sizeof(r->reason), "%s", in->outside_fails);
	if (!r->judge.fails)
		return in->outside_fails;
	gate = &policy->gate[r->judge.fails - 1];
	judge_gate_counts(policy, r->judge.fails - 1, &in->canary, &bad, &n);
	say(why, sizeof(r->reason), "gate %s: %llu of %llu bad (%.3g %%, limit %.3g %%), E %.3g >= %.3g", gate->name,
	    (unsigned long long)bad, (unsigned long long)n, 100.0 * bad / n, 100 * gate->max,
	    exp(fmin(r->judge.log_e, 690)), 1 / policy->alpha);
	return true;
}

/* Nowhere to go back to: stay.  The reason is that of the first look, so that
 * moving counts do not make news of every tick. */
static void hold_without_stable(struct rollout *r, const struct rollout_input *in, const char *why)
{
	if (strcmp(r->blocked_by, no_stable) != 0)
		REASON(r, "%s", why);
	BLOCKED(r, "%s", no_stable);
	if (r->phase != ROLLOUT_PAUSED)
		phase_set(r, ROLLOUT_HOLDING, in->now);
}

static bool deadline_passed(const struct rollout *r, const struct model_rollout *policy, __u64 now)
{
	__u64 time = elapsed(now, r->started);

	return !r->watching && policy->progress_deadline && time >= r->paused &&
	       time - r->paused >= policy->progress_deadline;
}

/* The index of a gate over its limit plus 1, or 0. */
static unsigned gate_over_limit(const struct rollout *r)
{
	for (unsigned g = 0; g < r->judge.n && g < MODEL_GATES; g++)
		if (r->judge.gate[g].over_limit)
			return g + 1;
	return 0;
}

__u64 rollout_step_time(const struct rollout *r, const struct model_rollout *policy)
{
	__u64 pause = policy->step[step_index(r, policy)].pause;

	if (r->watching)
		return pause > policy->watch ? pause : policy->watch;
	return pause ? pause : policy->interval;
}

/* Seconds until the step has had its time and, at the rate seen, its
 * connections. */
static double step_eta(const struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	__u64 spent = elapsed(in->now, r->step_since), time = rollout_step_time(r, policy);
	__u64 have = in->step_connections, need = policy->min_connections;
	double wait = time > spent ? (double)(time - spent) / 1e9 : 0;

	if (r->watching || have >= need)
		return wait;
	if (!have || !spent)
		return NAN;
	return fmax(wait, (double)(need - have) * (double)spent / 1e9 / (double)have);
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
	if (r->advance)
		return true;
	if (elapsed(in->now, r->step_since) < rollout_step_time(r, policy))
		return false;
	if (r->watching || in->step_connections >= policy->min_connections)
		return true;
	BLOCKED(r, "too few connections");
	return false;
}

/* The step goes on: Holding when it took too long, else as before. */
static void step_stay(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in)
{
	bool late = deadline_passed(r, policy, in->now), held = in->outside_holds;

	if (r->phase == ROLLOUT_PAUSED)
		return;
	if (!r->watching && policy->max_step_time)
		late = late || elapsed(in->now, r->step_since) >= policy->max_step_time;
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
	} else {
		promote(r, in->now, "promoted", out);
	}
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
		BLOCKED(r, "%s", "");
		phase_set(r, phase_running(r), in->now);
		ask_share(r, out);
		return;
	}
	if (step_blocked(r, policy, in)) {
		step_stay(r, policy, in);
	} else if (!step_done(r, policy, in)) {
		out->eta = step_eta(r, policy, in);
		step_stay(r, policy, in);
	} else {
		step_next(r, policy, in, out);
	}
}

static void look(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		 struct rollout_output *out)
{
	char why[sizeof(r->reason)];

	judge_look(&r->judge, policy, &in->canary, &in->stable);
	if (!canary_condemned(r, policy, in, why)) {
		go_on(r, policy, in, out);
	} else if (in->stable_live) {
		rolled_back(r, in->now, why);
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
		rolled_back(r, in->now, in->rolled_back_why ? in->rolled_back_why : "rolled back outside of the rollout");
	else if (phase_has_canary(r) && policy->n_steps)
		look(r, policy, in, ret_out);
	/* the evidence moves with each look; the rest only when there is news */
	ret_out->changed = memcmp(&before, r, offsetof(struct rollout, judge)) != 0;
}

int rollout_start(struct rollout *r, const struct model_rollout *policy, const char *canary,
		  const struct rollout_input *in, struct rollout_output *ret_out)
{
	if (phase_has_canary(r) || !policy->n_steps || !*canary || strlen(canary) >= sizeof(r->canary))
		return -EINVAL;
	if (!in->canary_live || !in->stable_live)
		return -EHOSTDOWN;
	memset(r, 0, sizeof(*r));
	say(r->canary, sizeof(r->canary), "%s", canary);
	r->epoch = in->epoch;
	r->started = in->now;
	r->stable_backends = in->stable_live;
	*ret_out = (struct rollout_output){ .changed = true, .eta = NAN };
	step_enter(r, policy, 0, in->now, ret_out);
	return 0;
}

int rollout_pause(struct rollout *r, const struct rollout_input *in)
{
	if (!phase_has_canary(r) || r->phase == ROLLOUT_PAUSED)
		return -EINVAL;
	times_mend(r, in->now);
	phase_set(r, ROLLOUT_PAUSED, in->now);
	r->advance = 0;
	BLOCKED(r, "paused");
	REASON(r, "paused");
	return 0;
}

int rollout_resume(struct rollout *r, const struct rollout_input *in)
{
	if (r->phase != ROLLOUT_PAUSED || r->manual)
		return -EINVAL;
	times_mend(r, in->now);
	pause_leave(r, in->now);
	phase_set(r, phase_running(r), in->now);
	/* the weights were a person's in the meantime */
	if (in->epoch != r->epoch)
		r->pending = 1;
	BLOCKED(r, "%s", "");
	REASON(r, "resumed");
	return 0;
}

int rollout_advance(struct rollout *r, const struct rollout_input *in)
{
	if (r->phase != ROLLOUT_PROGRESSING && r->phase != ROLLOUT_HOLDING &&
	    !(r->phase == ROLLOUT_PAUSED && r->manual))
		return -EINVAL;
	times_mend(r, in->now);
	r->advance = 1;
	return 0;
}

int rollout_promote(struct rollout *r, const struct rollout_input *in, bool force, struct rollout_output *ret_out)
{
	if (!phase_has_canary(r) || word_taken_back(r, in))
		return -EINVAL;
	if (!force && !in->canary_live)
		return -EHOSTDOWN;
	if (!force && (r->judge.fails || gate_over_limit(r)))
		return -EPERM;
	times_mend(r, in->now);
	*ret_out = (struct rollout_output){ .changed = true, .eta = NAN };
	promote(r, in->now, force ? "promoted by force" : "promoted by command", ret_out);
	return 0;
}

int rollout_abort(struct rollout *r, const struct rollout_input *in, const char *why, struct rollout_output *ret_out)
{
	if (!phase_has_canary(r))
		return -EINVAL;
	times_mend(r, in->now);
	*ret_out = (struct rollout_output){ .action = ROLLOUT_ROLL_BACK, .changed = true, .eta = NAN };
	rolled_back(r, in->now, why && *why ? why : "aborted");
	return 0;
}

void rollout_stepped(struct rollout *r, __u32 epoch, __u64 now)
{
	r->epoch = epoch;
	if (!r->pending)
		return;
	r->pending = 0;
	r->step_since = now;
}

const char *rollout_next(const struct rollout *r, const struct model_rollout *policy)
{
	switch (r->phase) {
	case ROLLOUT_PAUSED:
		return r->manual ? "rollout advance NAME" : "rollout resume NAME";
	case ROLLOUT_HOLDING:
		return strcmp(r->blocked_by, no_stable) == 0 ? "rollout abort NAME" : "rollout advance NAME";
	case ROLLOUT_ROLLED_BACK:
		return "rollout retry NAME";
	default:
		return "";
	}
}

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size);
}

bool rollout_valid(const struct rollout *r)
{
	return r->phase <= ROLLOUT_ROLLED_BACK && r->step < MODEL_STEPS && r->share <= PERCH_SHARE_ALL &&
	       is_text(r->canary, sizeof(r->canary)) && is_text(r->reason, sizeof(r->reason)) &&
	       is_text(r->blocked_by, sizeof(r->blocked_by)) && (r->canary[0] || r->phase == ROLLOUT_IDLE) &&
	       r->judge.n <= MODEL_GATES && r->judge.fails <= r->judge.n;
}
