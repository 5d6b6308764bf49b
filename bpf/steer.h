/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Steering, the same for XDP and TC, in two halves.  steer_find only looks: is
 * there a good flow, else what would be chosen; it changes nothing, so that
 * XDP can still leave the packet to TC, unmodified and uncounted.
 * steer_commit (commit.h) carries it out: flow, evidence, counters.
 */
#ifndef PERCH_BPF_STEER_H
#define PERCH_BPF_STEER_H

#include "fragments.h"
#include "source.h"
#include "track.h"

/* Answers beside enum perch_reason. */
#define GO -1

/* Was p's flow ended?  Most are younger than what was ended last on this host,
 * and need no look at their version, which is a line of memory per service. */
static __always_inline bool steer_severed(const struct packet *p, u32 version)
{
	struct perch_control *c = element(control, 0);
	u64 created = p->flow.created;
	struct perch_version *v;

	if (p->flow.flags & PERCH_FLOW_SEVERED)
		return true;
	if (likely(c && created >= READ(c->severed)))
		return false;
	v = element(versions, version);
	if (!v || created < READ(v->sever_before))
		return true;
	return created < READ(v->drain_before) && bpf_ktime_get_ns() >= READ(v->drain_at);
}

/* A client that was told answers what its backend still sends by a RST: where
 * replies are not seen that is how the backend hears of the end. */
static __always_inline bool steer_last_word(const struct packet *p, const struct perch_backend *k)
{
	return perch_one_sided(k->forward) && (p->tcp & TCP_RST);
}

/* A SYN that is not the one the flow began with starts another connection,
 * unless this one is established: then the backend's challenge decides. */
static __always_inline bool steer_restarts(const struct packet *p)
{
	u32 class = perch_tag_class(p->tag);

	if (p->protocol != IPPROTO_TCP || (p->tcp & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	return class == PERCH_CLOSING || (class == PERCH_EMBRYONIC && p->seq + 1 != p->flow.client_next);
}

/* Next hop as cached, if it is of this route generation. */
static __always_inline u64 steer_via(u64 via)
{
	struct perch_control *c = element(control, 0);

	return c && perch_via_device(via) && perch_via_generation(via) == (c->route_generation & 0xff) ? via : 0;
}

/* Towards a backend: through the stack when it is on this host. */
static __always_inline u64 steer_towards(const struct perch_backend *k)
{
	return k->local ? VIA_UP : steer_via(READ(k->via));
}

/* Through the stack once is through the stack for good: its firewall would not
 * know again what went on without it.  Before both ends have spoken the way may
 * still change; a firewall may be why they have not. */
static __always_inline bool steer_keeps_up(const struct packet *p)
{
	u32 class = perch_tag_class(p->tag);

	return (p->flow.flags & PERCH_FLOW_UP) && class != PERCH_EMBRYONIC && class != PERCH_UDP_NEW &&
	       !perch_one_sided(p->forward);
}

/* What goes in front of a packet in a tunnel to k. */
static __always_inline u32 tunnel_overhead(const struct perch_backend *k)
{
	if (!perch_tunnels(k->forward))
		return 0;
	return (address_mapped(&k->address) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
	       (k->forward == PERCH_GUE ? sizeof(struct udphdr) : 0);
}

/* Do this backend's new flows get a source of this host?  One that is on this
 * host answers through it anyway, and its stack would take a packet from an
 * address of its own for a forged one. */
static __always_inline bool steer_full(const struct perch_backend *k)
{
	return k->forward == PERCH_FULLNAT && !k->local;
}

/* The source address that the backend sees: the flow's, or, for the route,
 * one that a new flow may get. */
static __always_inline void steer_source(struct packet *p)
{
	struct perch_sources *from = element(sources, p->service);
	u32 number = perch_flow_source(p->flow.flags);

	if (!from)
		return;
	if (!(p->flow.flags & PERCH_FLOW_FULLNAT))
		number = from->list[p->v6 & 1][0] & (PERCH_SOURCES - 1);
	p->client_address = from->address[number];
	p->both = 1;
}

static __always_inline void steer_aim(struct packet *p, const struct perch_backend *k)
{
	p->forward = k->forward;
	p->overhead = tunnel_overhead(k);
	p->path = READ(k->path);
	p->new_address = k->address;
	p->new_port = k->port ? k->port : p->destination_port;
	p->client_port = p->flow.translated;
	p->both = 0;
	if (unlikely((p->flow.flags & PERCH_FLOW_FULLNAT) || (!p->found && steer_full(k))))
		steer_source(p);
	p->via = steer_keeps_up(p) ? VIA_UP : steer_towards(k);
}

/* The entry in p is there: use it, end it, or decide anew (found stays 0). */
static __always_inline int steer_hit(struct packet *p)
{
	struct perch_counters *c = element(counters, p->flow.backend);
	struct perch_backend *k = element(backends, p->flow.backend);
	bool forward = p->way == WAY_FORWARD;

	if (c)		/* asked for while the backend's line is on its way */
		(void)READ(c->packets);

	if (!k)
		return PERCH_R_NOT_OURS;
	p->service = k->service;
	p->version = k->version;
	if (flow_expired(p->tag, p->now)) {
		p->replace = 1;
		return forward ? GO : PERCH_R_NOT_OUR_REPLY;
	}
	if (steer_severed(p, k->version) && !steer_last_word(p, k)) {
		if (p->protocol == IPPROTO_TCP && p->piece != PIECE_LATER &&
		    !(forward && (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN)) {
			p->found = 1;
			p->answer = 1;
			return GO;
		}
		p->replace = 1;
		return forward ? GO : PERCH_R_SEVERED_DROP;
	}
	if (forward && (k->state == PERCH_BACKEND_DOWN || k->state == PERCH_BACKEND_NONE || steer_restarts(p))) {
		p->replace = 1;
		return GO;
	}
	/* its request went through the stack, which is to see this one too */
	if (!forward && p->hook != PERCH_HOOK_TC_OUT && (p->flow.flags & PERCH_FLOW_UP))
		return PERCH_R_TURNED_LATER;
	p->found = 1;
	if (forward) {
		steer_aim(p, k);
		return GO;
	}
	struct perch_listener *l = element(listeners, p->flow.key.listener);

	if (!l)
		return PERCH_R_NOT_OUR_REPLY;
	p->new_address = l->address;
	p->new_port = p->flow.key.port;
	p->client_port = p->alias_tag ? p->flow.key.client_port : 0;
	if (unlikely(p->flow.flags & PERCH_FLOW_FULLNAT)) {
		p->client_address = p->flow.key.client;
		p->both = 1;
	}
	p->via = steer_via(p->flow.via);
	return GO;
}

/* Where p goes to: this port's listener, else that of every port; 0: nobody. */
static __always_inline u32 steer_listener(const struct packet *p)
{
	struct perch_endpoint at = { .address = p->destination, .port = p->destination_port, .protocol = p->protocol,
				      .fragments = p->piece == PIECE_LATER };
	u32 *id = bpf_map_lookup_elem(&addresses, &at);
	struct perch_control *c;

	if (id)
		return *id;
	c = element(control, 0);
	if (!c || !c->any_port)
		return 0;
	at.port = 0;
	id = bpf_map_lookup_elem(&addresses, &at);
	return id ? *id : 0;
}

/* Is p of a connection that this listener does not take?  GO: it is not. */
static __always_inline int steer_spares(const struct packet *p, const struct perch_listener *l)
{
	if (l->leaving)
		return PERCH_R_LEAVING;
	if (l->adopt_until && p->protocol == IPPROTO_TCP && !(p->tcp & TCP_SYN) && bpf_ktime_get_ns() < l->adopt_until)
		return PERCH_R_ADOPTED;
	return GO;
}

/* Nobody lives to take it: the client hears so, if it can. */
static __always_inline int steer_refuse(struct packet *p)
{
	if (p->protocol != IPPROTO_TCP || (p->tcp & TCP_RST) || p->piece == PIECE_LATER)
		return PERCH_R_STABLE_DOWN_DROP;
	p->answer = 1;
	return GO;
}

/* A new flow's entry, as it goes into the table. */
static __always_inline void steer_entry(struct packet *p, u32 listener)
{
	bool tcp = p->protocol == IPPROTO_TCP;

	p->flow.key.listener = listener;
	p->flow.key.port = p->destination_port;
	p->flow.key.alias = 0;
	p->flow.translated = 0;
	p->flow.via = 0;
	p->flow.client_next = !tcp ? 0 : p->tcp & TCP_SYN ? p->seq + 1 : track_end(p);
	p->flow.backend_next = 0;
	p->flow.request_at = p->payload ? p->flow.created >> 10 | 1 : 0;
	p->flow.flags = p->votes ? PERCH_FLOW_VOTES : 0;
	if (tcp && !(p->tcp & TCP_SYN))
		p->flow.flags |= PERCH_FLOW_UNANSWERED;	/* no connect to vote on */
}

/* No good flow: a listener's packet gets its backend by pick. */
static __always_inline int steer_miss(struct packet *p)
{
	u32 id = steer_listener(p);
	struct perch_listener *l = id ? element(listeners, id) : NULL;
	struct perch_service *sv;
	struct perch_backend *k;
	int r;

	if (!l || !l->in_use)
		return PERCH_R_NO_LISTENER;
	r = steer_spares(p, l);
	if (r != GO)
		return r;
	p->service = l->service;
	sv = element(services, p->service);
	/* before the split word is read: what a word chose that was then rolled
	 * back is older than the sever that follows */
	p->flow.created = bpf_ktime_get_ns();
	if (!sv)
		return PERCH_R_NO_BACKEND;
	if (!pick(p, l, sv))
		return steer_refuse(p);
	k = element(backends, p->flow.backend);
	if (!k)
		return PERCH_R_NO_BACKEND;
	steer_entry(p, id);
	steer_aim(p, k);
	return GO;
}

static __always_inline void steer_key(struct packet *p, const struct perch_address *client, __be16 port)
{
	p->flow.key.client = *client;
	p->flow.key.client_port = port;
	p->flow.key.port = p->destination_port;
	p->flow.key.protocol = p->protocol | (p->piece == PIECE_LATER ? PERCH_KEY_FRAGMENTS : 0);
	p->flow.key.alias = 0;
}

/* A reply's flow: found by what the backend knows of the client. */
static __always_inline int steer_reply(struct packet *p)
{
	p->way = WAY_REPLY;
	p->replace = 0;
	steer_key(p, &p->destination, p->destination_port);
	flow_place(p);
	if (!flow_find(p))
		return PERCH_R_NOT_OUR_REPLY;
	if (unlikely(p->flow.key.alias) && !flow_follow(p))
		return PERCH_R_NOT_OUR_REPLY;
	return steer_hit(p);
}

/* Is p a reply to a source of fullnat?  Then it is its flow's and nobody
 * else's, even where a listener has every port of that address.
 * PERCH_R_NOT_OURS: it is none. */
GLOBAL int steer_reply_source(struct packet *p)
{
	if (!p)
		return PERCH_R_NOT_OURS;
	p->way = WAY_REPLY;
	steer_key(p, &p->destination, p->destination_port);
	source_place(p, &p->source, p->source_port);
	if (flow_find(p) && p->flow.key.alias == PERCH_ALIAS_SOURCE && flow_follow(p))
		return steer_hit(p);
	p->alias_tag = 0;
	return PERCH_R_NOT_OURS;
}

/* GO, or the reason to let the packet pass (or drop it, by its verdict). */
GLOBAL int steer_find(struct packet *p)
{
	int r = PERCH_R_NOT_OURS;
	bool turned;

	if (!p)
		return r;
	p->now = tick_now();
	p->found = p->replace = p->answer = p->votes = p->moved = p->both = p->closed = p->responds = 0;
	p->via = 0;
	p->forward = PERCH_NAT;
	p->overhead = p->shrinks = 0;
	p->path = 0;
	p->alias_tag = 0;
	if (p->from_backend && source_maybe(&p->destination))
		r = steer_reply_source(p);
	turned = r != PERCH_R_NOT_OURS;
	if (!turned && p->to_listener && p->hook != PERCH_HOOK_TC_OUT) {
		p->way = WAY_FORWARD;
		steer_key(p, &p->source, p->source_port);
		flow_place(p);
		r = flow_find(p) ? steer_hit(p) : GO;
		if (r == GO && !p->found)
			r = steer_miss(p);
	}
	if (!turned && r != GO && p->from_backend)
		r = steer_reply(p);
	if (unlikely(p->piece != PIECE_WHOLE))
		r = fragments_taken(p, r);
	if (r == GO && !p->answer && p->ttl <= 1 && p->hook != PERCH_HOOK_TC_OUT && !via_up(p->via))
		r = PERCH_R_TTL;
	return r;
}

#endif
