// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The glue between the rollout machine and the kernel: what it is fed, and
 * how steps, promotions and rollbacks it asks for are carried out.
 */
#include "rollouts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../alarms.h"
#include "../clock.h"
#include "comparing.h"
#include "deadman.h"
#include "../fault.h"
#include "lifecycle.h"
#include "../place.h"
#include "rollback.h"
#include "../outside/gates.h"
#include "../store/save.h"
#include "../webhooks/webhooks.h"

#define OBSERVED "would_roll_back"

static const struct asker judge = { .actor = &actor_judge, .flag = PERCH_BY_JUDGE };

void rollouts_input(struct agent *a, struct service *s, struct rollout_input *in, struct compared *said)
{
	const struct rollout_keep *k = &s->keep;

	*in = (struct rollout_input){
		.now = clock_now(),
		.epoch = perch_word_epoch(s->word),
		.share = s->canary_share,
		.minute = clock_minute_of_week(),
		.rolled_back = service_rolled_back(s),
		.canary_live = place_live(a, s, slot_of_role(s->slot, PERCH_ROLE_CANARY)),
		.stable_live = place_live(a, s, slot_of_role(s->slot, PERCH_ROLE_STABLE)),
		.canary = k->canary.sum,
		.stable = k->stable.sum,
	};
	in->step_connections = step_connections(k);
	outside_input(s, in);
	comparing_input(s, in, said);
	if (k->rollout.pending && service_in_rollout(s))
		in->step_waits = step_gate_closed(a, s);
}

static const char *percent_text(__u32 share, char out[16])
{
	snprintf(out, 16, "%g", share / 100.0);
	return out;
}

static void emit_step(struct agent *a, struct service *s, __u32 from, const struct asker *asker)
{
	char was[16], is[16];

	agent_emit(a, .kind = "step", .actor = asker->actor, .service = s->name, .from = percent_text(from, was),
		   .to = percent_text(s->canary_share, is), .epoch = perch_word_epoch(s->word),
		   .reason = s->keep.rollout.reason, .comment = asker->comment);
}

/* The word that sets the share is written: the step's counts begin. */
static void step_begins(struct agent *a, struct service *s, bool warming)
{
	s->keep.step_began_at = judge_connections(&s->keep.canary.sum);
	comparing_step(a, s, warming);
}

void rollouts_moved(struct agent *a, struct service *s)
{
	rollout_moved(&s->keep.rollout, perch_word_epoch(s->word), s->canary_share, clock_now());
	step_begins(a, s, comparing_warms(s));
}

static int rollout_set_share(struct agent *a, struct service *s, __u32 share, const struct asker *asker)
{
	/* the baseline gives way to the canary's last steps */
	__u32 rest = PERCH_SHARE_ALL - share, baseline = s->baseline_share < rest ? s->baseline_share : rest;
	const struct step step = { .slot = s->slot, .canary_share = share, .baseline_share = baseline,
				   .in_rollout = true, .flags = asker->flag, .window = "step" };
	__u32 from = s->canary_share;
	int r = place_step(a, s, &step);

	if (r)
		return r;
	rollout_stepped(&s->keep.rollout, perch_word_epoch(s->word), clock_now());
	step_begins(a, s, comparing_warms(s));
	fault_point("step", "unsaved");
	save_rollout(a, s, true);
	fault_point("step", "half-saved");
	save_service(a, s);
	emit_step(a, s, from, asker);
	return 0;
}

/* The warm-up is over: what comes now is of an epoch of its own, and the step's
 * time begins. */
static int rollout_warmed(struct agent *a, struct service *s)
{
	const struct step step = { .slot = s->slot, .canary_share = s->canary_share, .baseline_share = s->baseline_share,
				   .in_rollout = true, .flags = PERCH_BY_JUDGE, .window = "warm" };
	int r = place_step(a, s, &step);

	if (r)
		return r;
	rollout_warmed_up(&s->keep.rollout, perch_word_epoch(s->word), clock_now());
	step_begins(a, s, false);
	save_rollout(a, s, true);
	save_service(a, s);
	return 0;
}

static int rollout_promote_now(struct agent *a, struct service *s, const struct asker *asker)
{
	struct version slot[PERCH_SLOTS];
	const struct step step = { .slot = slot, .flags = asker->flag, .window = "promote" };
	int r, was = slot_of_role(s->slot, PERCH_ROLE_STABLE), is = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	char why[AGENT_WHY];

	if (was < 0 || is < 0)
		return -EINVAL;
	memcpy(slot, s->slot, sizeof(slot));	/* roles only: owns nothing */
	lifecycle_promote(slot, s->model->rollout.keep_previous > 0, clock_wall());
	r = place_step(a, s, &step);
	if (r)
		return r;
	memcpy(s->slot, slot, sizeof(slot));
	rollout_stepped(&s->keep.rollout, perch_word_epoch(s->word), clock_now());
	lifecycle_fill_canary(s->slot, false, clock_wall());
	fault_point("promote", "unsaved");
	save_rollout(a, s, true);
	fault_point("promote", "half-saved");
	save_service(a, s);
	fault_point("promote", "unplaced");
	if (place_service(a, s, why))
		alarm_raise(a, "datapath", s->name, s->name, NULL, "%s", why);
	agent_emit(a, .kind = "promote", .actor = asker->actor, .service = s->name, .from = s->slot[was].name,
		   .to = s->slot[is].name, .epoch = perch_word_epoch(s->word), .reason = s->keep.rollout.reason,
		   .comment = asker->comment);
	return 0;
}

static int rollout_roll_back(struct agent *a, struct service *s, const struct asker *asker)
{
	char reason[sizeof(s->keep.rollout.reason)];
	struct rollback b = { .mode = -1, .by = asker->flag, .actor = asker->actor, .reason = reason,
			      .comment = asker->comment };

	snprintf(reason, sizeof(reason), "%s", s->keep.rollout.reason);
	return rollback_run(a, s, &b);
}

int rollouts_do(struct agent *a, struct service *s, const struct rollout_output *out, const struct rollout *before,
		const struct asker *asker)
{
	int r = 0;

	switch (out->action) {
	case ROLLOUT_NOTHING:
		return 0;
	case ROLLOUT_SET_SHARE:
		if (step_gate_closed(a, s))	/* comes again with each look */
			return 0;
		r = rollout_set_share(a, s, out->share, asker);
		break;
	case ROLLOUT_PROMOTE:
		r = rollout_promote_now(a, s, asker);
		if (r)	/* asked for once: it must come again */
			s->keep.rollout = *before;
		break;
	case ROLLOUT_ROLL_BACK:
		/* not over until the word says so */
		s->keep.rollout.phase = before->phase;
		r = rollout_roll_back(a, s, asker);
		break;
	}
	if (r == -ESTALE)
		rollback_notice(a, s);
	else if (r)
		alarm_raise(a, "datapath", s->name, s->name, NULL, "%s: the split could not be moved: %s", s->name,
			    strerror(-r));
	else
		alarm_clear(a, "datapath", s->name);
	return r;
}

static const char *phase_event(enum rollout_phase phase)
{
	switch (phase) {
	case ROLLOUT_PAUSED: return "pause";
	case ROLLOUT_HOLDING: return "hold";
	case ROLLOUT_PROGRESSING: return "resume";
	default: return "rollout";
	}
}

/* Tell of a phase that came by itself; promotions and rollbacks have told. */
static void emit_phase(struct agent *a, struct service *s, enum rollout_phase before)
{
	enum rollout_phase phase = s->keep.rollout.phase;

	if (phase == before || phase == ROLLOUT_SUCCEEDED || phase == ROLLOUT_ROLLED_BACK)
		return;
	agent_emit(a, .kind = phase_event(phase), .actor = &actor_judge, .service = s->name,
		   .from = rollout_phase_name(before), .to = rollout_phase_name(phase),
		   .epoch = perch_word_epoch(s->word), .reason = s->keep.rollout.reason);
}

void rollouts_look(struct agent *a, struct service *s)
{
	struct rollout before;
	struct rollout_output out = { .eta = NAN };
	struct rollout_input in;
	struct compared said;

	outside_look(a, s);
	comparing_look(a, s);
	if (comparing_warmed(s, clock_now()) && rollout_warmed(a, s) == -ESTALE)
		rollback_notice(a, s);
	if (!service_in_rollout(s))
		return;
	before = s->keep.rollout;
	rollouts_input(a, s, &in, &said);
	rollout_tick(&s->keep.rollout, &s->model->rollout, &in, &out);
	s->eta = out.eta;
	rollouts_do(a, s, &out, &before, &judge);
	emit_phase(a, s, before.phase);
	if (s->keep.rollout.would == ROLLOUT_WOULD_ROLL_BACK)
		alarm_raise(a, OBSERVED, s->name, s->name, "`perch rollback` does it", "%s: %s", s->name,
			    s->keep.rollout.reason);
	else if (before.would == ROLLOUT_WOULD_ROLL_BACK)
		alarm_clear(a, OBSERVED, s->name);
	/* what speaks against the canary is on the disk within a second: that it
	 * did well may be lost with the power */
	if (out.changed || clock_now() >= s->next_save)
		save_rollout(a, s, out.changed || arm_bad(&s->keep.canary) != s->stored_bad);
}

/* In a rollout, or with shares that another hand may take. */
static bool service_moves(const struct service *s)
{
	return service_in_rollout(s) || s->canary_share || s->baseline_share;
}

void rollouts_follow(struct agent *a, struct service *s)
{
	if (s->moves || !s->at || !service_moves(s))
		return;
	s->moves = true;
	TAILQ_INSERT_TAIL(&a->moving, s, moving);
}

void rollouts_unfollow(struct agent *a, struct service *s)
{
	if (!s->moves)
		return;
	s->moves = false;
	TAILQ_REMOVE(&a->moving, s, moving);
}

void rollouts_tick(struct agent *a)
{
	struct service *next;

	for (struct service *s = TAILQ_FIRST(&a->moving); s; s = next) {
		next = TAILQ_NEXT(s, moving);
		rollback_notice(a, s);
		if (service_in_rollout(s))
			rollouts_look(a, s);
		else
			alarm_clear(a, OBSERVED, s->name);
		deadman_follow(a, s);
		comparing_follow(a, s);
		if (!service_moves(s))
			rollouts_unfollow(a, s);
	}
}

void rollouts_rolled_back(struct agent *a, struct service *s, const char *reason)
{
	struct rollout_output out;
	struct rollout_input in;
	struct compared said;

	rollouts_input(a, s, &in, &said);
	in.rolled_back = true;
	in.rolled_back_why = reason;
	rollout_tick(&s->keep.rollout, &s->model->rollout, &in, &out);
	s->keep.rollout.phase = ROLLOUT_ROLLED_BACK;
	s->eta = NAN;
}

int rollouts_pause_for_weights(struct agent *a, struct service *s)
{
	struct rollout_input in;
	struct compared said;

	if (s->keep.rollout.phase == ROLLOUT_PAUSED)
		return 0;
	rollouts_input(a, s, &in, &said);
	return rollout_pause(&s->keep.rollout, &in);
}
