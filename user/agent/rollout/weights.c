// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a request for weights means: stable is the rest, canary and baseline
 * are what is set. */
#include "weights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../fault.h"
#include "../place.h"
#include "rollback.h"
#include "rollouts.h"
#include "../store/save.h"

/* Shares asked for by slot; -1: not named. */
struct wanted {
	int share[PERCH_SLOTS];
};

static int wanted_read(const struct service *s, const struct weight *w, size_t n, struct wanted *ret, char why[AGENT_WHY])
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		ret->share[i] = -1;
	for (size_t i = 0; i < n; i++) {
		int slot = slot_find(s->slot, w[i].version);

		if (slot < 0) {
			snprintf(why, AGENT_WHY, "%s: no version '%s'; `perch version show service %s` lists them",
				 s->name, w[i].version, s->name);
			return -ENOENT;
		}
		if (ret->share[slot] >= 0) {
			snprintf(why, AGENT_WHY, "%s: version '%s' is named twice", s->name, s->slot[slot].name);
			return -EINVAL;
		}
		ret->share[slot] = w[i].share;
	}
	return 0;
}

/* Only canary and baseline have a share of their own. */
static int wanted_check_slot(const struct service *s, const struct wanted *w, int slot, char why[AGENT_WHY])
{
	const struct version *v = &s->slot[slot];

	if (w->share[slot] <= 0)
		return 0;
	if (v->role != PERCH_ROLE_CANARY && v->role != PERCH_ROLE_BASELINE && v->role != PERCH_ROLE_STABLE) {
		snprintf(why, AGENT_WHY, "%s: version '%s' is %s: only stable, canary and baseline have weights", s->name,
			 v->name, v->role == PERCH_ROLE_NONE ? "not in use" : role_name(v->role));
		return -EBUSY;
	}
	if (v->rejected && v->role != PERCH_ROLE_STABLE) {
		snprintf(why, AGENT_WHY, "%s: version '%s' was rejected (%s); `perch rollout retry %s` takes that back",
			 s->name, v->name, v->rejection.reason, s->name);
		return -EBUSY;
	}
	if (!v->in_file && v->role != PERCH_ROLE_STABLE) {
		snprintf(why, AGENT_WHY, "%s: version '%s' is not in %s", s->name, v->name, s->model->origin);
		return -EBUSY;
	}
	return 0;
}

static int wanted_step(const struct service *s, const struct wanted *w, struct step *step, char why[AGENT_WHY])
{
	int stable = slot_of_role(s->slot, PERCH_ROLE_STABLE), canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	int baseline = slot_of_role(s->slot, PERCH_ROLE_BASELINE), r;
	__u32 rest;

	for (int i = 0; i < PERCH_SLOTS; i++) {
		r = wanted_check_slot(s, w, i, why);
		if (r)
			return r;
	}
	if (canary >= 0 && w->share[canary] >= 0)
		step->canary_share = w->share[canary];
	if (baseline >= 0 && w->share[baseline] >= 0)
		step->baseline_share = w->share[baseline];
	if (step->canary_share + step->baseline_share > PERCH_SHARE_ALL) {
		snprintf(why, AGENT_WHY, "%s: weights add up to %g percent", s->name,
			 (step->canary_share + step->baseline_share) / 100.0);
		return -EINVAL;
	}
	rest = PERCH_SHARE_ALL - step->canary_share - step->baseline_share;
	if (stable >= 0 && w->share[stable] >= 0 && (__u32)w->share[stable] != rest) {
		snprintf(why, AGENT_WHY, "%s: stable ('%s') has the rest, %g percent, not %g", s->name,
			 s->slot[stable].name, rest / 100.0, w->share[stable] / 100.0);
		return -EINVAL;
	}
	return 0;
}

static int weights_step(struct agent *a, struct service *s, const struct step *step, char why[AGENT_WHY])
{
	int r = place_step(a, s, step);

	if (r == -ESTALE) {
		rollback_notice(a, s);
		snprintf(why, AGENT_WHY, "%s: the split was moved meanwhile; look at it and try again", s->name);
	} else if (r) {
		snprintf(why, AGENT_WHY, "%s: the split could not be moved: %s", s->name, strerror(-r));
	}
	return r;
}

int weights_set(struct agent *a, struct service *s, const struct weight *w, size_t n, bool force,
		const struct actor *actor, const char *comment, char why[AGENT_WHY])
{
	struct step step;
	struct wanted wanted;
	char from[16], to[16];
	int r, unsaved;
	bool paused, observed;

	rollback_notice(a, s);
	step = (struct step){ .slot = s->slot, .canary_share = s->canary_share, .baseline_share = s->baseline_share,
			      .in_rollout = service_in_rollout(s), .flags = PERCH_BY_AGENT, .window = "weights" };
	observed = service_in_rollout(s) && s->model->rollout.observe;
	if (service_in_rollout(s) && !force && !observed) {
		snprintf(why, AGENT_WHY, "%s: a rollout of '%s' is under way; force pauses it", s->name,
			 s->keep.rollout.canary);
		return -EBUSY;
	}
	r = wanted_read(s, w, n, &wanted, why);
	if (!r)
		r = wanted_step(s, &wanted, &step, why);
	if (r)
		return r;
	snprintf(from, sizeof(from), "%g", s->canary_share / 100.0);
	paused = service_in_rollout(s) && !observed;
	if (paused)
		rollouts_pause_for_weights(a, s);
	r = weights_step(a, s, &step, why);
	if (r)
		return r;
	if (observed)
		rollouts_moved(a, s);
	fault_point("weights", "unsaved");
	unsaved = store_begin(a->store);	/* one write to the disk for all of it */
	save_rollout(a, s, true);
	fault_point("weights", "half-saved");
	save_service(a, s);
	snprintf(to, sizeof(to), "%g", s->canary_share / 100.0);
	agent_emit(a, .kind = "weights", .actor = actor, .service = s->name, .from = from, .to = to,
		   .epoch = perch_word_epoch(s->word), .reason = paused ? "the rollout is paused" : NULL,
		   .comment = comment);
	if (!unsaved)
		store_end(a->store, 0);
	return 0;
}
