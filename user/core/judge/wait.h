/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The latency gate's evidence from single votes: the longest wait of each
 * connection against five edges, stable's own p50, p90, p95, p99 and p99.9 as
 * they were before the canary's first connection.  A stable connection is bad
 * above x, a canary's above maxSlowdown x; good votes count too.  Valid for
 * every canary no slower than maxSlowdown.  The gate's E is the average over
 * the edges that are used, which is known before the first vote.
 */
#ifndef PERCH_CORE_JUDGE_WAIT_H
#define PERCH_CORE_JUDGE_WAIT_H

#include "event.h"

#define WAIT_EDGES 5

/* The quantiles whose edges are frozen. */
extern const double wait_quantile[WAIT_EDGES];

struct wait_votes {
	__u64 n;			/* connections that voted */
	__u64 above[WAIT_EDGES];	/* of them, above the arm's edge */
};

struct wait_bet {
	struct bet edge[WAIT_EDGES];
};

void wait_begin(struct wait_bet *b);
void wait_block(struct wait_bet *b);
/* Votes cast at share w; beyond[i] is the share of stable's connections above
 * edge i when it was frozen (about 1 - wait_quantile[i]; 0 < beyond < 1). */
void wait_votes(struct wait_bet *b, double w, const double beyond[WAIT_EDGES],
		const struct wait_votes *canary, const struct wait_votes *stable);
/* The same of the long waits alone, for votes that come when a connection ends:
 * those of the faster version come first, and its good ones, ahead of the
 * other's, would speak against that.  The canary's may be `ratio` times as
 * likely as stable's: who is asked less sleeps more, and is the colder one. */
void wait_votes_bad(struct wait_bet *b, double w, double ratio, const double beyond[WAIT_EDGES],
		    const struct wait_votes *canary, const struct wait_votes *stable);
double wait_log_e(const struct wait_bet *b, const double beyond[WAIT_EDGES]);

#endif
