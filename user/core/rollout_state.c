/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The state of a rollout: its phases, and each change that a look or a command
 * makes of them as a whole. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rollout_inside.h"

const char rollout_no_stable[] = "stable has no live backend to go back to";

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

void rollout_say(char *out, size_t size, const char *format, ...)
{
	char text[128] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, size < sizeof(text) ? size : sizeof(text), format, args);
	va_end(args);
	memcpy(out, text, size < sizeof(text) ? size : sizeof(text));
}

void phase_set(struct rollout *r, enum rollout_phase phase, __u64 now)
{
	if (r->phase == phase)
		return;
	r->phase = phase;
	r->phase_since = now;
}

enum rollout_phase phase_running(const struct rollout *r)
{
	return r->watching ? ROLLOUT_WATCHING : ROLLOUT_PROGRESSING;
}

bool phase_has_canary(const struct rollout *r)
{
	return r->phase >= ROLLOUT_PROGRESSING && r->phase <= ROLLOUT_WATCHING;
}

/* Times of another boot lie ahead of the clock: what they mark begins now. */
void freeze_follow(struct rollout *r, bool frozen, __u64 now)
{
	__u64 time = elapsed(now, r->frozen_since);

	if (frozen == !!r->frozen_since)
		return;
	if (frozen) {
		r->frozen_since = now;
		return;
	}
	r->frozen_since = 0;
	r->paused += time;
	/* traffic was watched all the while */
	if (!r->watching)
		r->step_since += time;
}

void times_mend(struct rollout *r, __u64 now)
{
	if (r->started > now) {
		r->started = now;
		r->paused = 0;
	}
	if (r->step_since > now)
		r->step_since = now;
	if (r->phase_since > now)
		r->phase_since = now;
	if (r->frozen_since > now)
		r->frozen_since = now;
}

void ask_share(const struct rollout *r, struct rollout_output *out)
{
	out->action = ROLLOUT_SET_SHARE;
	out->share = r->share;
}

/* A pause stops the clock of the step and that of the deadline. */
void pause_leave(struct rollout *r, __u64 now)
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

void step_enter(struct rollout *r, const struct model_rollout *policy, __u32 index, __u64 now,
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

void observe_say(struct rollout *r)
{
	REASON(r, "observed at %u.%02u %%", r->share / 100, r->share % 100);
}

void observe_enter(struct rollout *r, const struct rollout_input *in, struct rollout_output *out)
{
	r->share = in->share;
	r->pending = 1;
	phase_set(r, phase_running(r), in->now);
	observe_say(r);
	ask_share(r, out);
}

/* Time that is counted from a word on. */
static void times_begin(struct rollout *r, __u32 epoch, __u64 now)
{
	r->epoch = epoch;
	r->step_since = now;
	if (r->frozen_since)
		r->frozen_since = now;
}

void rollout_warmed_up(struct rollout *r, __u32 epoch, __u64 now)
{
	times_begin(r, epoch, now);
}

void rollout_moved(struct rollout *r, __u32 epoch, __u32 share, __u64 now)
{
	times_begin(r, epoch, now);
	r->share = share;
	r->would = ROLLOUT_WOULD_STAY;
	observe_say(r);
}

/* A last step below 100 %: watched at its own share. */
void watch_enter(struct rollout *r, __u64 now)
{
	step_leave(r, now);
	r->watching = 1;
	phase_set(r, ROLLOUT_WATCHING, now);
	REASON(r, "watching at %u.%02u %%", r->share / 100, r->share % 100);
}

void rollout_end_promoted(struct rollout *r, __u64 now, const char *why, struct rollout_output *out)
{
	step_leave(r, now);
	r->watching = 0;
	r->pending = 0;
	r->share = PERCH_SHARE_ALL;
	phase_set(r, ROLLOUT_SUCCEEDED, now);
	REASON(r, "%s", why);
	out->action = ROLLOUT_PROMOTE;
}

void rollout_end_experiment(struct rollout *r, __u64 now, struct rollout_output *out)
{
	step_leave(r, now);
	r->watching = 0;
	r->ending = 1;
	r->share = 0;
	r->pending = 1;
	phase_set(r, ROLLOUT_PROGRESSING, now);
	REASON(r, "the experiment is over: %s goes back to 0 %%", r->canary);
	ask_share(r, out);
}

void rollout_end_rolled_back(struct rollout *r, __u64 now, const char *why)
{
	step_leave(r, now);
	r->watching = 0;
	r->pending = 0;
	r->share = 0;
	phase_set(r, ROLLOUT_ROLLED_BACK, now);
	REASON(r, "%s", why);
}

__u32 step_index(const struct rollout *r, const struct model_rollout *policy)
{
	return r->step < policy->n_steps ? r->step : policy->n_steps - 1;
}

/* Was the word rolled back by another hand?  Only after our last step: a
 * retry begins with a word that says rolled back, until its first step. */
bool word_taken_back(const struct rollout *r, const struct rollout_input *in)
{
	return in->rolled_back && (__s32)(in->epoch - r->epoch) > 0;
}

const char *rollout_gate_name(const struct model_rollout *policy, unsigned g)
{
	if (g < MODEL_GATES)
		return g < policy->n_gates ? policy->gate[g].name : "";
	return g - MODEL_GATES < policy->n_outside ? policy->outside[g - MODEL_GATES].name : "";
}

static __u32 gates_hash(const struct model_rollout *policy)
{
	__u32 h = 2166136261u;	/* FNV-1a, each name with its end */

	for (unsigned g = 0; g < MODEL_GATES + policy->n_outside; g++) {
		const char *c = rollout_gate_name(policy, g);

		do
			h = (h ^ (__u8)*c) * 16777619u;
		while (*c++);
	}
	return h;
}

void gates_followed(struct rollout *r, const struct model_rollout *policy)
{
	__u32 now = gates_hash(policy);

	if (r->skipped_of == now)
		return;
	r->skipped_of = now;
	r->skipped = 0;
}

bool rollout_skips(const struct rollout *r, const struct model_rollout *policy, unsigned g)
{
	return g < MODEL_GATES + MODEL_OUTSIDE && r->skipped >> g & 1 && r->skipped_of == gates_hash(policy);
}

unsigned gate_over_limit(const struct rollout *r)
{
	for (unsigned g = 0; g < r->judge.n && g < MODEL_GATES; g++)
		if (r->judge.gate[g].over_limit)
			return g + 1;
	return 0;
}

void rollout_stepped(struct rollout *r, __u32 epoch, __u64 now)
{
	r->epoch = epoch;
	if (!r->pending)
		return;
	r->pending = 0;
	times_begin(r, epoch, now);
	if (!r->ending)
		return;
	r->ending = 0;
	phase_set(r, ROLLOUT_SUCCEEDED, now);
	REASON(r, "the experiment is over, %s was not found worse", r->canary);
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
