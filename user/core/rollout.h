/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The rollout: from the first step to promotion or rollback, as a machine
 * that is fed time and evidence and answers with what to do.  It does no I/O;
 * its state is plain bytes that fit struct perch_rollout_blob, so that it is
 * kept in a pinned map and in the store and goes on after a restart.
 */
#ifndef PERCH_CORE_ROLLOUT_H
#define PERCH_CORE_ROLLOUT_H

#include "judge.h"
#include "model.h"

#define ROLLOUT_LAYOUT 8

enum rollout_phase {
	ROLLOUT_IDLE, ROLLOUT_PROGRESSING, ROLLOUT_PAUSED, ROLLOUT_HOLDING,
	ROLLOUT_WATCHING, ROLLOUT_SUCCEEDED, ROLLOUT_ROLLED_BACK,
};
const char *rollout_phase_name(enum rollout_phase p);	/* "Progressing" */

/* What is told and not done where the policy only observes. */
enum rollout_would { ROLLOUT_WOULD_STAY, ROLLOUT_WOULD_GO_ON, ROLLOUT_WOULD_ROLL_BACK };

struct rollout {
	__u32 phase;		/* enum rollout_phase */
	__u32 step;		/* index into the policy's steps */
	__u32 share;		/* asked for last, 0.01 % */
	__u32 epoch;		/* of the word that step set */
	__u64 started;		/* ns, caller's clock */
	__u64 step_since;	/* ns: when the step (or the watch) began */
	__u64 phase_since;	/* ns */
	__u32 stable_backends;	/* live at start */
	__u32 watching;		/* past the last step; a pause or a hold keeps it */
	__u32 advance;		/* asked for by a person */
	__u32 pending;		/* the share was asked for, not yet stepped to */
	__u32 manual;		/* paused by a manual step, not by a person */
	__u32 ending;		/* an experiment on its way back to 0 */
	__u32 skipped;		/* a bit for each gate that a person took out, */
	__u32 skipped_of;	/* of the gates whose names hash to this */
	__u32 would;		/* enum rollout_would */
	__u32 zero;
	__u64 paused;		/* ns spent paused or frozen, not counted by the deadline */
	__u64 frozen_since;	/* ns; 0: not frozen */
	char canary[PERCH_NAME_LEN];
	char reason[128];	/* last thing worth telling */
	char blocked_by[64];
	struct judge judge;	/* gates: counts and evidence */
};
_Static_assert(sizeof(struct rollout) <= PERCH_ROLLOUT_BYTES - 8, "rollout");

struct rollout_input {
	__u64 now;		/* ns */
	__u32 epoch;		/* of the word in force */
	__u32 share;		/* that it gives the canary, 0.01 % */
	__u32 minute;		/* of the week, local time (freeze.h) */
	bool rolled_back;	/* the word says so (reflex, direct, a person) */
	const char *rolled_back_why;	/* what to tell then; NULL: not known */
	__u32 canary_live, stable_live;	/* backends */
	__u64 step_connections;	/* voting canary connections since the step began */
	struct judge_counts canary, stable;	/* since the rollout began */
	/* gates from outside (judge/outside.h), or a person's matter; NULL: nothing of the kind */
	const char *outside_fails;	/* why the canary must go back */
	const char *outside_waits;	/* why it may not go on */
	bool outside_holds;	/* and this is no matter of waiting */
	/* the comparison with stable (compare.h); NULL: nothing of the kind */
	const char *compare_fails;	/* why the canary must go back */
	const char *compare_waits;	/* why the step is not done */
	double compare_eta;	/* seconds until it may be; NAN: unknown */
	const char *step_waits;	/* why the share may not be set yet; NULL: it may */
};

enum rollout_action { ROLLOUT_NOTHING, ROLLOUT_SET_SHARE, ROLLOUT_PROMOTE, ROLLOUT_ROLL_BACK };
struct rollout_output {
	enum rollout_action action;
	__u32 share;		/* for SET_SHARE */
	bool changed;		/* state is worth saving and telling */
	double eta;		/* seconds until the next advance, NAN: unknown */
};

/*
 * Commands.  0 or -EINVAL when the phase does not allow it; *ret_out says what
 * to do, as from a tick.  start: -EHOSTDOWN when canary or stable has no live
 * backend.  promote: -EPERM when a gate is over its limit, -EHOSTDOWN when the
 * canary has no live backend, neither with force; -ENOTSUP: an experiment.  After success a rollback is
 * no abort: it reaches the machine through the word, by a tick.
 */
int rollout_start(struct rollout *r, const struct model_rollout *policy, const char *canary,
		  const struct rollout_input *in, struct rollout_output *ret_out);
int rollout_pause(struct rollout *r, const struct rollout_input *in);
int rollout_resume(struct rollout *r, const struct rollout_input *in);
int rollout_advance(struct rollout *r, const struct rollout_input *in);
int rollout_promote(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in, bool force, struct rollout_output *ret_out);
/* Leave a gate out for the rest of this rollout: it neither condemns nor holds.
 * -ENOENT: no such gate; -EALREADY. */
int rollout_skip(struct rollout *r, const struct model_rollout *policy, const char *gate);
/* The same was done with a gate that is the comparison's (compare.h). */
void rollout_skipped(struct rollout *r, const char *gate);
int rollout_abort(struct rollout *r, const struct rollout_input *in, const char *why, struct rollout_output *ret_out);

/*
 * One look, several times a second, in the phases Progressing to Succeeded.
 * SET_SHARE comes again with each tick until rollout_stepped.  PROMOTE comes
 * once: if it can't be carried out, put the bytes from before the call back,
 * and the next tick asks again.
 */
void rollout_tick(struct rollout *r, const struct model_rollout *policy, const struct rollout_input *in,
		  struct rollout_output *ret_out);

/* A word of the same share: the step's warm-up is over, and its time begins. */
void rollout_warmed_up(struct rollout *r, __u32 epoch, __u64 now);
/* A person moved the canary's share while the policy only observes: what comes
 * now is judged under that. */
void rollout_moved(struct rollout *r, __u32 epoch, __u32 share, __u64 now);
/* After SET_SHARE or PROMOTE was carried out: the epoch of the word that did it. */
void rollout_stepped(struct rollout *r, __u32 epoch, __u64 now);
/* The share that a step on leads to, 0.01 %; after the last one: all. */
__u32 rollout_next_share(const struct rollout *r, const struct model_rollout *policy);
/* ns that the step (or the watch) takes at least. */
__u64 rollout_step_time(const struct rollout *r, const struct model_rollout *policy);
/* Gates are numbered: those on signals from 0, those from outside from
 * MODEL_GATES on.  "": there is no such gate. */
const char *rollout_gate_name(const struct model_rollout *policy, unsigned g);
/* Is gate g taken out by a person? */
bool rollout_skips(const struct rollout *r, const struct model_rollout *policy, unsigned g);
/* The command that unblocks, for `next`; "" when none is needed. */
const char *rollout_next(const struct rollout *r, const struct model_rollout *policy);
/* Are these bytes, found in a map or the store, a state that can go on? */
bool rollout_valid(const struct rollout *r);

#endif
