/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Edges of the latency gate, frozen before the canary's first connection:
 * buckets of stable's own waits (p50, p90, p95, p99, p99.9), and the canary's,
 * which lie maxSlowdown higher, and edges_slack at least, rounded up to a bucket
 * in its favour.
 */
#ifndef PERCH_CORE_JUDGE_EDGES_H
#define PERCH_CORE_JUDGE_EDGES_H

#include <stdbool.h>

#include <perch/abi.h>

#include "wait.h"

/* Waits that must be known before edges are worth freezing.  Long waits are
 * evidence at any edge, also at one that nobody was beyond: of who is now, the
 * canary has its share at most. */
#define EDGES_LEAST 50
/* s by which the canary's edge is higher at least.  Hosts differ by tens of
 * microseconds, and in the tail by the milliseconds for which a process that has
 * work is not run: that befalls the one that is asked less more often, and the
 * rarer a wait is for stable, the more times as often. */
extern const double edges_slack[WAIT_EDGES];

struct edges {
	double beyond[WAIT_EDGES];	/* stable's share above; 0: the edge is not used */
	__u8 stable[WAIT_EDGES], canary[WAIT_EDGES];	/* buckets, or PERCH_NO_EDGE */
};

/* No edges. */
void edges_none(struct edges *ret);
/* From a histogram of PERCH_HIST_BUCKETS.  False, and no edges, when it has
 * too little. */
bool edges_freeze(struct edges *ret, const __u64 *histogram, double slowdown);

#endif
