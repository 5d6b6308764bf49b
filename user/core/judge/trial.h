/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The trial: all evidence for and against the canary of one rollout, fed with
 * votes as they come and asked two questions.  Is it worse (trial_log_e: the
 * average of all gates' evidence, so that one alpha holds for all of them and
 * for the whole rollout, however often we look)?  Is it safe to go on
 * (trial_safe: the loss rule, on the votes of the step alone)?
 *
 * A vote is a connection and one of its outcomes, under the share at which it
 * was assigned: votes of different shares come in tallies of their own.  The
 * state is plain bytes and may be kept.
 */
#ifndef PERCH_CORE_JUDGE_TRIAL_H
#define PERCH_CORE_JUDGE_TRIAL_H

#include <stdbool.h>

#include "event.h"
#include "loss.h"
#include "pool.h"
#include "totals.h"
#include "wait.h"

enum trial_event {
	TRIAL_CONNECT_FAILURE, TRIAL_RESET, TRIAL_NO_RESPONSE, TRIAL_RETRANSMITS,
	TRIAL_HTTP_4XX, TRIAL_HTTP_5XX, TRIAL_UDP_NO_REPLY, TRIAL_EVENTS,
};
enum trial_wait { TRIAL_CONNECT_TIME, TRIAL_RESPONSE_TIME, TRIAL_WAITS };

/* Votes that came since the last tally, of one arm. */
struct trial_arm {
	struct loss_counts event[TRIAL_EVENTS];	/* bad of decided */
	struct wait_votes wait[TRIAL_WAITS];
};
/* Of both, all assigned at the same share w of the canary, 0 < w < 1. */
struct trial_tally {
	double w;
	bool warming;		/* assigned in a warm-up: latency does not vote */
	struct trial_arm canary, stable;
};

struct trial_policy {
	double alpha, beta;
	double max_ratio[TRIAL_EVENTS];	/* margin of each event gate; 0: no gate */
	double max_slowdown;		/* of the pools */
	bool wait[TRIAL_WAITS];		/* are there edges to be above */
	double wait_ratio;		/* of waits, > 0: wait_votes_bad by this; else
					 * wait_votes */
	__u32 skipped;			/* a bit for each gate, events and then waits:
					 * taken out, it gives at most 1 */
	bool pools;			/* response times of keep-alive pools vote too, or
					 * alone */
	double beyond[TRIAL_WAITS][WAIT_EDGES];	/* stable's share above each frozen edge */
};

/* What is known of an event in this step. */
struct trial_step {
	struct loss_counts canary, stable;
	struct loss_bet bet;
};

struct trial {
	struct bet event[TRIAL_EVENTS];
	struct wait_bet wait[TRIAL_WAITS];
	struct pool_bet pool;
	struct totals totals[TRIAL_EVENTS];	/* decides nothing: shown where shares are in doubt */
	struct trial_step step[TRIAL_EVENTS];
	struct trial_arm canary, stable;	/* totals of the rollout */
	__u64 block_since;	/* ns */
	double least_p;		/* least 1/E so far */
};

void trial_begin(struct trial *t, __u64 now);
/* Time passes: blocks of 60 s begin. */
void trial_time(struct trial *t, __u64 now);
bool trial_block_over(const struct trial *t, __u64 now);
/* A step begins: the loss rule counts from here. */
void trial_step_begin(struct trial *t);
void trial_take(struct trial *t, const struct trial_policy *policy, const struct trial_tally *tally);
/* A minute's rows of the pools (pool.h). */
int trial_pools(struct trial *t, const struct trial_policy *policy, struct pool_row *rows, size_t n);

/* ln E of one gate. */
double trial_event_log_e(const struct trial *t, enum trial_event e);
double trial_wait_log_e(const struct trial *t, const struct trial_policy *policy, enum trial_wait w);
/* ln of the average over the policy's gates; 0 without any.  Keeps least_p. */
double trial_log_e(struct trial *t, const struct trial_policy *policy);
/* Does an event's gate find it safe to lose `delta` more?  True without votes
 * to bound only where there is no gate. */
struct loss_verdict trial_safe(const struct trial *t, const struct trial_policy *policy, enum trial_event e, double delta);

#endif
