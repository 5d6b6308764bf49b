/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fullnat's source ports: how a flow gets one, and how it is given back.
 *
 * What is in use is what the flow table holds aliases of, and an alias names
 * source, port and backend: so a port serves every backend at once, and no two
 * clients share one towards the same.  Eight neighbouring ports have the same
 * sets, and the lowest bits of the fingerprint say which of them it is; two
 * lines of tags tell of all eight, so that a search is short even when nearly
 * all are in use.
 *
 * A search begins where the last one of its backend ended: the port that was
 * given back longest ago comes first, as the backend may be waiting for the
 * last packets of its old connection (TIME-WAIT, RFC 9293, 3.6.1).  When none
 * is free, one whose flow is not proven or is closing gives way, after a rest.
 */
#ifndef PERCH_BPF_SOURCE_H
#define PERCH_BPF_SOURCE_H

#include "enter.h"
#include "evidence.h"

#define SOURCE_PROBES 128	/* of eight ports each */
#define SOURCE_TRIES 4		/* when another CPU was faster */
#define SOURCE_REST 64		/* ticks: about a second */
#define SOURCE_PORTS 8		/* neighbours: the three lowest bits */
#define SOURCE_FINGERPRINT 0xfffff1u	/* without them */

/* Can an address be a source of fullnat? */
static __always_inline bool source_maybe(const struct perch_address *a)
{
	struct perch_control *c = element(control, 0);

	return c && unlikely(c->sources) && (c->sources & perch_source_bit(a->word));
}

/* Where p's key, an alias of fullnat, has its place with this backend. */
static __always_inline void source_place(struct packet *p, const struct perch_address *backend, __be16 port)
{
	__be16 mine = p->flow.key.client_port, first = mine & bpf_htons(65536 - SOURCE_PORTS);
	u64 h = hash_ends(&p->flow.key.client, first, backend, port, p->flow.key.protocol);

	flow_place_by(p, h);
	p->fingerprint = (p->fingerprint & SOURCE_FINGERPRINT) | (bpf_ntohs(mine) & (SOURCE_PORTS - 1)) << 1;
}

struct source_search {
	struct packet *p;
	struct perch_sources *from;
	u32 turn, n;
	u32 tried;
	u32 ports;
	u32 first_group, groups;
	u32 port, number;	/* what was found; port 0: nothing */
	u32 rest, rest_port, rest_number;	/* ticks; 0: nothing */
};

/* What a set says of eight ports.  taken: bits; rest: {age:24, port:3} of the
 * one that rests longest, 0: none. */
struct source_ports {
	u64 taken, rest;
};

/* Branchless, as flow_victim; and not unrolled, which would take stack. */
static __always_inline void source_ports_add(const u64 *tag, u32 fingerprint, u32 now, struct source_ports *ports)
{
#pragma nounroll
	for (int i = 0; i < PERCH_WAYS; i++) {
		u64 t = READ(tag[i]), class = perch_tag_class(t), age = flow_age(now, perch_tag_tick(t));
		u64 hit = ((((t >> 40) ^ fingerprint) & SOURCE_FINGERPRINT) - 1) >> 63;
		u64 live = (age - (u64)constants.timeout[class & 15] - 1) >> 63;
		u64 resting = ((class ^ PERCH_CLOSING) - 1) >> 63 | ((class ^ PERCH_ALIAS_NEW) - 1) >> 63;
		u64 port = t >> 41 & (SOURCE_PORTS - 1), score = age << 3 | port;
		u64 older;

		opaque(hit);
		hit &= live;
		ports->taken |= hit << port;
		score &= 0 - (hit & resting);
		older = (ports->rest - score) >> 63;
		ports->rest ^= (ports->rest ^ score) & (0 - older);
	}
}

/* Which of a group's ports are in the service's range. */
static __always_inline u32 source_valid(const struct source_search *s, u32 group)
{
	u32 valid = 0xff;

	if (group == s->first_group)
		valid &= 0xff << (perch_port_first(s->ports) & (SOURCE_PORTS - 1));
	if (group == s->first_group + s->groups - 1)
		valid &= 0xff >> (SOURCE_PORTS - 1 - (perch_port_last(s->ports) & (SOURCE_PORTS - 1)));
	return valid;
}

/* The first of these ports from `low` on, going round. */
static __always_inline u32 source_first(u32 ports, u32 low)
{
	u32 turned = (ports | ports << SOURCE_PORTS) >> low & 0xff, skip = 0;

	skip += turned & 0x0f ? 0 : 4;
	skip += turned >> skip & 3 ? 0 : 2;
	skip += turned >> skip & 1 ? 0 : 1;
	return (low + skip) & (SOURCE_PORTS - 1);
}

/* One group of ports of one source. */
static long source_try(u32 i, struct source_search *s)
{
	struct packet *p = s->p;
	struct source_ports ports = {};
	struct perch_flow_set *a, *b;
	u32 at, group, free, number;

	if (!s->n || !s->groups)
		return 1;
	at = s->turn + i;
	s->tried = i;
	number = READ(s->from->list[p->v6 & 1][at % s->n & (PERCH_SOURCES - 1)]) & (PERCH_SOURCES - 1);
	group = s->first_group + at / s->n % s->groups;
	p->flow.key.client = s->from->address[number];
	p->flow.key.client_port = bpf_htons(group * SOURCE_PORTS);
	source_place(p, &p->new_address, p->new_port);
	a = element(flows, p->set[0]);
	b = element(flows, p->set[1]);
	if (!a || !b)
		return 1;
	source_ports_add(a->tag, p->fingerprint, p->now, &ports);
	source_ports_add(b->tag, p->fingerprint, p->now, &ports);
	free = source_valid(s, group) & ~ports.taken & 0xff;
	if (free) {
		s->port = group * SOURCE_PORTS + source_first(free, at / s->n / s->groups & (SOURCE_PORTS - 1));
		s->number = number;
		return 1;
	}
	if (ports.rest >> 3 > s->rest && (source_valid(s, group) >> (ports.rest & 7) & 1)) {
		s->rest = ports.rest >> 3;
		s->rest_port = group * SOURCE_PORTS + (ports.rest & 7);
		s->rest_number = number;
	}
	return 0;
}

enum { SOURCE_NONE, SOURCE_FREE, SOURCE_RESTING };

/* The alias of the flow in spare, in its place. */
static __always_inline void source_alias(struct packet *p, const struct perch_sources *from, __be16 port)
{
	p->flow = p->spare;
	p->flow.key.client = from->address[p->source_number & (PERCH_SOURCES - 1)];
	p->flow.key.client_port = port;
	p->flow.key.alias = PERCH_ALIAS_SOURCE;
	p->flow.translated = p->spare.key.client_port;
	p->flow.owner = p->spare.key.client;
	p->flow.via = 0;
	p->flow.flags = PERCH_FLOW_SOURCE * (u32)(p->source_number & (PERCH_SOURCES - 1));
	source_place(p, &p->new_address, p->new_port);
}

/* A port for p, whose flow is in spare, towards its backend: the alias is then
 * in p->flow. */
GLOBAL int source_search(struct packet *p)
{
	struct source_search s = { .p = p };
	struct perch_backend *k;
	u32 probes;
	bool free;

	if (!p)
		return SOURCE_NONE;
	s.from = element(sources, p->service);
	k = element(backends, p->spare.backend);
	if (!s.from || !k)
		return SOURCE_NONE;
	s.n = READ(s.from->n[p->v6 & 1]);
	s.ports = READ(s.from->ports);
	s.first_group = perch_port_first(s.ports) / SOURCE_PORTS;
	s.groups = perch_port_last(s.ports) / SOURCE_PORTS - s.first_group + 1;
	s.turn = __sync_fetch_and_add(&k->port_turn, 1);
	probes = s.n * s.groups;
	bpf_loop(probes < SOURCE_PROBES ? probes : SOURCE_PROBES, source_try, &s, 0);
	if (s.tried)
		__sync_fetch_and_add(&k->port_turn, s.tried);
	free = s.port;
	if (!free && s.rest < SOURCE_REST)
		return SOURCE_NONE;
	p->source_number = free ? s.number : s.rest_number;
	source_alias(p, s.from, bpf_htons(free ? s.port : s.rest_port));
	return free ? SOURCE_FREE : SOURCE_RESTING;
}

/* The entry that leads p's key to p's backend, whatever became of its flow. */
static long source_seek_way(u32 i, struct flow_search *s)
{
	struct packet *p = s->p;
	u32 way = i % PERCH_WAYS, set = i / PERCH_WAYS & 1 ? p->set[1] : p->set[0];
	struct perch_flow_set *fs = element(flows, set);
	u64 tag;

	if (!fs)
		return 1;
	tag = READ(fs->tag[way]);
	if (perch_tag_fingerprint(tag) != p->fingerprint || perch_tag_class(tag) == PERCH_BUSY ||
	    READ(fs->flow[way].key.alias) != PERCH_ALIAS_SOURCE || !flow_leads(&fs->flow[way], p))
		return 0;
	barrier();
	if ((READ(fs->tag[way]) ^ tag) & PERCH_TAG_IDENTITY)
		return 0;
	p->found_set = set;
	p->found_way = way;
	p->tag = tag;
	s->result = FLOW_HIT;
	return 1;
}

GLOBAL int source_seek(struct packet *p)
{
	struct flow_search s = { .p = p };

	if (!p)
		return 0;
	bpf_loop(2 * PERCH_WAYS, source_seek_way, &s, 0);
	return s.result == FLOW_HIT;
}

/* With the lock held: what is there is somebody's, unless it has expired. */
static __always_inline int source_insert_locked(struct packet *p)
{
	struct flow_slot at;

	if (!source_seek(p))
		return flow_insert_new(p, PERCH_ALIAS_NEW);
	if (!flow_expired(p->tag, p->now))
		return FLOW_RIVAL;
	at = (struct flow_slot){ .tag = p->tag, .set = p->found_set, .way = p->found_way };
	return flow_fill(&at, p, PERCH_ALIAS_NEW) ? FLOW_INSERTED : FLOW_RIVAL;
}

GLOBAL int source_insert(struct packet *p)
{
	struct perch_stripe *stripe;
	int r;

	if (!p)
		return FLOW_FULL;
	stripe = element(stripes, p->stripe & (PERCH_STRIPES - 1));
	if (!stripe)
		return FLOW_FULL;
	if (!flow_lock(stripe))
		return FLOW_BUSY;
	r = source_insert_locked(p);
	__sync_lock_test_and_set(&stripe->lock, 0);
	return r;
}

/* An entry with this tag is free, if it is still that one. */
static __always_inline bool source_drop(u32 set, u32 way, u64 tag)
{
	struct perch_flow_set *fs = element(flows, set);

	return fs && __sync_val_compare_and_swap(&fs->tag[way & (PERCH_WAYS - 1)], tag,
						 perch_tag(0, perch_tag_generation(tag) + 1, PERCH_FREE, 0)) == tag;
}

/* May the flow that p holds lose its port?  Whoever is closing or has proved
 * nothing is ended; its next packet is decided anew.  A connect that nobody
 * answered is told, as where a slot is taken. */
static __always_inline bool source_end_owner(struct packet *p)
{
	u32 class = perch_tag_class(p->tag);

	if (class != PERCH_CLOSING && class != PERCH_EMBRYONIC && class != PERCH_UDP_NEW && !flow_expired(p->tag, p->now))
		return false;
	if (!source_drop(p->found_set, p->found_way, p->tag))
		return false;
	if (flow_counts(class))
		flow_ended(p->flow.backend);
	if (unlikely(flow_unanswered(p->tag, p->flow.flags, p->now)))
		p->lapsed = p->flow;
	return true;
}

/* Take the resting alias at p's place away from its flow.  1: the port is free
 * now, and p's own alias is as it was. */
GLOBAL int source_evict(struct packet *p)
{
	struct perch_sources *from;
	bool ended = true;
	__be16 port;

	if (!p)
		return 0;
	from = element(sources, p->service);
	if (!from)
		return 0;
	port = p->flow.key.client_port;
	if (source_seek(p) && flow_copy(p)) {
		ended = !flow_follow(p) || source_end_owner(p);
		if (ended)
			source_drop(p->alias_set, p->alias_way, p->alias_tag);
		else
			flow_alias_touch(p, PERCH_ALIAS);
	}
	source_alias(p, from, port);
	return ended;
}

/* An unanswered connect whose port or slot was taken, before the next one's is. */
static __always_inline void source_tell(struct packet *p)
{
	if (unlikely(p->lapsed.backend))
		evidence_connect_failed(&p->lapsed);
	p->lapsed.backend = 0;
}

/* An alias for the flow in spare; FLOW_INSERTED, or why there is none. */
static __always_inline int source_take(struct packet *p)
{
	int r = FLOW_RIVAL;

	for (int i = 0; i < SOURCE_TRIES; i++) {
		int how = source_search(p);

		if (how == SOURCE_NONE)
			return FLOW_RIVAL;
		if (how == SOURCE_RESTING && !source_evict(p))
			continue;
		source_tell(p);
		r = source_insert(p);
		if (r == FLOW_INSERTED)
			break;
	}
	return r;
}

/* The port of a flow that has ended rests; p->flow is that flow. */
GLOBAL int source_release(struct packet *p)
{
	struct perch_sources *from;
	struct perch_backend *k;

	if (!p)
		return 0;
	from = element(sources, p->service);
	k = element(backends, p->flow.backend);
	if (!from || !k)
		return 0;
	if (!p->alias_tag) {
		p->spare = p->flow;
		p->new_address = k->address;
		p->new_port = k->port ? k->port : p->flow.key.port;
		p->flow.key.client = from->address[perch_flow_source(p->spare.flags)];
		p->flow.key.client_port = p->spare.translated;
		source_place(p, &p->new_address, p->new_port);
		if (source_seek(p)) {
			p->alias_set = p->found_set;
			p->alias_way = p->found_way;
			p->alias_tag = p->tag;
		}
		p->flow = p->spare;
	}
	if (p->alias_tag)
		flow_alias_touch(p, PERCH_CLOSING);
	return 0;
}

#endif
