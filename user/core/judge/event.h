/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The event gate's evidence: a bet on bad votes, won step by step, that holds
 * over shares that move.  Each bad vote was the canary's with probability
 * p(R) = o R / (1 + o R), o = w r0 / (1 - w), if the canary's risk is r0 R
 * times stable's; 12 alternatives R from 1.25 to 32 are bet on against R = 1,
 * all from the start (for a canary that was bad from its first connection)
 * and, with a growing stake each block of 60 s, from then on (for one that
 * turned bad later).  An e-process: E >= 1/alpha refutes "no worse than r0
 * times stable" at level alpha, however often we look.
 */
#ifndef PERCH_CORE_JUDGE_EVENT_H
#define PERCH_CORE_JUDGE_EVENT_H

#include <linux/types.h>

#define BET_ALTERNATIVES 12
#define BET_BLOCK_NS 60000000000ull

/* What was bet and won so far; plain bytes that may be kept. */
struct bet {
	double all[BET_ALTERNATIVES];	/* ln L_j: since the start */
	double late[BET_ALTERNATIVES];	/* ln S_j: since some block began */
	__u32 blocks;			/* begun */
	__u32 zero;
};

/* The j-th of the alternatives: 1.25 .. 32, evenly spaced in logs. */
double bet_alternative(unsigned j);
void bet_begin(struct bet *b);
/* The next 60 s begin: their votes come after this. */
void bet_block(struct bet *b);
/* Votes cast at share w (0 < w < 1): bad ones of canary and stable. */
void bet_votes(struct bet *b, double w, double ratio, __u64 canary, __u64 stable);
/* What each alternative's likelihood ratio grew by, in logs; for bets of
 * other kinds (wait.h). */
void bet_grow(struct bet *b, const double log_ratio[BET_ALTERNATIVES]);
/* ln E = ln(mean L_j / 2 + mean S_j + 1 / (2 (blocks + 1))). */
double bet_log_e(const struct bet *b);
/* ln mean L_j: of the bet from the start alone. */
double bet_log_plain(const struct bet *b);

#endif
