/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the map `sources`: which addresses a service's clients become under
 * fullnat.  A flow knows its source by number, so an address that is named no
 * more keeps its number until its last flow has ended; only the lists of what
 * new flows may have are brought to the configuration.
 */
#include "elements.h"

#include <errno.h>
#include <string.h>

#include "../core/address.h"
#include "flows.h"
#include "internal.h"

struct numbers {
	const struct maps *m;
	unsigned service;
	__u32 used;		/* bits */
};

static bool number_note(void *arg, const struct flow_copy *c)
{
	struct numbers *n = arg;

	if (c->flow.flags & PERCH_FLOW_FULLNAT && n->m->backends[c->flow.backend].service == n->service)
		n->used |= 1u << perch_flow_source(c->flow.flags);
	return true;
}

static int number_of(const struct perch_sources *there, const struct perch_address *a)
{
	for (int i = 0; i < PERCH_SOURCES; i++)
		if (!memcmp(&there->address[i], a, sizeof(*a)))
			return i;
	return -1;
}

/* One that nobody has, or had and no flow has any more. */
static int number_free(struct tables *t, unsigned service, __u32 wanted)
{
	const struct perch_sources *there = &t->m->sources[service];
	struct numbers n = { .m = t->m, .service = service };

	for (int i = 0; i < PERCH_SOURCES; i++)
		if (!(wanted >> i & 1) && address_is_none(&there->address[i]))
			return i;
	flows_walk(t->m, number_note, &n);
	for (int i = 0; i < PERCH_SOURCES; i++)
		if (!((wanted | n.used) >> i & 1))
			return i;
	return -1;
}

static void bit_set(const struct maps *m, const struct perch_address *a)
{
	__atomic_fetch_or(&m->control->sources, perch_source_bit(a->word), __ATOMIC_RELEASE);
}

static int source_number(struct tables *t, unsigned service, const struct perch_address *a, __u32 *wanted)
{
	struct perch_sources *there = &t->m->sources[service];
	int number = number_of(there, a);

	if (number < 0) {
		number = number_free(t, service, *wanted);
		if (number < 0)
			return -ENOSPC;
		for (int i = 0; i < 4; i++)
			store(there->address[number].word[i], a->word[i]);
	}
	bit_set(t->m, a);
	*wanted |= 1u << number;
	return number;
}

/* Those that keep their numbers come first, so that no new one takes them. */
static __u32 numbers_kept(const struct tables *t, unsigned service, const struct perch_sources *want)
{
	__u32 kept = 0;

	for (int i = 0; i < PERCH_SOURCES; i++)
		if (!address_is_none(&want->address[i]) && number_of(&t->m->sources[service], &want->address[i]) >= 0)
			kept |= 1u << number_of(&t->m->sources[service], &want->address[i]);
	return kept;
}

int sources_prepare(struct tables *t, const struct placed_service *s, struct perch_sources *ret, char why[WHY])
{
	char text[ADDRESS_TEXT];
	__u32 wanted;

	memset(ret, 0, sizeof(*ret));
	if (!s->sources)
		return 0;
	wanted = numbers_kept(t, s->id, s->sources);
	ret->ports = s->sources->ports;
	for (int family = 0; family < PERCH_FAMILIES; family++) {
		for (int i = 0; i < s->sources->n[family]; i++) {
			const struct perch_address *a = &s->sources->address[s->sources->list[family][i]];
			int number = source_number(t, s->id, a, &wanted);

			if (number < 0)
				return why_set(why, number, "source %s: connections have all %d numbers; try again when some have ended",
					       address_format(a, text), PERCH_SOURCES);
			ret->list[family][ret->n[family]++] = number;
		}
	}
	return 0;
}

/* A packet may read it at any time: each list is of sources that are there,
 * whichever of its entries are the new ones. */
void sources_publish(struct tables *t, unsigned service, const struct perch_sources *want)
{
	struct perch_sources *there = &t->m->sources[service];

	for (int family = 0; family < PERCH_FAMILIES; family++) {
		if (want->n[family] < there->n[family])
			store(there->n[family], want->n[family]);
		for (int i = 0; i < want->n[family]; i++)
			store(there->list[family][i], want->list[family][i]);
	}
	store(there->ports, want->ports);
	for (int family = 0; family < PERCH_FAMILIES; family++)
		publish(there->n[family], want->n[family]);
}

void sources_open(struct tables *t)
{
	__atomic_store_n(&t->m->control->sources, 0, __ATOMIC_RELAXED);
	for (__u32 service = 0; service < t->m->control->services; service++)
		for (int i = 0; i < PERCH_SOURCES; i++)
			if (!address_is_none(&t->m->sources[service].address[i]))
				bit_set(t->m, &t->m->sources[service].address[i]);
}
