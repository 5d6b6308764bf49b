/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Places in the map `slices`: which stretch of entries belongs to which
 * Maglev table; a version has one per IP family.  A place that was given back
 * is not handed out again before SLICES_GRACE_NS, because a program may still
 * be reading what it was told there.
 */
#ifndef PERCH_SLICES_H
#define PERCH_SLICES_H

#include "datapath.h"

#define SLICES_GRACE_NS 1000000000ull

struct slices_place {
	__u32 offset, length;	/* entries; offsets start on a line of the map */
	__u64 free_at;		/* ns; 0: in use */
};

struct slices {
	struct slices_place *place;	/* by offset, never overlapping */
	size_t n, room;
	__u32 entries;
};

/* Takes over the places that the versions name.  0, -ENOMEM, or -EUCLEAN when
 * two of them overlap or one leaves the map. */
int slices_open(struct slices *s, const struct maps *m);
void slices_close(struct slices *s);
/* 0 and the first entry; -ENOSPC, -ENOMEM; -EAGAIN when there will be room
 * once the grace of retired places is over. */
int slices_take(struct slices *s, __u32 length, __u64 now, __u32 *ret_offset);
void slices_retire(struct slices *s, __u32 offset, __u64 now);
/* Give back what no program was ever told of. */
void slices_return(struct slices *s, __u32 offset);

#endif
