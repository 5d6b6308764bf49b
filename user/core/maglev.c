/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Maglev tables.  Members take turns in choosing, each by its own permutation
 * of the entries, as often as its weight says.  Turns go in the order of the
 * keys, so that hosts that list the same backends in another order, or number
 * them differently, fill the same table.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "maglev.h"

#define LARGEST 65521		/* the largest prime below 2^16 */
#define PER_MEMBER 100
#define PER_MEMBER_SKEWED 1000	/* what unequal weights may make of it */

struct chooser {
	__u64 key;
	__u64 credit;		/* a turn costs the largest weight */
	__u32 weight;
	__u32 place, skip;	/* the permutation, from here on */
	__u16 id;
};

static bool is_prime(size_t n)
{
	for (size_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n >= 2;
}

/* Finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static __u64 mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/*
 * 100 entries for the lightest keep the rounding of every share near 1 %.  A
 * wide spread of weights would take the whole table of slices for that, so
 * there the average member's 1,000 are enough.
 */
size_t maglev_size(const struct maglev_member *m, size_t n)
{
	__u64 members = 0, sum = 0, lightest = ~0ull, size, most;

	for (size_t i = 0; i < n; i++) {
		if (!m[i].weight)
			continue;
		members++;
		sum += m[i].weight;
		if (m[i].weight < lightest)
			lightest = m[i].weight;
	}
	if (!members)
		return 0;
	size = (sum * PER_MEMBER + lightest - 1) / lightest;
	most = members * PER_MEMBER_SKEWED;
	size = size < most ? size : most;
	if (size >= LARGEST)
		return LARGEST;
	while (!is_prime(size))
		size++;
	return size;
}

static int chooser_compare(const void *a, const void *b)
{
	const struct chooser *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* Members with weight, in the order of their turns; returns how many. */
static size_t choosers_make(struct chooser *c, const struct maglev_member *m, size_t n, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (!m[i].weight)
			continue;
		c[count++] = (struct chooser){
			.key = m[i].key,
			.weight = m[i].weight,
			.id = m[i].id,
			.place = mix(m[i].key + 0x9e3779b97f4a7c15ull) % size,
			.skip = mix(m[i].key ^ 0xd1b54a32d192ed03ull) % (size - 1) + 1,
		};
	}
	qsort(c, count, sizeof(*c), chooser_compare);
	return count;
}

/* The next free entry of this member's permutation; there must be one. */
static size_t choose(struct chooser *c, const bool *taken, size_t size)
{
	size_t place = c->place;

	while (taken[place])
		place = (place + c->skip) % size;
	c->place = (place + c->skip) % size;
	return place;
}

static void fill(struct chooser *c, size_t n, __u16 *table, bool *taken, size_t size, size_t left)
{
	__u32 heaviest = 0;

	for (size_t i = 0; i < n; i++)
		if (c[i].weight > heaviest)
			heaviest = c[i].weight;
	while (left) {
		for (size_t i = 0; i < n && left; i++) {
			size_t place;

			c[i].credit += c[i].weight;
			if (c[i].credit < heaviest)
				continue;
			c[i].credit -= heaviest;
			place = choose(&c[i], taken, size);
			taken[place] = true;
			table[place] = c[i].id;
			left--;
		}
	}
}

int maglev_mend(const struct maglev_member *m, size_t n, __u16 *table, size_t size)
{
	struct chooser *c = calloc(n ? n : 1, sizeof(*c));
	bool *taken = calloc(size ? size : 1, sizeof(*taken));
	size_t count, left = 0;
	int err = -ENOMEM;

	if (!c || !taken)
		goto out;
	err = -EINVAL;
	/* of a table that is no prime a permutation may miss entries */
	if (!is_prime(size) || size > LARGEST)
		goto out;
	count = choosers_make(c, m, n, size);
	if (!count)
		goto out;
	for (size_t i = 0; i < size; i++) {
		taken[i] = table[i];
		left += !table[i];
	}
	fill(c, count, table, taken, size, left);
	err = 0;
out:
	free(taken);
	free(c);
	return err;
}

int maglev_fill(const struct maglev_member *m, size_t n, __u16 *table, size_t size)
{
	if (size > LARGEST)
		return -EINVAL;
	memset(table, 0, size * sizeof(*table));
	return maglev_mend(m, n, table, size);
}
