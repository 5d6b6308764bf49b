/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The ids of a table's elements, found by service and by what they are. */
#ifndef PERCH_INDEX_H
#define PERCH_INDEX_H

#include <stddef.h>

#include <linux/types.h>

/* Ids begin at 1; 0 ends every list. */
struct index {
	__u32 *first, *last;	/* by service, in the order they were added */
	__u32 *next;		/* by id, of the same service */
	__u32 *bucket, *same;	/* by hash; by id, of the same hash */
	__u32 mask;
};

/* 0 or -ENOMEM; ids below `elements`. */
int index_open(struct index *x, __u32 services, __u32 elements);
void index_close(struct index *x);

__u32 index_hash(const void *key, size_t length);
void index_add(struct index *x, __u32 service, __u32 id, __u32 hash);
void index_remove(struct index *x, __u32 service, __u32 id, __u32 hash);

/* The first that may have this hash; the others by x->same. */
static inline __u32 index_find(const struct index *x, __u32 hash)
{
	return x->bucket[hash & x->mask];
}

#endif
