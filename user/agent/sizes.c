// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Counting what a configuration takes of each table.  The tables of a loaded
 * datapath do not grow, because programs write to them all the time: they are
 * made with room to spare, and what does not fit is refused before anything
 * changed.
 */
#include "sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../core/address.h"
#include "../core/maglev.h"

#define GRAIN 64u		/* sizes are a multiple of this */
#define WORDS_PER_BACKEND 4	/* 100 entries of its version's table, rounded up */

/* Lines of `slices` for a version's table of one family. */
static __u32 slice_words(const struct model_version *v, enum perch_family family, struct maglev_member *member)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_backends; i++)
		if (address_family(&v->backends[i].address) == family)
			member[n++] = (struct maglev_member){ .weight = v->backends[i].weight };
	return (maglev_size(member, n) + PERCH_SLICE_WIDTH - 1) / PERCH_SLICE_WIDTH;
}

static void add_version(const struct model_version *v, struct sizes *s)
{
	struct maglev_member *member = calloc(v->n_backends + 1, sizeof(*member));

	s->listeners += v->n_doors;
	s->backends += v->n_backends;
	/* without memory for it the tables will not be made either */
	for (int family = 0; family < PERCH_FAMILIES && member; family++)
		s->slice_words += slice_words(v, family, member);
	free(member);
}

void sizes_needed(const struct model_config *c, struct sizes *ret)
{
	*ret = (struct sizes){ .services = c->n_services, .listeners = 1, .backends = 1 };
	for (size_t i = 0; i < c->n_services; i++) {
		const struct model_service *s = &c->services[i];

		/* a port that is left alone takes an entry of `addresses` */
		ret->listeners += s->n_listen * (1 + s->n_exclude);
		for (size_t j = 0; j < s->n_versions; j++)
			add_version(&s->versions[j], ret);
	}
}

/* Room for `need` and a part of it more, `least` at least. */
static __u32 roomy(__u32 need, __u32 part, __u32 least, __u32 most)
{
	__u32 size = (need + need / part + GRAIN - 1) / GRAIN * GRAIN;

	size = size < least ? least : size;
	return size > most ? most : size;
}

void sizes_wanted(const struct model_config *c, struct sizes *ret)
{
	const struct model_agent *a = &c->agent;
	__u32 slice_words = WORDS_PER_BACKEND * a->backend_table_size;
	struct sizes need;

	sizes_needed(c, &need);
	*ret = (struct sizes){
		.services = roomy(need.services, 8, a->service_table_size ?: PERCH_SERVICES, PERCH_SERVICES_MOST),
		.listeners = roomy(need.listeners, 8, a->listener_table_size ? a->listener_table_size + 1 : PERCH_LISTENERS,
				   PERCH_LISTENERS_MOST),
		/* a version that is replaced keeps its backends until their
		 * connections have ended */
		.backends = roomy(need.backends, 4, a->backend_table_size ? a->backend_table_size + 1 : PERCH_BACKENDS,
				  PERCH_BACKENDS_MOST),
		.slice_words = roomy(need.slice_words, 8, slice_words > PERCH_SLICE_WORDS ? slice_words : PERCH_SLICE_WORDS,
				     ~0u),
	};
}

int sizes_check(const struct model_config *c, const struct perch_control *loaded, char why[SIZES_WHY])
{
	struct sizes need;

	sizes_needed(c, &need);
	const struct { const char *what, *key; __u32 need, room; } table[] = {
		{ "services", "serviceTableSize", need.services, loaded->services },
		{ "listeners and doors", "listenerTableSize", need.listeners - 1, loaded->listeners_n - 1 },
		{ "backends", "backendTableSize", need.backends - 1, loaded->backends_n - 1 },
		{ "lines of backend tables", "backendTableSize", need.slice_words, loaded->slice_words },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].need <= table[i].room)
			continue;
		snprintf(why, SIZES_WHY,
			 "%s: names %u %s, and what is loaded has room for %u; load anew for it: `perchd --detach` "
			 "(drain 10m lets connections end first), then start perchd; agent.%s leaves room for more",
			 c->file, table[i].need, table[i].what, table[i].room, table[i].key);
		return -ENOSPC;
	}
	return 0;
}
