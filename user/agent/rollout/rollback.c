// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A rollback is one write in the kernel; what follows here makes the state
 * say the same: shares, roles, the rejection, the rollout, the event.
 */
#include "rollback.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../core/split.h"
#include "../../datapath/registry.h"
#include "../clock.h"
#include "../fault.h"
#include "lifecycle.h"
#include "../log.h"
#include "../place.h"
#include "rollouts.h"
#include "../store/save.h"
#include "../severs.h"

static enum rollback_by rollback_by(__u32 flags)
{
	if (flags & PERCH_BY_REFLEX)
		return BACK_REFLEX;
	if (flags & PERCH_BY_DEADMAN)
		return BACK_DEADMAN;
	if (flags & PERCH_BY_DIRECT)
		return BACK_DIRECT;
	return flags & PERCH_BY_JUDGE ? BACK_JUDGE : BACK_COMMAND;
}

static const char *rollback_event(__u32 flags)
{
	switch (rollback_by(flags)) {
	case BACK_REFLEX: return "reflex";
	case BACK_DEADMAN: return "deadman";
	default: return "rollback";
	}
}

/* Why, in words for people: what was given, what --direct wrote down beside
 * the word, or what the word's flag stands for. */
static void rollback_reason(const struct agent *a, const struct service *s, const struct rollback *b, int leaving,
			    char *out, size_t size)
{
	struct perch_rejection r;

	if (b->reason)
		snprintf(out, size, "%s", b->reason);
	else if (b->by & PERCH_BY_DIRECT && leaving >= 0 &&
		 registry_rejected(&a->datapath.maps, s->name, s->slot[leaving].name, &r) && r.reason[0])
		snprintf(out, size, "%.111s", r.reason);
	else if (b->by & PERCH_BY_REFLEX)
		snprintf(out, size, "%u failed connects in a row", s->model->rollout.reflex);
	else if (b->by & PERCH_BY_DEADMAN)
		snprintf(out, size, "no agent for the dead-man time");
	else if (b->by & PERCH_BY_DIRECT)
		snprintf(out, size, "perch rollback --direct");
	else
		snprintf(out, size, "%s", b->comment && b->comment[0] ? b->comment : "by command");
}

/* The slot that all traffic goes to while the twin is in force. */
static int twin_rest(const struct agent *a, const struct service *s)
{
	const struct perch_split *split = &a->datapath.maps.splits[s->id];

	return split->plan[(perch_word_plan(s->word) | 1) % (2 * PERCH_PAIRS)].rest % PERCH_SLOTS;
}

/* Who loses the traffic: stable, when it goes to previous; else who had the
 * canary's share of the plan before, or the role without a share. */
static int leaving_slot(const struct agent *a, const struct service *s, bool to_previous)
{
	const struct perch_split *split = &a->datapath.maps.splits[s->id];
	const struct perch_plan *plan = &split->plan[(perch_word_plan(s->word) & ~1u) % (2 * PERCH_PAIRS)];

	if (to_previous)
		return slot_of_role(s->slot, PERCH_ROLE_STABLE);
	if (plan->low_end && plan->low < PERCH_SLOTS && s->slot[plan->low].name[0] &&
	    s->slot[plan->low].role != PERCH_ROLE_STABLE)
		return plan->low;
	return slot_of_role(s->slot, PERCH_ROLE_CANARY);
}

static void rollback_reject(struct agent *a, struct service *s, int slot, const struct rollback *b, const char *reason)
{
	struct perch_rejection r = { .when = clock_wall(), .epoch = perch_word_epoch(s->word) & ~1u,
				     .by = b->by };

	if (slot < 0 || !s->slot[slot].name[0])
		return;
	snprintf(r.reason, sizeof(r.reason), "%.111s", reason);
	save_reject(a, s, slot, &r);
}

/* The rollout learns of it; one that was over long ago is not the one meant. */
static void rollback_tell_rollout(struct agent *a, struct service *s, bool to_previous, const char *canary,
				  const char *reason)
{
	struct rollout *r = &s->keep.rollout;

	if (service_in_rollout(s) || (r->phase == ROLLOUT_SUCCEEDED && to_previous)) {
		rollouts_rolled_back(a, s, reason);
	} else if (r->phase != ROLLOUT_ROLLED_BACK || strcmp(r->canary, canary)) {
		memset(r, 0, sizeof(*r));
		r->phase = ROLLOUT_ROLLED_BACK;
		r->epoch = perch_word_epoch(s->word);
		r->phase_since = r->step_since = r->started = clock_now();
		snprintf(r->canary, sizeof(r->canary), "%s", canary);
	}
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

/* What --direct wrote down is reason and comment in one: cut it in two. */
static const char *direct_comment(char *reason)
{
	char *end = strstr(reason, REGISTRY_DIRECT ": ");

	if (!end)
		return NULL;
	end += strlen(REGISTRY_DIRECT);
	*end = 0;
	return end + 2;
}

void rollback_adopt(struct agent *a, struct service *s, struct rollback *b)
{
	int rest = twin_rest(a, s);
	bool to_previous = s->slot[rest].role == PERCH_ROLE_PREVIOUS;
	int leaving = leaving_slot(a, s, to_previous);
	char reason[112], why[AGENT_WHY];
	const char *comment = b->comment;
	int unsaved = store_begin(a->store);	/* one write to the disk for all of it */

	rollback_reason(a, s, b, leaving, reason, sizeof(reason));
	snprintf(b->from, sizeof(b->from), "%s", leaving >= 0 ? s->slot[leaving].name : "");
	snprintf(b->to, sizeof(b->to), "%s", s->slot[rest].name);
	rollback_reject(a, s, leaving, b, reason);
	fault_point("rollback", "rejected");
	rollback_tell_rollout(a, s, to_previous, b->from, reason);
	if (to_previous)
		lifecycle_back(s->slot, clock_wall());
	s->canary_share = s->baseline_share = 0;
	lifecycle_fill_canary(s->slot, false, clock_wall());
	save_rollout(a, s, true);
	fault_point("rollback", "half-saved");
	save_service(a, s);
	s->rollbacks[rollback_by(b->by)]++;
	if (place_service(a, s, why))
		log_error("%s", why);
	if (!comment && b->by & PERCH_BY_DIRECT)
		comment = direct_comment(reason);
	agent_emit(a, .kind = rollback_event(b->by), .actor = b->actor, .service = s->name,
		   .from = b->from[0] ? b->from : NULL, .to = b->to, .epoch = perch_word_epoch(s->word),
		   .reason = reason, .comment = comment);
	if (!unsaved)
		store_end(a->store, 0);
	severs_begin(a);
}

/* Nothing to take out: no share anywhere that the twin would not have. */
static bool rollback_is_idle(struct agent *a, struct service *s)
{
	return !place_has_twin(a, s) && !service_in_rollout(s);
}

int rollback_run(struct agent *a, struct service *s, struct rollback *b)
{
	__u64 before = 0;
	int r, stable;

	rollback_notice(a, s);
	stable = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	snprintf(b->to, sizeof(b->to), "%s", stable >= 0 ? s->slot[stable].name : "");
	if (!service_rolled_back(s) && rollback_is_idle(a, s)) {
		b->outcome = ROLLBACK_NOTHING;
		return 0;
	}
	if (service_rolled_back(s) && !service_in_rollout(s)) {
		b->outcome = ROLLBACK_ALREADY;
		snprintf(b->from, sizeof(b->from), "%s", s->keep.rollout.canary);
		if (b->mode < 0)
			return 0;
	}
	r = registry_rollback(&a->datapath.maps, s->id, b->mode, b->by, b->reason ? b->reason : b->comment, &before,
			      &b->ns);
	if (r == -ENOENT)
		return r;
	/* the word is turned whatever else failed; the state follows it */
	if (r)
		log_error("%s: after the rollback: %s", s->name, strerror(-r));
	fault_point("rollback", "turned");
	s->word = split_word(&a->datapath.maps.splits[s->id]);
	if (b->outcome == ROLLBACK_ALREADY)
		severs_begin(a);
	else
		rollback_adopt(a, s, b);
	return 0;
}

void rollback_notice(struct agent *a, struct service *s)
{
	__u64 word = split_word(&a->datapath.maps.splits[s->id]), before = s->word;
	struct rollback b = { .mode = -1, .by = perch_word_flags(word) & ~perch_word_flags(before) };

	/* without a model it leaves: nobody will be sent to either version */
	if (!s->placed || !s->model || word == before)
		return;
	s->word = word;
	b.actor = actor_of_word(perch_word(0, 0, b.by));
	if (!b.actor)
		b.actor = &actor_direct;
	if (service_rolled_back(s)) {
		rollback_adopt(a, s, &b);
		return;
	}
	/* a step of somebody else's: not ours to judge, but ours to follow */
	place_read_split(a, s);
	save_service(a, s);
	agent_emit(a, .kind = "weights", .actor = b.actor, .service = s->name, .epoch = perch_word_epoch(s->word),
		   .reason = "the split was moved by another writer");
}
