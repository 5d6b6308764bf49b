/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's fullnat: a flow gets a source address of this host and a port that
 * no other has towards its backend.  What is in use is what the table holds
 * aliases of; a search begins where the backend's last one ended, and when
 * nothing is free, who has proved nothing or is closing gives way after a rest.
 */
#include <arpa/inet.h>
#include <string.h>

#include "table.h"

#define PROBES 128		/* of eight ports each */
#define TRIES 4

/* What a search has found; port 0: nothing. */
struct found {
	__u32 number, port;
	__u32 rest;		/* ticks since it was used last; 0: it is free */
};

static const struct perch_sources *sources_of(const struct model *m, const struct seen *p)
{
	return &m->t.source[p->service];
}

static struct model_place place_of(const struct model *m, const struct seen *p, __u32 number, __u32 port)
{
	return model_place_full(m, &sources_of(m, p)->address[number], htons(port), p->protocol, &p->new_address, p->new_port);
}

/* Does a tag say that this port is in use?  Tags alone are asked. */
static bool is_taken(const struct model *m, __u64 tag, __u32 fingerprint)
{
	return perch_tag_fingerprint(tag) == fingerprint && !tag_expired(m, tag);
}

/* Of one port: is it free?  If not, *rest is how long it has rested, if it may go. */
static bool is_free(const struct model *m, const struct seen *p, __u32 number, __u32 port, __u32 *rest)
{
	struct model_place at = place_of(m, p, number, port);
	bool free = true;

	*rest = 0;
	for (unsigned i = 0; i < WAYS; i++) {
		__u64 tag = *slot_tag(place_slot(m, &at, i));
		__u32 class = perch_tag_class(tag), age = age_of(m, tag);

		if (!is_taken(m, tag, at.fingerprint))
			continue;
		free = false;
		if ((class == PERCH_CLOSING || class == PERCH_ALIAS_NEW) && age > *rest)
			*rest = age;
	}
	return free;
}

/* Eight neighbouring ports of one source, from `turn` on; then the one that
 * rests longest. */
static bool look_at(const struct model *m, const struct seen *p, __u32 number, __u32 group, __u32 turn, struct found *best)
{
	__u32 ports = sources_of(m, p)->ports, longest = 0, which = 0, rest;

	for (__u32 i = 0; i < 8; i++) {
		__u32 port = group * 8 + (turn + i) % 8;

		if (port >= perch_port_first(ports) && port <= perch_port_last(ports) && is_free(m, p, number, port, &rest)) {
			*best = (struct found){ number, port, 0 };
			return true;
		}
	}
	/* of all eight, in the range or not */
	for (__u32 i = 0; i < 8; i++) {
		is_free(m, p, number, group * 8 + i, &rest);
		if (rest && rest << 3 >= longest) {
			longest = rest << 3;
			which = group * 8 + i;
		}
	}
	rest = longest >> 3;
	if (rest > best->rest && which >= perch_port_first(ports) && which <= perch_port_last(ports))
		*best = (struct found){ number, which, rest };
	return false;
}

static struct found search(struct model *m, const struct seen *p)
{
	const struct perch_sources *from = sources_of(m, p);
	__u32 first = perch_port_first(from->ports) / 8, groups = perch_port_last(from->ports) / 8 - first + 1;
	__u32 n = from->n[p->v6], probes = n * groups < PROBES ? n * groups : PROBES, i;
	struct perch_backend *k = &m->t.backend[p->flow.backend];
	struct found best = { 0 };
	__u32 turn = k->port_turn;

	for (i = 0; i < probes; i++) {
		__u32 at = turn + i;

		if (look_at(m, p, from->list[p->v6][at % n], first + at / n % groups, at / n / groups, &best))
			break;
	}
	k->port_turn += 1 + (i < probes ? i : probes ? probes - 1 : 0);
	return best;
}

/* The entry that leads from p's backend to a port, whatever became of its flow. */
static struct slot seek(struct model *m, const struct model_place *at, const struct perch_address *source, __be16 port,
			const struct seen *p)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, at, i);
		const struct perch_flow *f = slot_flow(s);

		if (is_at(s, at) && f->key.alias == PERCH_ALIAS_SOURCE && same_client(&f->key, source, port, p->protocol) &&
		    leads(m, f, &p->new_address, p->new_port))
			return s;
	}
	return (struct slot){ NULL, 0 };
}

static void drop(struct model *m, struct slot s)
{
	*slot_tag(s) = perch_tag(0, perch_tag_generation(*slot_tag(s)) + 1, PERCH_FREE, 0);
	touched(m, s.set);
}

/* A flow loses its port: one that is closing, or has proved nothing. */
static bool end_owner(struct model *m, struct slot flow)
{
	__u64 tag = *slot_tag(flow);
	__u32 class = perch_tag_class(tag);

	if (class != PERCH_CLOSING && class != PERCH_EMBRYONIC && class != PERCH_UDP_NEW && !tag_expired(m, tag))
		return false;
	drop(m, flow);
	if (is_going_on(tag))
		flow_over(m, slot_flow(flow)->backend);
	if (is_unanswered(m, tag, slot_flow(flow)))
		witness_failed(m, slot_flow(flow));
	return true;
}

/* Take a resting port away from whoever has it. */
static bool evict(struct model *m, const struct seen *p, const struct found *f)
{
	struct model_place at = place_of(m, p, f->number, f->port);
	struct slot alias = seek(m, &at, &sources_of(m, p)->address[f->number], htons(f->port), p), flow;

	if (!alias.set)
		return true;
	flow = follow(m, slot_flow(alias));
	if (flow.set && !end_owner(m, flow)) {
		table_touch_alias(m, alias, PERCH_TCP);
		return false;
	}
	drop(m, alias);
	return true;
}

static enum entered enter_alias(struct model *m, struct seen *p, const struct found *f, struct slot *ret)
{
	struct model_place at = place_of(m, p, f->number, f->port);
	struct perch_flow alias = p->flow;
	struct slot s;

	alias.key.client = sources_of(m, p)->address[f->number];
	alias.key.client_port = htons(f->port);
	alias.key.alias = PERCH_ALIAS_SOURCE;
	alias.translated = p->flow.key.client_port;
	alias.owner = p->flow.key.client;
	alias.via = 0;
	alias.flags = PERCH_FLOW_SOURCE * f->number;
	if (m->locked[at.stripe])
		return ENTERED_NOT_BUSY;
	s = seek(m, &at, &alias.key.client, alias.key.client_port, p);
	if (s.set && !tag_expired(m, *slot_tag(s)))
		return ENTERED_NOT_ALIAS;
	if (!s.set)
		s = table_victim(m, &at);
	if (!s.set)
		return ENTERED_NOT_FULL;
	fill(m, s, &at, &alias, PERCH_ALIAS_NEW);
	*ret = s;
	return ENTERED;
}

static enum entered take(struct model *m, struct seen *p, struct slot *alias)
{
	enum entered r = ENTERED_NOT_ALIAS;

	for (unsigned i = 0; i < TRIES && r != ENTERED; i++) {
		struct found f = search(m, p);

		if (!f.port || (f.rest && f.rest < ALIAS_RESTS))
			return ENTERED_NOT_ALIAS;
		if (f.rest && !evict(m, p, &f))
			continue;
		r = enter_alias(m, p, &f, alias);
		if (r == ENTERED) {
			p->client_address = slot_flow(*alias)->key.client;
			p->client_port = slot_flow(*alias)->key.client_port;
			p->flow.flags |= PERCH_FLOW_FULLNAT | PERCH_FLOW_SOURCE * f.number;
		}
	}
	return r;
}

enum entered enter_full(struct model *m, struct seen *p, __u32 class)
{
	struct slot alias = { NULL, 0 }, s;
	enum entered r = take(m, p, &alias);

	if (r != ENTERED)
		return r;
	p->flow.translated = p->client_port;
	s = table_forward(m, p);
	if (!s.set)
		s = table_victim(m, &p->place);
	if (!s.set || m->locked[p->place.stripe]) {
		drop(m, alias);
		return m->locked[p->place.stripe] ? ENTERED_NOT_BUSY : ENTERED_NOT_FULL;
	}
	fill(m, s, &p->place, &p->flow, class);
	p->at = s;
	m->outcome.alias = p->client_port;
	m->outcome.alias_client = p->client_address;
	return ENTERED;
}

struct slot table_reply_full(struct model *m, struct seen *p)
{
	struct model_place at = model_place_full(m, &p->destination, p->destination_port, p->protocol, &p->source, p->source_port);
	struct slot found = { NULL, 0 };

	for (unsigned i = 0; i < WAYS && !p->later; i++) {
		struct slot s = place_slot(m, &at, i);
		const struct perch_flow *f = slot_flow(s);

		if (!is_at(s, &at) || f->key.alias != PERCH_ALIAS_SOURCE || tag_expired(m, *slot_tag(s)) ||
		    !same_client(&f->key, &p->destination, p->destination_port, p->protocol) || !leads(m, f, &p->source, p->source_port))
			continue;
		if (!found.set || perch_tag_class(*slot_tag(found)) == PERCH_CLOSING)
			found = s;
	}
	if (!found.set)
		return found;
	p->alias = found;
	return follow(m, slot_flow(found));
}

void full_release(struct model *m, const struct seen *p)
{
	const struct perch_flow *f = slot_flow(p->at);
	const struct perch_backend *k = &m->t.backend[f->backend];
	struct seen to = *p;
	struct model_place at;
	struct slot alias;

	if (!(f->flags & PERCH_FLOW_FULLNAT))
		return;
	to.new_address = k->address;
	to.new_port = backend_port(m, f);
	at = place_of(m, &to, perch_flow_source(f->flags), ntohs(f->translated));
	alias = seek(m, &at, &sources_of(m, p)->address[perch_flow_source(f->flags)], f->translated, &to);
	if (alias.set)
		table_touch_alias(m, alias, PERCH_CLOSING);
}
