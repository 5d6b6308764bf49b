/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which buckets waits are judged by. */
#include <math.h>
#include <string.h>

#include "../histogram.h"
#include "edges.h"

_Static_assert(WAIT_EDGES == PERCH_EDGES, "edges");

const double edges_slack[WAIT_EDGES] = { 0.001, 0.005, 0.01, 0.02, 0.05 };

/* The bucket whose end no wait passes that is at most `slowdown` times as long,
 * or the slack longer, as one that ends with `bucket`; the last: none does. */
static unsigned edge_shifted(unsigned bucket, double slowdown, double slack)
{
	double edge = histogram_high(bucket), us = ceil(fmax(edge * slowdown, edge + slack) * 1e6 - 1e-6) - 1;

	return us < 1e15 ? perch_hist_bucket((__u64)us) : PERCH_HIST_BUCKETS - 1;
}

/* The first bucket that has quantile q below its end; *ret_above: waits beyond. */
static unsigned edge_bucket(const __u64 *h, __u64 n, double q, __u64 *ret_above)
{
	__u64 below = 0;
	unsigned b = 0;

	for (; b < PERCH_HIST_BUCKETS; b++) {
		below += h[b];
		if ((double)below >= q * (double)n)
			break;
	}
	*ret_above = n - below;
	return b;
}

void edges_none(struct edges *ret)
{
	memset(ret->stable, PERCH_NO_EDGE, sizeof(ret->stable));
	memset(ret->canary, PERCH_NO_EDGE, sizeof(ret->canary));
	memset(ret->beyond, 0, sizeof(ret->beyond));
}

bool edges_freeze(struct edges *ret, const __u64 *histogram, double slowdown)
{
	__u64 n = histogram_count(histogram), above;
	unsigned last = PERCH_HIST_BUCKETS;
	bool any = false;

	edges_none(ret);
	for (unsigned i = 0; i < WAIT_EDGES && n >= EDGES_LEAST; i++) {
		unsigned b = edge_bucket(histogram, n, wait_quantile[i], &above), shifted;

		if (b == last)
			continue;
		shifted = edge_shifted(b, slowdown, edges_slack[i]);
		if (shifted >= PERCH_HIST_BUCKETS - 1)
			continue;
		last = b;
		ret->stable[i] = b;
		ret->canary[i] = shifted;
		ret->beyond[i] = fmax((double)above, 0.5) / (double)n;	/* 0 is for none */
		any = true;
	}
	return any;
}
