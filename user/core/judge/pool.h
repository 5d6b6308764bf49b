/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The latency gate's evidence from keep-alive pools, where few long
 * connections give few votes: once a minute the live connections that were
 * assigned in this rollout are ranked by how slow their turns were, and the
 * bet is that the canary's have the high ranks.  The unit is the connection,
 * whose assignment was random; its requests are not.  The same is done with
 * the change since each connection's first minute, which finds what turned
 * slow later without knowing how fast each client always was.
 */
#ifndef PERCH_CORE_JUDGE_POOL_H
#define PERCH_CORE_JUDGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#define POOL_MINUTES 120

struct pool_row {
	double wait;	/* mean of ln(seconds) over the minute's turns */
	double first;	/* the same in its first minute; NAN in that minute */
	double w;	/* the share under which it was assigned */
	bool canary;
};

/* What was won so far; plain bytes that may be kept. */
struct pool_bet {
	double level, change;	/* both sums of weighted minutes */
	__u32 minutes;
	__u32 zero;
};

/* E of a sum: with the weight that minutes to come have, so that it begins at 1. */
double pool_e(const struct pool_bet *b, double sum);
/* A minute's rows, in any order (they are sorted).  0 or -ENOMEM: no vote. */
int pool_minute(struct pool_bet *b, struct pool_row *rows, size_t n, double max_slowdown);

#endif
