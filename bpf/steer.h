/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Steering, the same for XDP and TC, in two halves.  steer_find only looks: is
 * there a good flow, else what would be chosen; it changes nothing, so that
 * XDP can still leave the packet to TC, unmodified and uncounted.
 * steer_commit carries it out: flow, evidence, counters.
 */
#ifndef PERCH_BPF_STEER_H
#define PERCH_BPF_STEER_H

#include "enter.h"
#include "fragments.h"
#include "track.h"

/* Answers beside enum perch_reason. */
#define GO -1

static __always_inline bool steer_severed(const struct packet *p, const struct perch_version *v)
{
	u64 created = p->flow.created;

	if (created < READ(v->sever_before) || (p->flow.flags & PERCH_FLOW_SEVERED))
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

static __always_inline void steer_aim(struct packet *p, const struct perch_backend *k)
{
	p->forward = k->forward;
	p->overhead = tunnel_overhead(k);
	p->new_address = k->address;
	p->new_port = k->port ? k->port : p->destination_port;
	p->client_port = p->flow.translated;
	p->via = steer_keeps_up(p) ? VIA_UP : steer_towards(k);
}

/* The entry in p is there: use it, end it, or decide anew (found stays 0). */
static __always_inline int steer_hit(struct packet *p)
{
	struct perch_backend *k = element(backends, p->flow.backend);
	struct perch_version *v = k ? element(versions, k->version) : NULL;
	bool forward = p->way == WAY_FORWARD;

	if (!k || !v)
		return PERCH_R_NOT_OURS;
	p->service = k->service;
	p->version = k->version;
	if (flow_expired(p->tag, p->now)) {
		p->replace = 1;
		return forward ? GO : PERCH_R_NOT_OUR_REPLY;
	}
	if (steer_severed(p, v) && !steer_last_word(p, k)) {
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
		p->flow.flags |= PERCH_FLOW_MIDSTREAM;
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
	flow_place(p);
}

/* A reply's flow: found by what the backend knows of the client. */
static __always_inline int steer_reply(struct packet *p)
{
	p->way = WAY_REPLY;
	p->replace = 0;
	steer_key(p, &p->destination, p->destination_port);
	if (!flow_find(p))
		return PERCH_R_NOT_OUR_REPLY;
	if (unlikely(p->flow.key.alias) && !flow_follow(p))
		return PERCH_R_NOT_OUR_REPLY;
	return steer_hit(p);
}

/* GO, or the reason to let the packet pass (or drop it, by its verdict). */
GLOBAL int steer_find(struct packet *p)
{
	int r = PERCH_R_NOT_OURS;

	if (!p)
		return r;
	p->now = tick_now();
	p->found = p->replace = p->answer = p->votes = p->moved = 0;
	p->via = 0;
	p->forward = PERCH_NAT;
	p->overhead = p->shrinks = 0;
	p->alias_tag = 0;
	if (p->to_listener && p->hook != PERCH_HOOK_TC_OUT) {
		p->way = WAY_FORWARD;
		steer_key(p, &p->source, p->source_port);
		r = flow_find(p) ? steer_hit(p) : GO;
		if (r == GO && !p->found)
			r = steer_miss(p);
	}
	if (r != GO && p->from_backend)
		r = steer_reply(p);
	if (unlikely(p->piece != PIECE_WHOLE))
		r = fragments_taken(p, r);
	if (r == GO && !p->answer && p->ttl <= 1 && p->hook != PERCH_HOOK_TC_OUT && !via_up(p->via))
		r = PERCH_R_TTL;
	return r;
}

/* The sender of a severed flow is told; the flow is over.  The other end may
 * be waiting for what becomes the answer here: it is left to user space, and
 * so is a sender on this host. */
static __always_inline int steer_end(struct packet *p)
{
	u32 told = p->way == WAY_FORWARD ? PERCH_FLOW_TOLD_CLIENT : PERCH_FLOW_TOLD_BACKEND;
	bool changed;
	struct perch_flow *f = flow_touch(p, PERCH_CLOSING, &changed);

	if (p->hook == PERCH_HOOK_TC_OUT)
		told = 0;
	if (f)
		track_flag(f, p->flow.flags, PERCH_FLOW_SEVERED | told);
	if (p->tcp & TCP_RST)
		return PERCH_R_SEVERED_DROP;	/* a RST is never answered */
	p->reason = PERCH_R_SEVERED;
	return GO;
}

static __always_inline void steer_track(struct packet *p)
{
	if (unlikely(p->piece == PIECE_LATER)) {
		fragments_track(p);
		return;
	}
	if (perch_one_sided(p->forward)) {
		track_one_sided(p);
		p->reason = PERCH_R_FORWARDED;
		return;
	}
	if (unlikely(p->alias_tag))
		flow_alias_touch(p, perch_tag_class(p->tag) == PERCH_CLOSING ? PERCH_CLOSING : PERCH_ALIAS);
	if (unlikely(track_crossed(p)))
		track_close(p);
	if (p->protocol != IPPROTO_TCP)
		track_udp(p);
	else if (p->way == WAY_FORWARD)
		track_tcp_forward(p);
	else
		track_tcp_reply(p);
	p->reason = p->way == WAY_FORWARD ? PERCH_R_FORWARDED : PERCH_R_REPLY;
}

/* Somebody else entered this flow first: theirs is the one, and now found.
 * Mostly it leads to the backend that was chosen here too. */
static __always_inline int steer_late(struct packet *p, u16 chosen)
{
	struct perch_backend *k = element(backends, p->flow.backend);

	if (!k)
		return PERCH_R_NO_BACKEND;
	p->found = 1;
	p->client_port = p->flow.translated;
	if (p->flow.backend == chosen)
		return GO;
	p->moved = 1;
	p->version = k->version;
	steer_aim(p, k);
	if (p->via || p->hook != PERCH_HOOK_XDP)
		return GO;
	p->found = 0;		/* nothing is to be tracked here */
	return PERCH_R_RACE;
}

/* Enter p's flow; the unanswered connect whose slot it took is told. */
static __always_inline int steer_insert(struct packet *p, u32 class)
{
	int r;

	p->lapsed.backend = 0;
	r = flow_insert(p, class);
	if (unlikely(p->lapsed.backend))
		evidence_connect_failed(&p->lapsed);
	return r;
}

#define ALIAS_TRIES 8
#define ALIAS_PORT_MIN 1024

/* Enter an alias for the flow in spare, under some port that the client does
 * not use there. */
static __always_inline bool steer_alias(struct packet *p)
{
#pragma unroll
	for (int i = 0; i < ALIAS_TRIES; i++) {
		u16 port = ALIAS_PORT_MIN + bpf_get_prandom_u32() % (65536 - ALIAS_PORT_MIN);

		p->flow = p->spare;
		p->flow.translated = p->spare.key.client_port;
		p->flow.key.client_port = bpf_htons(port);
		p->flow.key.alias = 1;
		flow_place(p);
		if (steer_insert(p, PERCH_ALIAS) == FLOW_INSERTED)
			return true;
	}
	return false;
}

/* The client's port is in use towards this backend, by way of another
 * listener: there it gets another one, and an alias leads replies back. */
GLOBAL int steer_insert_aliased(struct packet *p, u32 class)
{
	bool there;
	int r = FLOW_RIVAL;
	u64 seen;

	if (!p)
		return r;
	p->spare = p->flow;
	p->alias_tag = p->tag;	/* of what it replaces, if it does */
	there = steer_alias(p);
	p->alias_set = p->found_set;
	p->alias_way = p->found_way;
	seen = p->alias_tag;
	p->alias_tag = there ? p->tag : 0;
	p->tag = seen;
	p->spare.translated = p->flow.key.client_port;
	p->flow = p->spare;
	flow_place(p);
	if (!there)
		return r;
	r = steer_insert(p, class);
	if (r == FLOW_INSERTED) {
		p->client_port = p->flow.translated;
		reason_count(p->hook, PERCH_R_ALIASED);
	} else {
		flow_alias_touch(p, PERCH_CLOSING);
	}
	p->alias_tag = 0;
	return r;
}

/* Why a first packet's flow is not in the table. */
static __always_inline u32 steer_unlearned(int r)
{
	if (r == FLOW_BUSY)
		return PERCH_R_LOCK_BUSY;
	return r == FLOW_RIVAL ? PERCH_R_NO_ALIAS : PERCH_R_TABLE_FULL;
}

/* A first packet: enter it, or forward it by the hash alone. */
static __always_inline int steer_enter(struct packet *p)
{
	struct perch_counters *c = element(counters, p->flow.backend);
	bool tcp = p->protocol == IPPROTO_TCP;
	u16 chosen = p->flow.backend;
	int r;

	p->reason = PERCH_R_UNLEARNED;
	if (unlikely(p->piece == PIECE_LATER))
		return GO;	/* without ports it begins nothing */
	if (p->notes)
		pick_tell(p);
	if (!c || (tcp && (p->tcp & TCP_RST)))
		return GO;	/* a RST begins nothing */
	p->flow.flags |= via_up(p->via) ? PERCH_FLOW_UP : 0;
	r = steer_insert(p, tcp ? PERCH_EMBRYONIC : PERCH_UDP_NEW);
	if (unlikely(r == FLOW_RIVAL))
		r = steer_insert_aliased(p, tcp ? PERCH_EMBRYONIC : PERCH_UDP_NEW);
	if (r == FLOW_LATE)
		return steer_late(p, chosen);
	if (r == FLOW_INSERTED) {
		c->opened++;
		if (!tcp)
			evidence_udp_began(&p->flow);
		p->reason = PERCH_R_NEW;
		return GO;
	}
	reason_count(p->hook, steer_unlearned(r));
	if (!tcp || (p->tcp & TCP_SYN)) {
		c->unlearned++;
		event_send(PERCH_EVENT_TABLE_FULL, p->service, p->flow.backend, 0, &p->flow.key);
	}
	return GO;
}

/* A packet that is there takes its flow along. */
static __always_inline void steer_way(const struct packet *p)
{
	struct perch_flow_set *fs = element(flows, p->found_set);
	u32 up = via_up(p->via) ? PERCH_FLOW_UP : 0, *flags;

	if (p->way != WAY_FORWARD || (p->flow.flags & PERCH_FLOW_UP) == up || !fs)
		return;
	flags = &fs->flow[p->found_way & (PERCH_WAYS - 1)].flags;
	if (up)
		__sync_fetch_and_or(flags, PERCH_FLOW_UP);
	else
		__sync_fetch_and_and(flags, ~PERCH_FLOW_UP);
}

/* GO with p->reason set, or the reason to let it pass or drop it after all. */
GLOBAL int steer_commit(struct packet *p)
{
	struct perch_backend *k;
	int r = GO;

	if (!p)
		return PERCH_R_NOT_OURS;
	if (p->answer && !p->found) {
		p->reason = PERCH_R_STABLE_DOWN;
		return GO;
	}
	if (p->answer)
		return steer_end(p);
	if (!p->found)
		r = steer_enter(p);
	if (p->found) {
		steer_way(p);
		steer_track(p);
	}
	k = element(backends, p->flow.backend);
	if (r == GO && k)
		evidence_packet(p, k);
	if (r == GO && unlikely(p->reason == PERCH_R_NEW || p->piece == PIECE_FIRST))
		fragments_expect(p);
	return r;
}

#endif
