/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ledger: the bad votes of which a rollout's evidence was made, by block
 * of 60 s, epoch and bet, so that anyone can make it again (ledger_log_e, `perch
 * judge votes`).  Within a block the order of votes does not matter to any bet
 * that is made of bad votes alone: their ratios are multiplied.
 */
#ifndef PERCH_CORE_JUDGE_LEDGER_H
#define PERCH_CORE_JUDGE_LEDGER_H

#include "trial.h"

#define LEDGER_BETS (TRIAL_EVENTS + TRIAL_WAITS * WAIT_EDGES)

/* Bad votes of one epoch in the block under way, by bet: the events, then the
 * edges of each time. */
struct ledger {
	__u32 canary[LEDGER_BETS], stable[LEDGER_BETS];
};

/* Bad votes of a bet that were cast in a block under one share. */
struct ledger_row {
	__u32 block, epoch;	/* blocks count from 1 */
	__u32 bet;
	double w;		/* of the canary */
	__u64 canary, stable;
};

static inline unsigned ledger_gate(unsigned bet)	/* events, then times */
{
	return bet < TRIAL_EVENTS ? bet : TRIAL_EVENTS + (bet - TRIAL_EVENTS) / WAIT_EDGES;
}
static inline unsigned ledger_edge(unsigned bet)	/* of times */
{
	return (bet - TRIAL_EVENTS) % WAIT_EDGES;
}

/* What the trial takes too. */
void ledger_take(struct ledger *l, const struct trial_policy *policy, const struct trial_tally *t);
/* ln E of one bet after `blocks` blocks, from its rows in the order of blocks. */
double ledger_log_e(const struct ledger_row *rows, size_t n, unsigned blocks, double ratio);

#endif
