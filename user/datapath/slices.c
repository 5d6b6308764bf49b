/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the free space of the map `slices`: a sorted list of places, first
 * fit.  What the versions name is the truth; the list is made from it. */
#include "slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Places begin on a line, so that two tables never share one. */
static __u32 place_end(const struct slices_place *p)
{
	return p->offset + (p->length + PERCH_SLICE_WIDTH - 1) / PERCH_SLICE_WIDTH * PERCH_SLICE_WIDTH;
}

static int by_offset(const void *a, const void *b)
{
	const struct slices_place *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int slices_grow(struct slices *s)
{
	size_t room = s->room ? 2 * s->room : 64;
	struct slices_place *p;

	if (s->n < s->room)
		return 0;
	p = reallocarray(s->place, room, sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->place = p;
	s->room = room;
	return 0;
}

/* Take over the place that a version names for one family, if it has one. */
static int slices_adopt(struct slices *s, const __u64 *word)
{
	__u64 slice = __atomic_load_n(word, __ATOMIC_RELAXED);

	if (!perch_slice_length(slice))
		return 0;
	if (slices_grow(s))
		return -ENOMEM;
	s->place[s->n++] = (struct slices_place){
		.offset = perch_slice_offset(slice),
		.length = perch_slice_length(slice),
	};
	return 0;
}

int slices_open(struct slices *s, const struct maps *m)
{
	__u32 slices = m->control->services * PERCH_SLOTS * PERCH_FAMILIES;
	__u32 last = 0;

	memset(s, 0, sizeof(*s));
	s->entries = m->control->slice_words * PERCH_SLICE_WIDTH;
	for (__u32 i = 0; i < slices; i++) {
		if (slices_adopt(s, &m->versions[i / PERCH_FAMILIES].slice[i % PERCH_FAMILIES])) {
			slices_close(s);
			return -ENOMEM;
		}
	}
	if (s->n)
		qsort(s->place, s->n, sizeof(*s->place), by_offset);
	for (size_t i = 0; i < s->n; i++) {
		const struct slices_place *p = &s->place[i];

		if (p->offset < last || p->length > s->entries || p->offset > s->entries - p->length) {
			slices_close(s);
			return -EUCLEAN;
		}
		last = place_end(p);
	}
	return 0;
}

void slices_close(struct slices *s)
{
	free(s->place);
	memset(s, 0, sizeof(*s));
}

static void slices_drop_lapsed(struct slices *s, __u64 now)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->place[i].free_at || s->place[i].free_at > now)
			s->place[kept++] = s->place[i];
	s->n = kept;
}

static bool slices_waiting(const struct slices *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->place[i].free_at)
			return true;
	return false;
}

int slices_take(struct slices *s, __u32 length, __u64 now, __u32 *ret_offset)
{
	struct slices_place place = { .length = length };
	size_t i;

	slices_drop_lapsed(s, now);
	if (slices_grow(s))
		return -ENOMEM;
	for (i = 0; i < s->n; i++) {
		if (place_end(&place) <= s->place[i].offset)
			break;
		place.offset = place_end(&s->place[i]);
	}
	if (place_end(&place) > s->entries)
		return slices_waiting(s) ? -EAGAIN : -ENOSPC;
	memmove(&s->place[i + 1], &s->place[i], (s->n - i) * sizeof(*s->place));
	s->place[i] = place;
	s->n++;
	*ret_offset = place.offset;
	return 0;
}

static struct slices_place *slices_find(struct slices *s, __u32 offset)
{
	struct slices_place key = { .offset = offset };

	return s->n ? bsearch(&key, s->place, s->n, sizeof(key), by_offset) : NULL;
}

void slices_retire(struct slices *s, __u32 offset, __u64 now)
{
	struct slices_place *p = slices_find(s, offset);

	if (p)
		p->free_at = now + SLICES_GRACE_NS;
}

void slices_return(struct slices *s, __u32 offset)
{
	struct slices_place *p = slices_find(s, offset);

	if (!p)
		return;
	memmove(p, p + 1, (s->place + s->n - p - 1) * sizeof(*p));
	s->n--;
}
