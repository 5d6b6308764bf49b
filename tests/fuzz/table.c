/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's flow table: the same sets of eight ways as the contract says,
 * so that every entry can be compared where it lies.  Nothing races here: an
 * entry is there or not.
 */
#include <arpa/inet.h>
#include <string.h>

#include "parts.h"

#define WAYS (2 * PERCH_WAYS)
#define REST 2			/* ticks that an unproven entry is safe */
#define ALIAS_LOWEST 1024
#define ALIAS_RESTS 64	/* ticks */
#define AHEAD 0xff0000		/* an age beyond is that of a clock ahead of ours */

static struct slot place_slot(const struct model *m, const struct model_place *at, unsigned i)
{
	return (struct slot){ &m->sets[at->set[i / PERCH_WAYS]], i % PERCH_WAYS };
}

static __u32 age_of(const struct model *m, __u64 tag)
{
	__u32 age = (m->now - perch_tag_tick(tag)) & 0xffffff;

	return age >= AHEAD ? 0 : age;
}

bool tag_expired(const struct model *m, __u64 tag)
{
	return age_of(m, tag) > m->timeout[perch_tag_class(tag)];
}

static bool is_at(struct slot s, const struct model_place *at)
{
	return perch_tag_fingerprint(*slot_tag(s)) == at->fingerprint && perch_tag_class(*slot_tag(s)) != PERCH_BUSY;
}

static bool same_client(const struct perch_flow_key *a, const struct perch_address *client, __be16 port, __u8 protocol)
{
	return same_address(&a->client, client) && a->client_port == port && a->protocol == protocol;
}

/* The port that a flow's backend listens on. */
static __be16 backend_port(struct model *m, const struct perch_flow *f)
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

/* Does this entry say that replies from p's source to p's destination are
 * its?  What is expired is there no more. */
static bool leads_reply(struct model *m, struct slot s, const struct seen *p)
{
	const struct perch_flow *f = slot_flow(s);

	if (!is_at(s, &p->place) || !same_client(&f->key, &p->destination, p->destination_port, key_protocol(p)))
		return false;
	if (f->translated && !f->key.alias)
		return false;	/* there the backend knows another port */
	if (perch_one_sided(m->t.backend[f->backend % MODEL_BACKENDS].forward))
		return false;	/* its replies come from the listener's address */
	return f->backend < MODEL_BACKENDS && same_address(&m->t.backend[f->backend].address, &p->source) &&
	       (p->later || backend_port(m, f) == p->source_port);
}

/* The flow that an alias stands for: the one whose port towards the backend is
 * the alias'. */
static struct slot follow(struct model *m, const struct perch_flow *alias)
{
	struct model_place at = model_place(m, &alias->key.client, alias->translated, alias->key.protocol);

	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, &at, i);
		const struct perch_flow_key *k = &slot_flow(s)->key;

		if (is_at(s, &at) && same_client(k, &alias->key.client, alias->translated, alias->key.protocol) &&
		    !k->alias && k->port == alias->key.port && k->listener == alias->key.listener)
			return slot_flow(s)->translated == alias->key.client_port && slot_flow(s)->backend == alias->backend ?
			       s : (struct slot){ NULL, 0 };
	}
	return (struct slot){ NULL, 0 };
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

static void flow_over(struct model *m, __u32 backend)
{
	m->counters[backend].ended++;
}

/* Is it somebody's connection that goes on? */
static bool is_going_on(__u64 tag)
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

/* The first choice while it is half empty, else the emptier one. */
static struct slot table_victim(const struct model *m, const struct model_place *at)
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

/* A connect that came again and again and found nobody. */
static bool is_unanswered(const struct model *m, __u64 tag, const struct perch_flow *f)
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

static void fill(struct model *m, struct slot s, const struct model_place *at, const struct perch_flow *f, __u32 class)
{
	__u64 old = *slot_tag(s);
	struct perch_flow lapsed = *slot_flow(s);

	if (is_going_on(old))
		flow_over(m, lapsed.backend);
	*slot_flow(s) = *f;
	if (!f->created)
		slot_flow(s)->created = told_created(m, s);
	if (!f->created && f->request_at)
		slot_flow(s)->request_at = slot_flow(s)->created >> 10 | 1;
	*slot_tag(s) = perch_tag(at->fingerprint, perch_tag_generation(old) + 1, class, m->now);
	touched(m, s.set);
	if (is_unanswered(m, old, &lapsed))
		witness_failed(m, &lapsed);
}

/* Does another connection of this client port lead to the same backend? */
static bool has_rival(struct model *m, const struct model_place *at, const struct perch_flow_key *key,
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
		if (perch_one_sided(m->t.backend[f->backend].forward))
			continue;	/* there the listener's address tells them apart */
		if (same_address(&m->t.backend[f->backend].address, backend) && backend_port(m, f) == port)
			return true;
	}
	return false;
}

/* The alias of p's flow that the real table has and this one has not: the port
 * was chosen at random.  0: there is none, or none that may be. */
static __be16 told_port(struct model *m, const struct seen *p)
{
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		const struct perch_flow *real = &m->run->told[i / PERCH_WAYS].flow[i % PERCH_WAYS];
		const struct perch_flow_key *k = &real->key;
		struct model_place at;

		if (!k->alias || k->listener != p->flow.key.listener || k->port != p->flow.key.port ||
		    real->translated != p->source_port || !same_address(&k->client, &p->source) ||
		    k->protocol != p->protocol || !memcmp(real, &m->sets[i / PERCH_WAYS].flow[i % PERCH_WAYS], sizeof(*real)))
			continue;
		at = model_place(m, &k->client, k->client_port, k->protocol);
		if (ntohs(k->client_port) >= ALIAS_LOWEST && !has_rival(m, &at, k, &p->new_address, p->new_port))
			return k->client_port;
	}
	return 0;
}

/* May eight random ports all have been without room? */
static bool is_crowded(const struct model *m)
{
	__u32 full = 0;

	for (__u32 i = 0; i < m->n_sets; i++) {
		struct victim v = victim_in(m, &m->sets[i]);

		full += !gives_way(v.rank, v.age);
	}
	return full * 4 >= m->n_sets;
}

/* The entry of an alias with this key that has run out: the port was drawn once
 * more, and takes its place. */
static struct slot alias_before(struct model *m, const struct model_place *at, const struct perch_flow_key *key)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, at, i);
		const struct perch_flow_key *k = &slot_flow(s)->key;

		if (is_at(s, at) && k->alias && k->listener == key->listener && k->port == key->port &&
		    same_client(k, &key->client, key->client_port, key->protocol) && tag_expired(m, *slot_tag(s)))
			return s;
	}
	return (struct slot){ NULL, 0 };
}

/* The flow with a source port of its own, and the alias that leads its replies
 * back.  The alias comes first, and may take the slot that was the flow's. */
static enum entered enter_aliased(struct model *m, struct seen *p, __u32 class)
{
	struct perch_flow alias = p->flow;
	__be16 port = told_port(m, p);
	struct model_place at;
	struct slot s, a;

	if (!port && is_crowded(m))
		return ENTERED_NOT_ALIAS;
	at = model_place(m, &p->flow.key.client, port, p->flow.key.protocol);
	alias.key.client_port = port;
	alias.key.alias = 1;
	alias.translated = p->flow.key.client_port;
	a = alias_before(m, &at, &alias.key);
	if (!a.set)
		a = table_victim(m, &at);
	if (!a.set || m->locked[at.stripe])
		return ENTERED_NOT_ALIAS;
	fill(m, a, &at, &alias, PERCH_ALIAS_NEW);
	m->outcome.alias = port;
	s = p->replaces;
	if (!s.set || (s.set == a.set && s.way == a.way))
		s = table_victim(m, &p->place);
	if (!s.set) {
		table_touch_alias(m, a, PERCH_CLOSING);
		return ENTERED_NOT_FULL;
	}
	p->flow.translated = port;
	fill(m, s, &p->place, &p->flow, class);
	p->at = s;
	p->client_port = port;
	count(m, PERCH_R_ALIASED);
	return ENTERED;
}

enum entered table_enter(struct model *m, struct seen *p)
{
	__u32 class = is_tcp(p) ? PERCH_EMBRYONIC : PERCH_UDP_NEW;
	struct slot s = p->replaces;

	touched(m, &m->sets[p->place.set[0]]);
	touched(m, &m->sets[p->place.set[1]]);
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

static struct slot table_exact(struct model *m, const struct model_place *at, const struct perch_flow_key *key)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct slot s = place_slot(m, at, i);

		if (is_at(s, at) && !memcmp(&slot_flow(s)->key, key, sizeof(*key)))
			return s;
	}
	return (struct slot){ NULL, 0 };
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

/* A next hop of another route generation is none, kept or not. */
static void via_swept(const struct model *m, __u64 *via, __u64 real)
{
	if (!real && *via && !hop_cached(m, *via))
		*via = 0;
}

static void slot_swept(struct model *m, struct slot s, __u64 real)
{
	__u64 old = *slot_tag(s);
	struct perch_flow ended = *slot_flow(s);

	if (!perch_tag_fingerprint(old) || !tag_expired(m, old) || perch_tag_class(real) != PERCH_FREE)
		return;
	if (is_going_on(old))
		flow_over(m, slot_flow(s)->backend);
	if (is_unanswered(m, old, slot_flow(s)))
		witness_failed(m, slot_flow(s));
	if (is_going_on(old))
		witness_settled(m, &ended);
	*slot_tag(s) = perch_tag(0, perch_tag_generation(old) + 1, PERCH_FREE, m->now);
}

/* An alias that nobody has used for a second is what its flow is, when the walk
 * has come by. */
static void alias_swept(struct model *m, struct slot s, __u64 real)
{
	__u64 old = *slot_tag(s);
	__u32 class = perch_tag_class(old);
	struct slot flow;

	if ((class != PERCH_ALIAS && class != PERCH_ALIAS_NEW) || real == old || age_of(m, old) < ALIAS_RESTS)
		return;
	flow = follow(m, slot_flow(s));
	class = flow.set && !tag_expired(m, *slot_tag(flow)) ? perch_tag_class(*slot_tag(flow)) : PERCH_CLOSING;
	table_touch_alias(m, s, class);
}

void model_swept(struct model *m, const struct maps *real, __u64 began, __u64 ended)
{
	const struct model_run run = { .began = began, .ended = ended, .told = real->flows };

	m->run = &run;
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		__u32 set = i / PERCH_WAYS, way = i % PERCH_WAYS;

		slot_swept(m, (struct slot){ &m->sets[set], way }, real->flows[set].tag[way]);
		alias_swept(m, (struct slot){ &m->sets[set], way }, real->flows[set].tag[way]);
		via_swept(m, &m->sets[set].flow[way].via, real->flows[set].flow[way].via);
	}
	for (__u32 id = 1; id < MODEL_BACKENDS; id++)
		via_swept(m, &m->t.backend[id].via, real->backends[id].via);
	m->run = NULL;
}
