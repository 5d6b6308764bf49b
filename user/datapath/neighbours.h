/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The neighbours that have an address now, as the kernel told: only a memory
 * of them can tell a changed one from one that was merely confirmed. */
#ifndef PERCH_NEIGHBOURS_H
#define PERCH_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>

#include <perch/abi.h>

struct neighbour {
	struct perch_address address;
	__u32 ifindex;		/* 0: the place is empty */
	__u8 mac[6];
	__u8 zero[2];
};

struct neighbours {
	struct neighbour *place;	/* open addressing, a power of two */
	size_t n, room;
};

const struct neighbour *neighbours_find(const struct neighbours *t, __u32 ifindex, const struct perch_address *a);
/* 1: it has another MAC than before, 0: the same, or it is new; -ENOMEM. */
int neighbours_set(struct neighbours *t, const struct neighbour *n);
/* True when it was there. */
bool neighbours_remove(struct neighbours *t, __u32 ifindex, const struct perch_address *a);
void neighbours_clear(struct neighbours *t);

#endif
