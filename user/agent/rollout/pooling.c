// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Reads the kernel's pools. */
#include "pooling.h"

#include <math.h>
#include <stdlib.h>

#include "../../core/compare.h"
#include "../../datapath/tables.h"
#include "../clock.h"

struct pooling {
	struct compare_turns *turns;	/* room for all that there may be */
	size_t n;
	unsigned canary;
};

/* Buckets are eighths of an octave; where they begin is the same for all. */
static double ln_of(double buckets)
{
	return buckets * M_LN2 / 8;
}

static void pooling_take(void *arg, const struct turns *of)
{
	struct pooling *p = arg;

	p->turns[p->n++] = (struct compare_turns){ .epoch = of->epoch, .slot = of->slot, .canary = of->slot == p->canary,
						   .wait = ln_of(of->buckets), .first = ln_of(of->first) };
}

void pooling_look(const struct agent *a, struct service *s)
{
	__u32 minute = (__u32)(clock_now() / PERCH_MINUTE_NS) - 1;
	struct pooling p = { .canary = s->keep.canary_slot };

	if (s->compare->pool_minute == minute)
		return;
	p.turns = calloc(PERCH_POOL, sizeof(*p.turns));
	if (!p.turns)
		return;		/* it comes again */
	tables_turns(a->tables, s->id, minute, pooling_take, &p);
	compare_pool(s->compare, p.turns, p.n, minute);
	free(p.turns);
}
