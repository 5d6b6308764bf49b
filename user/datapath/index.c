/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns how an element is found without looking at all of them: a list for each
 * service, and chains by hash.  What the elements say is the truth; this is
 * made from it when the tables are opened, and follows whoever takes an element
 * or gives it back.
 */
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int index_open(struct index *x, __u32 services, __u32 elements)
{
	__u32 buckets = 64;

	while (buckets < elements)
		buckets *= 2;
	*x = (struct index){
		.first = calloc(services, sizeof(__u32)),
		.last = calloc(services, sizeof(__u32)),
		.next = calloc(elements, sizeof(__u32)),
		.same = calloc(elements, sizeof(__u32)),
		.bucket = calloc(buckets, sizeof(__u32)),
		.mask = buckets - 1,
	};
	if (x->first && x->last && x->next && x->same && x->bucket)
		return 0;
	index_close(x);
	return -ENOMEM;
}

void index_close(struct index *x)
{
	free(x->first);
	free(x->last);
	free(x->next);
	free(x->same);
	free(x->bucket);
	memset(x, 0, sizeof(*x));
}

/* FNV-1a with a final mix: the low bits count. */
__u32 index_hash(const void *key, size_t length)
{
	const __u8 *byte = key;
	__u64 h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < length; i++)
		h = (h ^ byte[i]) * 0x100000001b3ull;
	return h ^ h >> 32;
}

void index_add(struct index *x, __u32 service, __u32 id, __u32 hash)
{
	__u32 *bucket = &x->bucket[hash & x->mask];

	x->same[id] = *bucket;
	*bucket = id;
	x->next[id] = 0;
	if (x->last[service])
		x->next[x->last[service]] = id;
	else
		x->first[service] = id;
	x->last[service] = id;
}

static void list_drop(__u32 *head, __u32 *next, __u32 id, __u32 *ret_before)
{
	__u32 before = 0, at = *head;

	while (at && at != id) {
		before = at;
		at = next[at];
	}
	*ret_before = before;
	if (!at)
		return;
	if (before)
		next[before] = next[id];
	else
		*head = next[id];
}

void index_remove(struct index *x, __u32 service, __u32 id, __u32 hash)
{
	__u32 before;

	list_drop(&x->bucket[hash & x->mask], x->same, id, &before);
	list_drop(&x->first[service], x->next, id, &before);
	if (x->last[service] == id)
		x->last[service] = before;
}
