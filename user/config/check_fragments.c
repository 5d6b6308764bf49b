// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns where fragments can be taken.  All but the first of a datagram have no
 * port, so that at one address and protocol they can lead to one place alone:
 * one service, and not to a version of its own besides.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"

static const struct model_service *place_service(const struct model_config *c, const struct reader_place *p)
{
	return &c->services[p->service];
}

/* Number of the version whose door it is, from 1; 0: a listener. */
static size_t place_door(const struct model_service *s, const struct reader_place *p)
{
	for (size_t i = 0; i < s->n_versions; i++) {
		const struct model_version *v = &s->versions[i];

		if (v->n_doors && p->endpoint >= v->doors && p->endpoint < v->doors + v->n_doors)
			return i + 1;
	}
	return 0;
}

/* `first` stands at the same address, with the same protocol. */
static int check_two(struct reader *r, const struct model_config *c, const struct reader_place *p,
		     const struct reader_place *first)
{
	const struct model_service *s = place_service(c, p);
	char text[ADDRESS_TEXT];

	if (p->service == first->service && place_door(s, p) == place_door(s, first))
		return 0;
	r->name = p->file;
	snprintf(r->path, READER_PATH, "%s", p->path);
	address_format(&p->endpoint->address, text);
	if (p->service == first->service)
		return reader_fail_line(r, p->line, "fragments have no port to tell it from %s, line %d, at %s; give the door an address of its own, or leave fragments out",
					first->path, first->line, text);
	return reader_fail_line(r, p->line, "'%s' takes the fragments of %s already (%s); give this service an address of its own, or leave fragments out",
				place_service(c, first)->name, text, first->path);
}

/* Later fragments of replies to a source that clients share can't be told apart. */
static int check_fullnat(struct reader *r, const struct model_config *c, const struct reader_place *p)
{
	if (place_service(c, p)->forward != PERCH_FULLNAT)
		return 0;
	r->name = p->file;
	snprintf(r->path, READER_PATH, "%s", p->path);
	return reader_fail_line(r, p->line, "its service takes fragments, which forward: fullnat can't lead back to their client; leave fragments out, or write forward: nat");
}

int check_fragments(struct reader *r, const struct model_config *c)
{
	const struct reader_place *last[2] = { NULL, NULL };	/* TCP, UDP */

	for (size_t i = 0; i < r->n_places; i++) {
		const struct reader_place *p = &r->places[i];
		bool udp = p->endpoint->protocol == IPPROTO_UDP;
		const struct reader_place *first = last[udp];
		int err;

		if (!place_service(c, p)->fragments)
			continue;
		err = check_fullnat(r, c, p);
		if (err)
			return err;
		last[udp] = p;
		if (!first || memcmp(&first->endpoint->address, &p->endpoint->address, sizeof(p->endpoint->address)))
			continue;
		err = check_two(r, c, p, first);
		if (err)
			return err;
	}
	return 0;
}
