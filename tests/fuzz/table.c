/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's flow table: the same sets of eight ways as the contract says,
 * so that every entry can be compared where it lies.  Nothing races here: an
 * entry is there or not.
 */
#include <arpa/inet.h>
#include <string.h>

#include "table.h"

#define REST 2			/* ticks that an unproven entry is safe */
#define AHEAD 0xff0000		/* an age beyond is that of a clock ahead of ours */

struct slot place_slot(const struct model *m, const struct model_place *at, unsigned i)
{
	return (struct slot){ &m->sets[at->set[i / PERCH_WAYS]], i % PERCH_WAYS };
}

__u32 age_of(const struct model *m, __u64 tag)
{
	__u32 age = (m->now - perch_tag_tick(tag)) & 0xffffff;

	return age >= AHEAD ? 0 : age;
}

bool tag_expired(const struct model *m, __u64 tag)
{
	return age_of(m, tag) > m->timeout[perch_tag_class(tag)];
}

bool is_at(struct slot s, const struct model_place *at)
{
	return perch_tag_fingerprint(*slot_tag(s)) == at->fingerprint && perch_tag_class(*slot_tag(s)) != PERCH_BUSY;
}

bool same_client(const struct perch_flow_key *a, const struct perch_address *client, __be16 port, __u8 protocol)
{
	return same_address(&a->client, client) && a->client_port == port && a->protocol == protocol;
}

struct slot table_exact(struct model *m, const struct model_place *at, const struct perch_flow_key *key)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, at, i);

		if (is_at(s, at) && !memcmp(&slot_flow(s)->key, key, sizeof(*key)))
			return s;
	}
	return (struct slot){ NULL, 0 };
}

__be16 backend_port(struct model *m, const struct perch_flow *f)
{
	__be16 port = m->t.backend[f->backend].port;

	return port ? port : f->key.port;
}

/* The entry of a client's connection to where this packet goes. */
struct slot table_forward(struct model *m, const struct seen *p)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, &p->place, i);
		const struct perch_flow_key *k = &slot_flow(s)->key;

		if (is_at(s, &p->place) && same_client(k, &p->source, p->source_port, key_protocol(p)) && !k->alias &&
		    k->port == p->destination_port && k->listener < MODEL_LISTENERS &&
		    same_address(&m->t.listener[k->listener].address, &p->destination))
			return s;
	}
	return (struct slot){ NULL, 0 };
}

bool leads(struct model *m, const struct perch_flow *f, const struct perch_address *backend, __be16 port)
{
	const struct perch_backend *k = &m->t.backend[f->backend % MODEL_BACKENDS];

	/* from those it does not hear the replies have the listener's address */
	return f->backend < MODEL_BACKENDS && !perch_one_sided(k->forward) && same_address(&k->address, backend) &&
	       backend_port(m, f) == port;
}

/* Does this entry say that replies from p's source to p's destination are
 * its?  What is expired is there no more. */
static bool leads_reply(struct model *m, struct slot s, const struct seen *p)
{
	const struct perch_flow *f = slot_flow(s);

	if (!is_at(s, &p->place) || !same_client(&f->key, &p->destination, p->destination_port, key_protocol(p)))
		return false;
	if (f->translated && !f->key.alias)
		return false;	/* there the backend knows another port */
	return leads(m, f, &p->source, p->later ? backend_port(m, f) : p->source_port);
}

struct slot table_reply(struct model *m, struct seen *p)
{
	struct slot found = { NULL, 0 };

	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, &p->place, i);

		if (!leads_reply(m, s, p) || tag_expired(m, *slot_tag(s)))
			continue;
		/* a client may use its port again while the old flow is closing */
		if (!found.set || perch_tag_class(*slot_tag(found)) == PERCH_CLOSING) {
			if (found.set && perch_tag_class(*slot_tag(s)) == PERCH_CLOSING)
				continue;
			found = s;
		}
	}
	if (!found.set || !slot_flow(found)->key.alias)
		return found;
	p->alias = found;
	return follow(m, slot_flow(found));
}

void flow_over(struct model *m, __u32 backend)
{
	m->counters[backend].ended++;
}

bool is_going_on(__u64 tag)
{
	switch (perch_tag_class(tag)) {
	case PERCH_EMBRYONIC:
	case PERCH_UDP_NEW:
	case PERCH_TCP:
	case PERCH_UDP:
	case PERCH_ONE_SIDED:
		return perch_tag_fingerprint(tag);
	default:
		return false;
	}
}

void table_touch(struct model *m, struct slot s, __u32 class)
{
	__u64 *tag = slot_tag(s);
	__u32 was = perch_tag_class(*tag);

	if (was == PERCH_CLOSING || (was > class && class != PERCH_CLOSING))
		class = was;	/* a state never goes back */
	if (class == PERCH_CLOSING && was != PERCH_CLOSING)
		flow_over(m, slot_flow(s)->backend);
	*tag = perch_tag(perch_tag_fingerprint(*tag), perch_tag_generation(*tag), class, m->now);
	touched(m, s.set);
}

/* An alias is what its flow is. */
void table_touch_alias(struct model *m, struct slot s, __u32 class)
{
	__u64 *tag = slot_tag(s);

	class = class == PERCH_CLOSING ? class : class < PERCH_TCP ? PERCH_ALIAS_NEW : PERCH_ALIAS;
	*tag = perch_tag(perch_tag_fingerprint(*tag), perch_tag_generation(*tag), class, m->now);
	touched(m, s.set);
}

#define STAYS 4
/* Rank of an entry as a victim: 0 free, 1 expired, 2 unproven, 3 one-sided. */
static unsigned victim_rank(const struct model *m, __u64 tag)
{
	__u32 class = perch_tag_class(tag);

	if (class == PERCH_FREE)
		return 0;
	if (tag_expired(m, tag))
		return 1;
	return class < PERCH_TCP ? 2 : class == PERCH_ONE_SIDED ? 3 : STAYS;
}

/* Is there somebody that may give way?  Not before it had its time. */
static bool gives_way(unsigned rank, __u32 age)
{
	return rank < STAYS && (rank < 2 || age >= REST);
}

struct victim {
	struct slot slot;
	unsigned rank, empty;
	__u32 age;
};

static bool is_better(const struct victim *a, const struct victim *b)
{
	return a->rank < b->rank || (a->rank == b->rank && a->age > b->age);
}

static struct victim victim_in(const struct model *m, struct perch_flow_set *set)
{
	struct victim best = { .rank = STAYS + 1 };
	unsigned empty = 0;

	for (unsigned way = 0; way < PERCH_WAYS; way++) {
		struct victim v = { .slot = { set, way }, .rank = victim_rank(m, set->tag[way]),
				    .age = age_of(m, set->tag[way]) };

		empty += !v.rank;
		if (is_better(&v, &best))
			best = v;
	}
	best.empty = empty;
	return best;
}

bool set_is_full(const struct model *m, struct perch_flow_set *set)
{
	struct victim v = victim_in(m, set);

	return !gives_way(v.rank, v.age);
}

/* The first choice while it is half empty, else the emptier one. */
struct slot table_victim(const struct model *m, const struct model_place *at)
{
	struct victim v = victim_in(m, &m->sets[at->set[0]]), w;

	if (v.empty < PERCH_WAYS / 2) {
		w = victim_in(m, &m->sets[at->set[1]]);
		if (w.empty > v.empty || (w.empty == v.empty && is_better(&w, &v)))
			v = w;
	}
	if (!gives_way(v.rank, v.age))
		return (struct slot){ NULL, 0 };
	return v.slot;
}

bool is_unanswered(const struct model *m, __u64 tag, const struct perch_flow *f)
{
	return perch_tag_class(tag) == PERCH_EMBRYONIC && tag_expired(m, tag) && (f->flags & PERCH_FLOW_RESYN) &&
	       !(f->flags & (PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED));
}

/* When an entry began, as the program's clock had it. */
static __u64 told_created(const struct model *m, struct slot s)
{
	__u64 real = m->run->told[s.set - m->sets].flow[s.way].created;

	return real >= m->run->began && real <= m->run->ended ? real : m->run->began;
}

static void begin_now(struct perch_flow *f, __u64 ns)
{
	f->created = ns;
	if (f->request_at)
		f->request_at = ns >> 10 | 1;
}

void fill(struct model *m, struct slot s, const struct model_place *at, const struct perch_flow *f, __u32 class)
{
	__u64 old = *slot_tag(s);
	struct perch_flow lapsed = *slot_flow(s);

	if (is_going_on(old))
		flow_over(m, lapsed.backend);
	*slot_flow(s) = *f;
	if (f->key.alias == PERCH_ALIAS_SOURCE)
		slot_flow(s)->request_at = f->request_at ? told_clock(m, s) : 0;	/* where others have it stands their owner */
	else if (!f->created)
		begin_now(slot_flow(s), told_created(m, s));
	*slot_tag(s) = perch_tag(at->fingerprint, perch_tag_generation(old) + 1, class, m->now);
	touched(m, s.set);
	if (is_unanswered(m, old, &lapsed))
		witness_failed(m, &lapsed);
}

bool has_rival(struct model *m, const struct model_place *at, const struct perch_flow_key *key,
		      const struct perch_address *backend, __be16 port)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, at, i);
		const struct perch_flow *f = slot_flow(s);

		if (!is_at(s, at) || !same_client(&f->key, &key->client, key->client_port, key->protocol))
			continue;
		if (perch_tag_class(*slot_tag(s)) == PERCH_CLOSING || tag_expired(m, *slot_tag(s)))
			continue;
		if (f->key.listener == key->listener && f->key.port == key->port && f->key.alias == key->alias)
			continue;	/* itself, from before */
		if (f->translated && !f->key.alias)
			continue;
		if (leads(m, f, backend, port))
			return true;
	}
	return false;
}

enum entered table_enter(struct model *m, struct seen *p)
{
	__u32 class = is_tcp(p) ? PERCH_EMBRYONIC : PERCH_UDP_NEW;
	struct slot s = p->replaces;

	touched(m, &m->sets[p->place.set[0]]);
	touched(m, &m->sets[p->place.set[1]]);
	if (p->both)
		return enter_full(m, p, class);
	if (m->locked[p->place.stripe])
		return ENTERED_NOT_BUSY;
	if (!perch_one_sided(p->forward) && has_rival(m, &p->place, &p->flow.key, &p->new_address, p->new_port))
		return enter_aliased(m, p, class);
	if (!s.set)
		s = table_victim(m, &p->place);
	if (!s.set)
		return ENTERED_NOT_FULL;
	fill(m, s, &p->place, &p->flow, class);
	p->at = s;
	return ENTERED;
}

enum entered table_leave(struct model *m, const struct perch_flow *f)
{
	struct model_place at = model_place(m, &f->key.client, 0, f->key.protocol);
	struct slot s = table_exact(m, &at, &f->key);

	touched(m, &m->sets[at.set[0]]);
	touched(m, &m->sets[at.set[1]]);
	if (s.set && !tag_expired(m, *slot_tag(s)) && slot_flow(s)->backend == f->backend &&
	    (slot_flow(s)->flags & PERCH_FLOW_UP) == f->flags) {
		__u64 created = f->created ? f->created : told_created(m, s);

		table_touch(m, s, PERCH_FRAGMENTS);
		if (slot_flow(s)->created < created)	/* not severed with those before */
			slot_flow(s)->created = created;
		return ENTERED;
	}
	if (m->locked[at.stripe])
		return ENTERED_NOT_BUSY;
	if (!s.set)
		s = table_victim(m, &at);
	if (!s.set)
		return ENTERED_NOT_FULL;
	fill(m, s, &at, f, PERCH_FRAGMENTS);
	return ENTERED;
}

