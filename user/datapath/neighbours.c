/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the table of neighbours: linear probing, at most half full, removal by
 * moving later ones up. */
#include "neighbours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t neighbour_home(const struct neighbours *t, __u32 ifindex, const struct perch_address *a)
{
	__u64 h = ifindex;

	for (int i = 0; i < 4; i++) {
		h = (h ^ a->word[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h & (t->room - 1);
}

/* Its place, or the empty one where it would go. */
static size_t neighbour_place(const struct neighbours *t, __u32 ifindex, const struct perch_address *a)
{
	size_t i = neighbour_home(t, ifindex, a);

	while (t->place[i].ifindex &&
	       (t->place[i].ifindex != ifindex || memcmp(&t->place[i].address, a, sizeof(*a))))
		i = (i + 1) & (t->room - 1);
	return i;
}

const struct neighbour *neighbours_find(const struct neighbours *t, __u32 ifindex, const struct perch_address *a)
{
	const struct neighbour *n;

	if (!t->room)
		return NULL;
	n = &t->place[neighbour_place(t, ifindex, a)];
	return n->ifindex ? n : NULL;
}

static int neighbours_grow(struct neighbours *t)
{
	struct neighbours grown = { .n = t->n, .room = t->room ? 2 * t->room : 64 };

	grown.place = calloc(grown.room, sizeof(*grown.place));
	if (!grown.place)
		return -ENOMEM;
	for (size_t i = 0; i < t->room; i++) {
		const struct neighbour *n = &t->place[i];

		if (n->ifindex)
			grown.place[neighbour_place(&grown, n->ifindex, &n->address)] = *n;
	}
	free(t->place);
	*t = grown;
	return 0;
}

int neighbours_set(struct neighbours *t, const struct neighbour *n)
{
	struct neighbour *place;
	bool changed;

	if (2 * (t->n + 1) > t->room && neighbours_grow(t))
		return -ENOMEM;
	place = &t->place[neighbour_place(t, n->ifindex, &n->address)];
	changed = place->ifindex && memcmp(place->mac, n->mac, sizeof(n->mac));
	t->n += !place->ifindex;
	*place = *n;
	return changed;
}

bool neighbours_remove(struct neighbours *t, __u32 ifindex, const struct perch_address *a)
{
	size_t hole, i, home, mask = t->room - 1;

	if (!neighbours_find(t, ifindex, a))
		return false;
	hole = i = neighbour_place(t, ifindex, a);
	for (;;) {
		i = (i + 1) & mask;
		if (!t->place[i].ifindex)
			break;
		home = neighbour_home(t, t->place[i].ifindex, &t->place[i].address);
		/* Does its way from home lead over the hole? */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->place[hole] = t->place[i];
			hole = i;
		}
	}
	memset(&t->place[hole], 0, sizeof(t->place[hole]));
	t->n--;
	return true;
}

void neighbours_clear(struct neighbours *t)
{
	free(t->place);
	memset(t, 0, sizeof(*t));
}
