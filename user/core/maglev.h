/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Maglev tables (Eisenbud et al., NSDI 2016) with weights, keyed by names
 * that survive a restart: a backend's place depends on its address only. */
#ifndef PERCH_CORE_MAGLEV_H
#define PERCH_CORE_MAGLEV_H

#include <stddef.h>

#include <linux/types.h>

struct maglev_member {
	__u64 key;		/* stable hash of the backend's address and port */
	__u32 weight;		/* 1 and up; 0 takes no part */
	__u16 id;		/* what the table holds; never 0 */
};

/* A prime, at least 100 entries per member (of the largest weight), at most
 * 65,521; 0 for no members. */
size_t maglev_size(const struct maglev_member *m, size_t n);
/* Fill table[size].  0, -EINVAL (no member with weight), -ENOMEM. */
int maglev_fill(const struct maglev_member *m, size_t n, __u16 *table, size_t size);
/* Fill the entries that are 0, in turns as above; the others stay.  So what a
 * member leaves while it is away goes to the rest, and nothing else moves. */
int maglev_mend(const struct maglev_member *m, size_t n, __u16 *table, size_t size);

#endif
