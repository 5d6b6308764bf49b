/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What people ask of a rollout. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "rollout_inside.h"

int rollout_start(struct rollout *r, const struct model_rollout *policy, const char *canary,
		  const struct rollout_input *in, struct rollout_output *ret_out)
{
	if (phase_has_canary(r) || !policy->n_steps || !*canary || strlen(canary) >= sizeof(r->canary))
		return -EINVAL;
	if (!in->canary_live || !in->stable_live)
		return -EHOSTDOWN;
	memset(r, 0, sizeof(*r));
	rollout_say(r->canary, sizeof(r->canary), "%s", canary);
	r->epoch = in->epoch;
	r->started = in->now;
	r->stable_backends = in->stable_live;
	*ret_out = (struct rollout_output){ .changed = true, .eta = NAN };
	if (policy->observe)
		observe_enter(r, in, ret_out);
	else
		step_enter(r, policy, 0, in->now, ret_out);
	return 0;
}

int rollout_pause(struct rollout *r, const struct rollout_input *in)
{
	if (!phase_has_canary(r) || r->phase == ROLLOUT_PAUSED)
		return -EINVAL;
	times_mend(r, in->now);
	freeze_follow(r, false, in->now);	/* one clock stops it, not two */
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

int rollout_promote(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in, bool force,
		    struct rollout_output *ret_out)
{
	if (!phase_has_canary(r) || word_taken_back(r, in))
		return -EINVAL;
	if (policy->strategy == MODEL_EXPERIMENT)
		return -ENOTSUP;
	if (!force && !in->canary_live)
		return -EHOSTDOWN;
	if (!force && (r->judge.fails || gate_over_limit(r) || in->outside_fails || in->outside_holds))
		return -EPERM;
	times_mend(r, in->now);
	*ret_out = (struct rollout_output){ .changed = true, .eta = NAN };
	rollout_end_promoted(r, in->now, force ? "promoted by force" : "promoted by command", ret_out);
	return 0;
}

int rollout_skip(struct rollout *r, const struct model_rollout *policy, const char *gate)
{
	if (!phase_has_canary(r))
		return -EINVAL;
	for (unsigned g = 0; g < MODEL_GATES + policy->n_outside; g++) {
		if (!*gate || strcmp(rollout_gate_name(policy, g), gate) != 0)
			continue;
		if (rollout_skips(r, policy, g))
			return -EALREADY;
		gates_followed(r, policy);
		r->skipped |= 1u << g;
		rollout_skipped(r, gate);
		return 0;
	}
	return -ENOENT;
}

void rollout_skipped(struct rollout *r, const char *gate)
{
	REASON(r, "gate %s is left out", gate);
}

int rollout_abort(struct rollout *r, const struct rollout_input *in, const char *why, struct rollout_output *ret_out)
{
	if (!phase_has_canary(r))
		return -EINVAL;
	times_mend(r, in->now);
	*ret_out = (struct rollout_output){ .action = ROLLOUT_ROLL_BACK, .changed = true, .eta = NAN };
	rollout_end_rolled_back(r, in->now, why && *why ? why : "aborted");
	return 0;
}

const char *rollout_next(const struct rollout *r, const struct model_rollout *policy)
{
	switch (r->phase) {
	case ROLLOUT_PAUSED:
		return r->manual ? "rollout advance NAME" : "rollout resume NAME";
	case ROLLOUT_HOLDING:
		return strcmp(r->blocked_by, rollout_no_stable) == 0 ? "rollout abort NAME" : "rollout advance NAME";
	case ROLLOUT_PROGRESSING:
	case ROLLOUT_WATCHING:
		return r->frozen_since ? "rollout advance NAME" : "";
	case ROLLOUT_ROLLED_BACK:
		return "rollout retry NAME";
	default:
		return "";
	}
}
