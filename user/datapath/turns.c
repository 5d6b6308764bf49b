/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reads what long connections waited for (struct perch_turns). */
#include <math.h>

#include "elements.h"
#include "internal.h"
#include "tables.h"

static double mean_of(const struct perch_turns_of *o)
{
	return o->n ? (double)o->sum / o->n : NAN;
}

/* The cell of a minute; NULL: it had no turn then. */
static const struct perch_turns_of *cell_of(const struct perch_turns *t, __u32 minute)
{
	if (t->now.minute == minute)
		return &t->now;
	return t->before.n && t->before.minute == minute ? &t->before : NULL;
}

void tables_turns(const struct tables *t, unsigned service, __u32 minute, void (*fn)(void *arg, const struct turns *of), void *arg)
{
	for (unsigned i = 0; i < PERCH_POOL; i++) {
		const struct perch_turns place = *(const volatile struct perch_turns *)&t->m->turns[i];
		const struct perch_turns_of *cell = place.created && place.service == service ? cell_of(&place, minute) : NULL;

		if (cell && cell->n)
			fn(arg, &(struct turns){ .epoch = place.epoch, .slot = place.slot, .buckets = mean_of(cell),
						 .first = place.first.n && place.first.minute != minute ? mean_of(&place.first) : NAN });
	}
}
