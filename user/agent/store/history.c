// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Whose turn it is, and one transaction for all of them. */
#include "history.h"

#include <stdlib.h>

#include "../clock.h"
#include "../api/view.h"

#define ROLLOUT_S 10
#define USUAL_S 60
#define TRIM_S 10
#define KEPT_S (7 * 24 * 3600)

struct batch {
	struct stored_sample *sample;
	size_t n, room;
};

static int batch_add(struct batch *b, const struct agent *a, const struct service *s, int slot, __u64 time)
{
	struct stored_sample *list = b->sample;
	json_t *o;
	char *text;

	if (b->n == b->room) {
		b->room = 2 * b->room + 16;
		list = realloc(list, b->room * sizeof(*list));
	}
	if (!list)
		return -1;
	b->sample = list;
	o = view_sample(a, s, slot);
	text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(o);
	if (!text)
		return -1;
	list[b->n++] = (struct stored_sample){ .time = time, .service = s->name, .version = s->slot[slot].name, .json = text };
	return 0;
}

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free((char *)b->sample[i].json);
	free(b->sample);
}

/* By the clock on the wall, so that restarts make no gaps; spread by element,
 * so that a thousand services make no gust. */
static bool sample_due(const struct service *s, __u64 last, __u64 now)
{
	unsigned every = service_in_rollout(s) ? ROLLOUT_S : USUAL_S;

	return (now + every - s->id % every) / every != (last + every - s->id % every) / every;
}

void history_tick(struct agent *a)
{
	static __u64 last;
	struct batch b = { 0 };
	__u64 now = clock_wall(), before = last ? last : now - 1;
	bool failed = false;

	last = now;
	/* what must be kept comes first where there is little room */
	if (!a->store || store_error(a->store))
		return;
	for (const struct service *s = a->services; s; s = s->next) {
		for (int i = -1; sample_due(s, before, now) && !failed && (i = view_next_slot(s, i)) >= 0;)
			failed = batch_add(&b, a, s, i, now);
	}
	store_samples_add(a->store, b.sample, b.n);
	if (now / TRIM_S != before / TRIM_S)
		store_samples_trim(a->store, now - KEPT_S);
	batch_free(&b);
}
