/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A comparison and the kernel's tallies of both arms, for tests of it. */
#ifndef TEST_CORE_ARMS_H
#define TEST_CORE_ARMS_H

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/compare.h"
#include "../../user/core/histogram.h"

#define SECOND 1000000000ull
#define EPOCH 6
#define CELL (EPOCH / 2 % PERCH_EPOCHS)

static inline struct model_compare policy(void)
{
	return (struct model_compare){
		.max_ratio = { [MODEL_EVENT_CONNECT_FAILURE] = MODEL_MARGIN, [MODEL_EVENT_RESET] = 2 },
		.max_slowdown = { [MODEL_WAIT_RESPONSE_TIME] = MODEL_MARGIN },
		.ratio = 1.5, .slowdown = 1.25, .beta = 0.05, .max_loss = 20, .max_loss_per_hour = 60,
	};
}

/* Waits of stable: 1,000 each of 1 ms to 100 ms. */
static inline const struct perch_votes *history(void)
{
	static struct perch_votes v;

	memset(&v, 0, sizeof(v));
	for (unsigned ms = 1; ms <= 100; ms++)
		v.longest_wait[perch_hist_bucket(ms * 1000)] += 1000;
	return &v;
}

struct arms {
	struct compare c;
	struct perch_tallies stable, canary;
};

static inline struct arms *begun(const struct model_compare *m)
{
	static struct arms a;

	memset(&a, 0, sizeof(a));
	compare_begin(&a.c, m, 0.01, history(), SECOND);
	compare_step(&a.c, EPOCH, 0.5, 0, false);
	a.stable.cell[CELL].epoch = a.canary.cell[CELL].epoch = EPOCH;
	return &a;
}

static inline void add(struct perch_tallies *t, unsigned outcome, unsigned bad, unsigned n)
{
	t->cell[CELL].outcome[outcome].decided += n;
	t->cell[CELL].outcome[outcome].bad += bad;
}

static inline void look(struct arms *a, __u64 now)
{
	compare_take(&a->c, &a->stable, &a->canary, now);
}

#endif
