/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The order in which the model decides: ours? understood? a flow that is good?
 * else the choice; then the next hop, and only what will leave changes
 * anything.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

#define VIA_UP ((__u64)PERCH_VIA_STACK << 48)

void count(struct model *m, enum perch_reason reason)
{
	m->outcome.reason[reason]++;
}

void touched(struct model *m, const struct perch_flow_set *set)
{
	struct model_outcome *o = &m->outcome;
	__u32 n = set - m->sets;

	for (unsigned i = 0; i < o->sets; i++)
		if (o->set[i] == n)
			return;
	if (o->sets < sizeof(o->set) / sizeof(o->set[0]))
		o->set[o->sets++] = n;
}

bool is_past(struct model *m, __u64 when, bool or_now)
{
	bool before = or_now ? m->run->began >= when : m->run->began > when;
	bool after = or_now ? m->run->ended >= when : m->run->ended > when;

	m->outcome.unsure |= before != after;
	return after;
}

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

static int find_reply(struct model *m, struct seen *p)
{
	struct slot s;

	p->reply = true;
	p->place = model_place(m, &p->destination, p->destination_port, key_protocol(p));
	s = table_reply(m, p);
	if (!s.set)
		return PERCH_R_NOT_OUR_REPLY;
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
	p->via = hop_cached(m, p->flow.via);
	return ON;
}

static int find(struct model *m, struct seen *p)
{
	int r = PERCH_R_NOT_OURS;

	if (p->to_listener && m->run->hook != PERCH_HOOK_TC_OUT)
		r = find_forward(m, p);
	if (r != ON && p->from_backend)
		r = find_reply(m, p);
	if (p->first || p->later)
		r = pieces_taken(m, p, r);
	if (r == ON && !p->answer && p->ttl <= 1 && m->run->hook != PERCH_HOOK_TC_OUT && !hop_up(p->via))
		r = PERCH_R_TTL;
	return r;
}

/* A severed flow is over, and its sender told, unless that is this host. */
static int end(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);

	if (p->alias.set && p->class != PERCH_CLOSING)
		table_touch_alias(m, p->alias, PERCH_CLOSING);
	table_touch(m, p->at, PERCH_CLOSING);
	f->flags |= PERCH_FLOW_SEVERED;
	if (m->run->hook != PERCH_HOOK_TC_OUT)
		f->flags |= p->reply ? PERCH_FLOW_TOLD_BACKEND : PERCH_FLOW_TOLD_CLIENT;
	return p->flags & TCP_RST ? PERCH_R_SEVERED_DROP : PERCH_R_SEVERED;
}

/* A first packet. */
static int begin(struct model *m, struct seen *p)
{
	bool keeps = is_tcp(p) && (p->flags & TCP_RST);	/* a RST begins nothing */
	enum entered entered = ENTERED_NOT_FULL;

	if (p->later)
		return PERCH_R_UNLEARNED;	/* without ports it begins nothing */
	choose_tell(m, p);
	if (keeps)
		return PERCH_R_UNLEARNED;
	p->flow.flags |= hop_up(p->via) ? PERCH_FLOW_UP : 0;
	entered = table_enter(m, p);
	if (entered == ENTERED) {
		p->flow = *slot_flow(p->at);
		m->counters[p->flow.backend].opened++;
		if (!is_tcp(p))
			witness_udp(m, slot_flow(p->at));
		return PERCH_R_NEW;
	}
	count(m, entered == ENTERED_NOT_BUSY ? PERCH_R_LOCK_BUSY :
		 entered == ENTERED_NOT_ALIAS ? PERCH_R_NO_ALIAS : PERCH_R_TABLE_FULL);
	if (!is_tcp(p) || (p->flags & TCP_SYN))
		m->counters[p->flow.backend].unlearned++;
	return PERCH_R_UNLEARNED;
}

static int carry_out(struct model *m, struct seen *p)
{
	struct perch_counters *c = &m->counters[p->flow.backend];
	int reason;

	if (p->answer)
		return p->at.set ? end(m, p) : PERCH_R_STABLE_DOWN;
	if (p->at.set) {
		if (p->later)
			pieces_follow(m, p);
		else
			states_follow(m, p);
		reason = p->reply ? PERCH_R_REPLY : PERCH_R_FORWARDED;
	} else {
		reason = begin(m, p);
	}
	c->packets += p->segments;
	c->bytes += p->length;
	if (reason == PERCH_R_NEW || p->first)
		pieces_expect(m, p);
	return reason;
}

static void leave(struct model *m, const struct seen *p, int reason)
{
	struct model_outcome *o = &m->outcome;
	bool egress = m->run->hook == PERCH_HOOK_TC_OUT;

	o->rewritten = true;
	if (p->answer) {
		o->verdict = egress ? MODEL_DROP : MODEL_SEND;
		if (!egress)
			write_answer(m, p);
		return;
	}
	/* the super-packets of a test run are of no kind, and the kernel makes no
	 * room in such */
	if (perch_tunnels(p->forward) && m->run->gso_size && !hop_up(p->via)) {
		count(m, PERCH_R_REWRITE_FAILED);
		o->verdict = MODEL_DROP;
		return;
	}
	o->verdict = egress || hop_up(p->via) ? MODEL_PASS : MODEL_SEND;
	/* where nothing is translated, neither is a quote */
	if (reason == PERCH_R_ICMP && !perch_one_sided(p->forward))
		write_error(m, p);
	else
		write_packet(m, p);
}

static void settle(struct model *m, const struct seen *p, int reason)
{
	struct model_outcome *o = &m->outcome;

	count(m, reason);
	o->last = reason;
	o->backend = p->flow.backend < MODEL_BACKENDS ? p->flow.backend : 0;
	switch (reason) {
	case PERCH_R_FORWARDED:
	case PERCH_R_NEW:
	case PERCH_R_UNLEARNED:
	case PERCH_R_REPLY:
	case PERCH_R_ICMP:
	case PERCH_R_SEVERED:
	case PERCH_R_STABLE_DOWN:
		o->out = &m->out;
		leave(m, p, reason);
		return;
	case PERCH_R_UNPACKED:
		o->out = &m->out;
		o->rewritten = true;
		return;
	case PERCH_R_TOO_BIG_TOLD:
		o->out = &m->out;
		o->rewritten = true;
		o->verdict = MODEL_SEND;
		return;
	case PERCH_R_SEVERED_DROP:
	case PERCH_R_STABLE_DOWN_DROP:
	case PERCH_R_TOO_BIG_DROP:
		o->verdict = MODEL_DROP;
		return;
	default:
		o->verdict = MODEL_PASS;
	}
}

/* Nobody is there, to a SYN whose number the error knows: the connect failed. */
static void refuse(struct model *m, struct seen *p)
{
	__u32 had = p->flow.flags;

	if (!p->refuses || !p->reply || !is_tcp(p) || p->class != PERCH_EMBRYONIC)
		return;
	if (p->seq + 1 != p->flow.client_next || (had & (PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED)))
		return;
	table_touch(m, p->at, PERCH_CLOSING);
	if (p->alias.set)
		table_touch_alias(m, p->alias, PERCH_CLOSING);
	slot_flow(p->at)->flags |= PERCH_FLOW_RESET;
	if (!(had & PERCH_FLOW_RESET))
		witness_failed(m, &p->flow);
}

/* An ICMP error goes where the answer to what it quotes would go.  It enters
 * nothing and ends nothing, and the end of a connection is not its business. */
static int step_error(struct model *m, struct seen *p)
{
	int r = quote_read(m, p);

	if (r == UNDERSTOOD) {
		r = find(m, p);
		if (r == PERCH_R_SEVERED_DROP || r == PERCH_R_STABLE_DOWN_DROP || (r == ON && p->answer))
			r = PERCH_R_NOT_OURS;
		if (r == ON)
			r = hop_way(m, p);
	}
	if (r != ON)
		return quote_tunnel(m, p, r);
	refuse(m, p);
	return PERCH_R_ICMP;
}

static int step_packet(struct model *m, struct seen *p, int r)
{
	if (r == UNDERSTOOD)
		r = find(m, p);
	if (r == ON)
		r = hop_find(m, p);
	if (r == PERCH_R_TOO_BIG)
		r = toobig_tell(m, p);
	return r == ON ? carry_out(m, p) : r;
}

const struct model_outcome *model_step(struct model *m, const struct model_run *run)
{
	struct seen p = { .service = PERCH_NO_SERVICE };
	int r;

	m->run = run;
	m->outcome = (struct model_outcome){ .out = run->in, .hook = run->hook };
	r = read_packet(m, &p);
	r = r == PERCH_R_PROTOCOL && read_is_icmp(&p) ? step_error(m, &p) : unpack(m, &p, step_packet(m, &p, r));
	settle(m, &p, r);
	return &m->outcome;
}

int model_open(struct model *m, const struct maps *maps)
{
	memset(m, 0, sizeof(*m));
	m->n_sets = maps->control->flow_sets;
	m->sets = calloc(m->n_sets, sizeof(*m->sets));
	if (!m->sets)
		return -ENOMEM;
	model_sync(m, maps);
#define X(class, seconds) m->timeout[class] = ((__u64)(seconds) * m->t.control.hz >> m->t.control.tick_shift) + 1;
	PERCH_TIMEOUTS(X)
#undef X
	m->timeout[PERCH_BUSY] = ~0u;
	return 0;
}

void model_close(struct model *m)
{
	free(m->sets);
}

void model_sync(struct model *m, const struct maps *maps)
{
	struct model_tables *t = &m->t;

	t->control = *maps->control;
	memcpy(t->listener, maps->listeners, sizeof(t->listener));
	memcpy(t->service, maps->services, sizeof(t->service));
	memcpy(t->split, maps->splits, sizeof(t->split));
	memcpy(t->version, maps->versions, sizeof(t->version));
	memcpy(t->backend, maps->backends, sizeof(t->backend));
	memcpy(t->device, maps->devices, sizeof(t->device));
	memcpy(t->observed, maps->observed, sizeof(t->observed));
	memcpy(t->mark, maps->marks, sizeof(t->mark));
	t->slices = maps->slices;
	t->filter = maps->filter;
}

void model_reset(struct model *m)
{
	memset(m->sets, 0, m->n_sets * sizeof(*m->sets));
	memset(m->counters, 0, sizeof(m->counters));
	memset(m->votes, 0, sizeof(m->votes));
	memset(m->locked, 0, sizeof(m->locked));
}

void model_age(struct model *m, __u32 ticks, __u64 ns)
{
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		__u64 *tag = &m->sets[i / PERCH_WAYS].tag[i % PERCH_WAYS];
		struct perch_flow *f = &m->sets[i / PERCH_WAYS].flow[i % PERCH_WAYS];

		if (!perch_tag_fingerprint(*tag))
			continue;
		*tag = (*tag & ~0xffffffull) | ((*tag - ticks) & 0xffffff);
		f->created -= ns;
		if (f->request_at)
			f->request_at = (f->request_at - (__u32)(ns >> 10)) | 1;
	}
}
