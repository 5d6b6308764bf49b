/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the map `filter`.  What listeners and backends in use need is worked
 * out anew at each sweep, so that no count of users can go wrong. */
#include "filter.h"

#include <stdlib.h>

#include <bpf/bpf.h>

static void bit_set(__u64 *bits, const struct perch_address *a)
{
	__u32 bit = perch_filter_bit(a->word);

	__atomic_fetch_or(&bits[bit / 64], 1ull << bit % 64, __ATOMIC_RELEASE);
}

void filter_set_destination(const struct maps *m, const struct perch_address *a)
{
	bit_set(m->filter->destination, a);
}

void filter_set_source(const struct maps *m, const struct perch_address *a)
{
	bit_set(m->filter->source, a);
}

static void bits_keep(__u64 *bits, const __u64 *wanted)
{
	for (__u32 i = 0; i < PERCH_FILTER_BITS / 64; i++)
		if (bits[i] & ~wanted[i])
			__atomic_fetch_and(&bits[i], wanted[i], __ATOMIC_RELAXED);
}

/* What tunnels may end at is let through to be looked at. */
static void want_locals(const struct maps *m, struct perch_filter *wanted)
{
	struct perch_address key, *at = NULL;

	while (!bpf_map_get_next_key(m->locals_fd, at, &key)) {
		bit_set(wanted->destination, &key);
		at = &key;
	}
}

void filter_sweep(const struct maps *m)
{
	struct perch_filter *wanted = calloc(1, sizeof(*wanted));

	/* Without memory the bits stay: they cost a look-up each, no more. */
	if (!wanted)
		return;
	/* A listener that rests still has flows. */
	for (__u32 i = 1; i < m->control->listeners_n; i++)
		if (m->listeners[i].protocol)
			bit_set(wanted->destination, &m->listeners[i].address);
	for (__u32 i = 1; i < m->control->backends_n; i++)
		if (m->backends[i].state != PERCH_BACKEND_NONE && !perch_one_sided(m->backends[i].forward))
			bit_set(wanted->source, &m->backends[i].address);
	want_locals(m, wanted);
	bits_keep(m->filter->destination, wanted->destination);
	bits_keep(m->filter->source, wanted->source);
	free(wanted);
}
