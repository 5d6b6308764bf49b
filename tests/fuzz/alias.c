/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's aliases: a flow whose client's port is in use towards its backend
 * gets another one there, and an entry that leads replies back.
 */
#include <arpa/inet.h>
#include <string.h>

#include "table.h"

#define ALIAS_LOWEST 1024

struct slot follow(struct model *m, const struct perch_flow *alias)
{
	struct perch_flow_key key = alias->key;
	struct slot none = { NULL, 0 }, s;
	struct model_place at;

	if (alias->key.alias == PERCH_ALIAS_SOURCE)
		key.client = alias->owner;
	key.client_port = alias->translated;
	key.alias = PERCH_NO_ALIAS;
	at = model_place(m, &key.client, key.client_port, key.protocol);
	s = table_exact(m, &at, &key);
	if (!s.set || slot_flow(s)->translated != alias->key.client_port || slot_flow(s)->backend != alias->backend ||
	    perch_flow_source(slot_flow(s)->flags) != perch_flow_source(alias->flags))
		return none;
	return s;
}

/* The alias of p's flow that the real table has and this one has not: the port
 * was chosen at random.  0: there is none, or none that may be. */
static __be16 told_port(struct model *m, const struct seen *p)
{
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		const struct perch_flow *real = &m->run->told[i / PERCH_WAYS].flow[i % PERCH_WAYS];
		const struct perch_flow_key *k = &real->key;
		struct model_place at;

		if (k->alias != PERCH_ALIAS_PORT || k->listener != p->flow.key.listener || k->port != p->flow.key.port ||
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

	for (__u32 i = 0; i < m->n_sets; i++)
		full += set_is_full(m, &m->sets[i]);
	return full * 4 >= m->n_sets;
}

/* The flow with a source port of its own, and the alias that leads its replies
 * back.  The alias comes first, and may take the slot that was the flow's. */
enum entered enter_aliased(struct model *m, struct seen *p, __u32 class)
{
	struct perch_flow alias = p->flow;
	__be16 port = told_port(m, p);
	struct model_place at;
	struct slot s, a;

	if (!port && is_crowded(m))
		return ENTERED_NOT_ALIAS;
	at = model_place(m, &p->flow.key.client, port, p->flow.key.protocol);
	alias.key.client_port = port;
	alias.key.alias = PERCH_ALIAS_PORT;
	alias.translated = p->flow.key.client_port;
	/* a port that is drawn once more takes the place of its entry that has run out */
	a = table_exact(m, &at, &alias.key);
	if (!a.set || !tag_expired(m, *slot_tag(a)))
		a = table_victim(m, &at);
	if (!a.set || m->locked[at.stripe])
		return ENTERED_NOT_ALIAS;
	fill(m, a, &at, &alias, PERCH_ALIAS_NEW);
	m->outcome.alias = port;
	s = table_forward(m, p);
	if (!s.set)
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
