/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How the model decides where a packet goes, changing nothing: a flow that is
 * good, of a reply or of what a client sends; else a listener, and the choice.
 */
#include <netinet/in.h>

#include "parts.h"

static bool is_severed(struct model *m, const struct perch_flow *f)
{
	const struct perch_version *v = &m->t.version[m->t.backend[f->backend].version];

	if (f->created < v->sever_before || (f->flags & PERCH_FLOW_SEVERED))
		return true;
	return f->created < v->drain_before && is_past(m, v->drain_at, true);
}

static bool is_only_syn(const struct seen *p)
{
	return is_tcp(p) && (p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Does a SYN begin another connection?  Not when this one is established (the
 * backend's challenge decides), nor when it is the one that began it. */
static bool begins_anew(const struct seen *p)
{
	if (!is_only_syn(p))
		return false;
	return p->class == PERCH_CLOSING || (p->class == PERCH_EMBRYONIC && p->seq + 1 != p->flow.client_next);
}

/* The source that the backend sees: the flow's, or, for the route, one that a
 * new flow may get.  A backend on this host would take its own for forged. */
static void aim_source(struct model *m, struct seen *p)
{
	const struct perch_backend *k = &m->t.backend[p->flow.backend];
	const struct perch_sources *from = &m->t.source[p->service];
	bool has = p->flow.flags & PERCH_FLOW_FULLNAT;

	p->both = has || (!p->at.set && k->forward == PERCH_FULLNAT && !k->local);
	if (p->both)
		p->client_address = from->address[has ? perch_flow_source(p->flow.flags) : from->list[p->v6][0]];
}

static void aim(struct model *m, struct seen *p)
{
	const struct perch_backend *k = &m->t.backend[p->flow.backend];
	bool settled = p->class == PERCH_TCP || p->class == PERCH_UDP || p->class == PERCH_CLOSING || p->class == PERCH_FRAGMENTS;

	p->forward = k->forward;
	p->overhead = !perch_tunnels(k->forward) ? 0 :
		      (is_v4(&k->address) ? 20 : 40) + (k->forward == PERCH_GUE ? 8 : 0);
	p->new_address = k->address;
	p->new_port = k->port ? k->port : p->destination_port;
	p->client_port = p->flow.translated;
	aim_source(m, p);
	p->via = k->local ? VIA_UP : hop_cached(m, k->via);
	/* through the stack once is through the stack for good */
	if (p->at.set && settled && (p->flow.flags & PERCH_FLOW_UP) && !perch_one_sided(p->forward))
		p->via = VIA_UP;
}

static struct perch_listener *listener_at(struct model *m, const struct seen *p, __be16 port)
{
	for (__u32 id = 1; id < MODEL_LISTENERS; id++) {
		struct perch_listener *l = &m->t.listener[id];

		if (l->in_use && l->port == port && l->protocol == p->protocol && same_address(&l->address, &p->destination))
			return l;
	}
	return NULL;
}

/* Where p goes to: this port's listener, else that of every port but those
 * that are excluded. */
struct perch_listener *listener_of(struct model *m, const struct seen *p)
{
	struct perch_listener *l;

	if (p->later)
		return pieces_listener(m, &p->destination, p->protocol);
	l = listener_at(m, p, p->destination_port);
	for (unsigned i = 0; !l && i < m->n_excluded; i++) {
		const struct perch_endpoint *e = &m->excluded[i];

		if (e->port == p->destination_port && e->protocol == p->protocol && same_address(&e->address, &p->destination))
			return NULL;
	}
	return l ? l : listener_at(m, p, 0);
}

static void new_flow(struct model *m, struct seen *p)
{
	__u32 flags = p->flow.flags;

	p->class = PERCH_FREE;
	if (is_tcp(p) && !(p->flags & TCP_SYN))
		flags |= PERCH_FLOW_UNANSWERED;	/* there is no connect to vote on */
	p->flow.key = (struct perch_flow_key){
		.client = p->source, .client_port = p->source_port, .port = p->destination_port,
		.listener = p->listener, .protocol = p->protocol,
	};
	p->flow.translated = 0;
	p->flow.via = 0;
	p->flow.created = 0;	/* as any clock; the entry gets its own */
	p->flow.request_at = p->payload;
	p->flow.client_next = !is_tcp(p) ? 0 : p->flags & TCP_SYN ? p->seq + 1 : states_end(p);
	p->flow.backend_next = 0;
	p->flow.flags = flags;
}

/* No good flow. */
static int find_new(struct model *m, struct seen *p)
{
	struct perch_listener *l = listener_of(m, p);

	if (!l)
		return PERCH_R_NO_LISTENER;
	if (l->leaving)
		return PERCH_R_LEAVING;
	if (l->adopt_until && is_tcp(p) && !(p->flags & TCP_SYN) && !is_past(m, l->adopt_until, true))
		return PERCH_R_ADOPTED;
	p->listener = l - m->t.listener;
	p->service = l->service;
	p->flow.flags = 0;
	p->flow.backend = choose(m, p, l);
	if (p->flow.backend >= MODEL_BACKENDS)
		return PERCH_R_NO_BACKEND;
	if (!p->flow.backend) {
		if (!is_tcp(p) || (p->flags & TCP_RST) || p->later)
			return PERCH_R_STABLE_DOWN_DROP;
		p->answer = true;
		return ON;
	}
	new_flow(m, p);
	aim(m, p);
	return ON;
}

/* Where replies are not seen the backend hears of the end by the RST with
 * which a client that was told answers it. */
static bool is_last_word(const struct model *m, const struct seen *p)
{
	return is_tcp(p) && (p->flags & TCP_RST) && perch_one_sided(m->t.backend[p->flow.backend].forward);
}

static int find_forward(struct model *m, struct seen *p)
{
	struct slot s;
	__u8 state;

	p->place = model_place(m, &p->source, p->source_port, key_protocol(p));
	s = table_forward(m, p);
	if (!s.set)
		return find_new(m, p);
	p->flow = *slot_flow(s);
	p->service = m->t.backend[p->flow.backend].service;
	p->class = perch_tag_class(*slot_tag(s));
	p->replaces = s;
	if (tag_expired(m, *slot_tag(s)))
		return find_new(m, p);
	if (is_severed(m, &p->flow) && !is_last_word(m, p)) {
		if (!is_tcp(p) || is_only_syn(p) || p->later)
			return find_new(m, p);
		p->at = s;
		p->answer = true;
		return ON;
	}
	state = m->t.backend[p->flow.backend].state;
	if (state == PERCH_BACKEND_DOWN || state == PERCH_BACKEND_NONE || begins_anew(p))
		return find_new(m, p);
	p->at = s;
	aim(m, p);
	return ON;
}

/* To a flow's reply. */
static int find_turned(struct model *m, struct seen *p, struct slot s)
{
	p->service = m->t.backend[slot_flow(s)->backend].service;
	if (tag_expired(m, *slot_tag(s)))
		return PERCH_R_NOT_OUR_REPLY;
	p->flow = *slot_flow(s);
	p->class = perch_tag_class(*slot_tag(s));
	if (is_severed(m, &p->flow)) {
		if (!is_tcp(p) || p->later)
			return PERCH_R_SEVERED_DROP;
		p->at = s;
		p->answer = true;
		return ON;
	}
	/* its request went through the stack, which is to see this one too */
	if (m->run->hook != PERCH_HOOK_TC_OUT && (p->flow.flags & PERCH_FLOW_UP))
		return PERCH_R_TURNED_LATER;
	p->at = s;
	p->new_address = m->t.listener[p->flow.key.listener].address;
	p->new_port = p->flow.key.port;
	p->client_port = p->alias.set ? p->flow.key.client_port : 0;
	p->client_address = p->flow.key.client;
	p->both = p->flow.flags & PERCH_FLOW_FULLNAT;
	p->via = hop_cached(m, p->flow.via);
	return ON;
}

static int find_reply(struct model *m, struct seen *p)
{
	struct slot s;

	p->reply = true;
	p->place = model_place(m, &p->destination, p->destination_port, key_protocol(p));
	s = table_reply(m, p);
	return s.set ? find_turned(m, p, s) : PERCH_R_NOT_OUR_REPLY;
}

/* To a source of fullnat, whatever else is to be had at that address. */
static int find_reply_full(struct model *m, struct seen *p)
{
	struct slot s = table_reply_full(m, p);

	if (!s.set) {
		p->alias = s;
		return PERCH_R_NOT_OURS;
	}
	p->reply = true;
	return find_turned(m, p, s);
}

int find(struct model *m, struct seen *p)
{
	int r = p->from_backend ? find_reply_full(m, p) : PERCH_R_NOT_OURS;
	bool turned = r != PERCH_R_NOT_OURS;

	if (!turned && p->to_listener && m->run->hook != PERCH_HOOK_TC_OUT)
		r = find_forward(m, p);
	if (!turned && r != ON && p->from_backend)
		r = find_reply(m, p);
	if (p->first || p->later)
		r = pieces_taken(m, p, r);
	if (r == ON && !p->answer && p->ttl <= 1 && m->run->hook != PERCH_HOOK_TC_OUT && !hop_up(p->via))
		r = PERCH_R_TTL;
	return r;
}
