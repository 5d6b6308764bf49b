/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The comparison of a rollout's canary with stable: the kernel's tallies, read
 * again and again, become votes under the share at which their connections
 * were assigned, and the trial (judge/trial.h) weighs them.  What decides is
 * frozen as the rollout begins: which gates there are, their margins, alpha
 * and the edges.  Plain bytes, kept with the rollout.
 */
#ifndef PERCH_CORE_COMPARE_H
#define PERCH_CORE_COMPARE_H

#include "judge/edges.h"
#include "judge/ledger.h"
#include "judge/ratio.h"
#include "judge/trial.h"
#include "model.h"

#define COMPARE_GATES (TRIAL_EVENTS + TRIAL_WAITS)

/* What the canary's share was while an epoch lasted. */
struct compare_epoch {
	__u32 epoch;		/* 0: not known */
	__u16 warming;		/* a step's begin: waits do not vote */
	__u16 against;		/* slot of the version that stands for stable: the
				 * baseline's while it has a share */
	double w;		/* of the hash range that is the canary's or that one's */
};

/* What was counted as a block began, of the epoch then. */
#define COMPARE_PAST 4
struct compare_past {
	__u32 epoch;		/* 0: none */
	__u32 canary[LEDGER_BETS], stable[LEDGER_BETS];
	struct perch_blame blame;
};

struct compare {
	struct trial trial;
	struct trial_policy policy;
	struct edges edges[TRIAL_WAITS];
	struct ratio clients;	/* who came for the first time */
	struct compare_epoch epoch[PERCH_EPOCHS];	/* by epoch / 2 % PERCH_EPOCHS */
	struct perch_tallies seen[2];	/* as last read: stable's, the canary's */
	struct ledger block[PERCH_EPOCHS];	/* of the 60 s under way, as `epoch` */
	struct perch_blame blame;	/* as last read */
	struct compare_past past[COMPARE_PAST];	/* as the last blocks began, the newest first */
	double log_e;		/* as of the last look */
	__u32 pool_minute;	/* that was taken last, */
	__u32 pool_rows[2];	/* and its connections: of whom it is against, the canary's */
	__u32 zero;
	__u32 gates;		/* event gates and, from TRIAL_EVENTS on, waits: a bit each */
	__u32 blind;		/* waits of which too little was known to freeze edges;
				 * those of responses may have pools yet */
};

_Static_assert(sizeof(struct compare) <= PERCH_COMPARISON_BYTES - 8, "comparison");

/* Margin of a gate of the policy; 0: there is no such gate. */
double compare_margin(const struct model_compare *m, unsigned gate);
const char *compare_gate_name(unsigned gate);	/* "reset" */

/* A rollout begins; `history` is what is known of stable's waits. */
void compare_begin(struct compare *c, const struct model_compare *m, double alpha, const struct perch_votes *history,
		   __u64 now);
/* The word that sets a share was written: votes of its epoch are of this w. */
void compare_step(struct compare *c, __u32 epoch, double w, unsigned against, bool warming);
/* Leave a gate out from now on: it neither condemns nor holds.  -ENOENT: no
 * such gate; -EALREADY. */
int compare_skip(struct compare *c, const char *gate);
/* The kernel's tables were lost and count from nothing; so may the clock. */
void compare_restart(struct compare *c, __u64 now);
/* What the kernel has tallied up to now; stable's cells of whom the epoch is against. */
void compare_take(struct compare *c, const struct perch_tallies *stable, const struct perch_tallies *canary, __u64 now);
/* A connection that has lasted, in a minute that is over. */
struct compare_turns {
	__u32 epoch, slot;
	bool canary;
	double wait, first;	/* mean of ln(seconds) of its turns then, and in its first
				 * minute; NAN in that one */
};
/* Its connections; a minute is taken once.  0 or -ENOMEM: it may come again. */
int compare_pool(struct compare *c, const struct compare_turns *turns, size_t n, __u32 minute);

/*
 * Leave one out (STATISTICS.md): of a gate that fails, the place (backend id modulo
 * PERCH_BLAMED) that most of the canary's bad votes are of, and ln E without it:
 * the mean of the grid's E over the rollout and over the last 1 to COMPARE_PAST
 * blocks, as it may have begun late.  `share`: each place's part of what goes to the
 * canary.  False: no single backend can be blamed for what this gate says.
 */
struct compare_worst {
	unsigned place;
	__u64 bad, of;
	double log_e;
};
bool compare_worst(const struct compare *c, unsigned gate, const double share[PERCH_BLAMED], struct compare_worst *ret);
void compare_blame_block(struct compare *c);	/* notes where a block ended; compare_block_next does */
/* Is it connections that last that speak in this gate? */
bool compare_by_pools(const struct compare *c, unsigned gate);

/*
 * The ledger.  Whoever keeps it takes the rows of the block under way when it
 * is over and before a step (they are whole, so that a row taken twice is the
 * same), and goes on to the next when that is done.
 */
bool compare_block_over(const struct compare *c, __u64 now);
void compare_block_rows(const struct compare *c, void (*fn)(void *arg, const struct ledger_row *row), void *arg);
void compare_block_next(struct compare *c);	/* the one that was over is kept */
unsigned compare_blocks(const struct compare *c);	/* begun so far */
/* Is this bet made, and against which ratio? */
bool compare_bet(const struct compare *c, unsigned bet, double *ret_ratio);

/* Is the canary proven worse?  The strongest gate + 1, or 0; then the sentence. */
unsigned compare_failed(const struct compare *c);
bool compare_fails(const struct compare *c, char *why, size_t size);
double compare_gate_log_e(const struct compare *c, unsigned gate);
/* What a gate's versions had; of waits above the edge that speaks loudest,
 * which is returned. */
unsigned compare_counts(const struct compare *c, unsigned gate, struct loss_counts *canary, struct loss_counts *stable);

/* Do clients come as the shares say, or did they ever not?  The sentence. */
bool compare_off(const struct compare *c, char *why, size_t size);
/* Of so many that it is worth an alarm? */
bool compare_off_alarms(const struct compare *c);

/* What the loss rule is asked. */
struct compare_next {
	double share;		/* the next step's, 0..1 */
	double rate;		/* connections per second, of both versions */
	double canary_rate;	/* of the canary's */
};
/* Is it safe to go on to the next share?  If not, what is missing, and *eta in
 * seconds or NAN. */
bool compare_safe(const struct compare *c, const struct model_compare *m, const struct compare_next *next, char *why,
		  size_t size, double *eta);

#endif
