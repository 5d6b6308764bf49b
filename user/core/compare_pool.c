/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The comparison's minutes of long connections. */
#include <errno.h>
#include <stdlib.h>

#include "compare.h"

/* Was it assigned in an epoch whose waits vote?  Then its row. */
static bool row_of(const struct compare *c, const struct compare_turns *t, struct pool_row *ret)
{
	const struct compare_epoch *e = &c->epoch[t->epoch / 2 % PERCH_EPOCHS];

	if (!e->epoch || e->epoch != t->epoch || e->warming || e->w <= 0 || e->w >= 1 || (!t->canary && t->slot != e->against))
		return false;
	*ret = (struct pool_row){ .wait = t->wait, .first = t->first, .w = e->w, .canary = t->canary };
	return true;
}

int compare_pool(struct compare *c, const struct compare_turns *turns, size_t n, __u32 minute)
{
	struct pool_row *rows;
	__u32 of[2] = { 0, 0 };
	size_t n_rows = 0;
	int r = 0;

	if (!c->policy.pools || minute == c->pool_minute)
		return 0;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (row_of(c, &turns[i], &rows[n_rows]))
			of[rows[n_rows++].canary]++;
	/* minutes of nobody have no weight to spend */
	if (of[0] && of[1])
		r = trial_pools(&c->trial, &c->policy, rows, n_rows);
	free(rows);
	if (r)
		return r;
	c->pool_minute = minute;
	c->pool_rows[0] = of[0];
	c->pool_rows[1] = of[1];
	c->log_e = trial_log_e(&c->trial, &c->policy);
	return 0;
}
