/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What steer_find said is carried out: a first packet's flow is entered, under
 * another source port or address where it needs one; one that is there is
 * followed, or ended.
 */
#ifndef PERCH_BPF_COMMIT_H
#define PERCH_BPF_COMMIT_H

#include "steer.h"

/* Tells the alias what its flow has come to. */
static __always_inline void steer_track_alias(struct packet *p)
{
	u32 class = perch_tag_class(p->tag);

	if (p->closed && (p->flow.flags & PERCH_FLOW_FULLNAT) && !p->alias_tag)
		source_release(p);
	else if (p->alias_tag && (p->closed || class == PERCH_CLOSING))
		flow_alias_touch(p, PERCH_CLOSING);
	else if (p->alias_tag)
		flow_alias_touch(p, class < PERCH_TCP ? PERCH_ALIAS_NEW : PERCH_ALIAS);
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
	if (p->closed)
		steer_track_alias(p);
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
	if (unlikely(track_crossed(p)))
		track_close(p);
	if (p->protocol != IPPROTO_TCP)
		track_udp(p);
	else if (p->way == WAY_FORWARD)
		track_tcp_forward(p);
	else
		track_tcp_reply(p);
	if (unlikely(p->closed))
		tally_end(p, false);
	if (unlikely(p->alias_tag || p->closed))
		steer_track_alias(p);
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
	if (p->both)
		steer_source(p);
	if (p->flow.backend == chosen && p->both == !!(p->flow.flags & PERCH_FLOW_FULLNAT))
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
		p->flow.key.alias = PERCH_ALIAS_PORT;
		flow_place(p);
		if (steer_insert(p, PERCH_ALIAS_NEW) == FLOW_INSERTED)
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

/* Fullnat: an alias comes first, under a source and port that no other flow has
 * towards this backend; then p's flow can enter with them. */
GLOBAL int steer_take_source(struct packet *p)
{
	u64 seen;
	int r;

	if (!p)
		return FLOW_RIVAL;
	seen = p->tag;		/* of what it replaces, if it does */
	p->spare = p->flow;
	p->lapsed.backend = 0;
	r = source_take(p);
	source_tell(p);
	p->alias_set = p->found_set;
	p->alias_way = p->found_way;
	p->alias_tag = r == FLOW_INSERTED ? p->tag : 0;
	p->client_port = p->flow.key.client_port;
	p->client_address = p->flow.key.client;
	p->flow = p->spare;
	p->flow.translated = p->client_port;
	p->flow.flags |= PERCH_FLOW_FULLNAT | PERCH_FLOW_SOURCE * (u32)(p->source_number & (PERCH_SOURCES - 1));
	p->tag = seen;
	flow_place(p);
	return r;
}

/* A flow that did not go in has no use for its alias. */
static __always_inline void steer_settle_source(struct packet *p, int r)
{
	if (r != FLOW_INSERTED && p->alias_tag)
		source_drop(p->alias_set, p->alias_way, p->alias_tag);
	p->alias_tag = 0;
}

/* Why a first packet's flow is not in the table. */
static __always_inline u32 steer_unlearned(int r)
{
	if (r == FLOW_BUSY)
		return PERCH_R_LOCK_BUSY;
	return r == FLOW_RIVAL ? PERCH_R_NO_ALIAS : PERCH_R_TABLE_FULL;
}

/* Without a source of its own nothing can come back to it.  The client tries
 * again, and ports are given back all the time. */
static __always_inline int steer_unlearned_full(const struct packet *p, int r)
{
	if (r != FLOW_RIVAL)
		reason_count(p->hook, steer_unlearned(r));
	event_send(r == FLOW_RIVAL ? PERCH_EVENT_NO_SOURCE : PERCH_EVENT_TABLE_FULL, p->service, p->flow.backend, 0,
		   &p->flow.key);
	return PERCH_R_NO_SOURCE;
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
	if (!c || (tcp && (p->tcp & TCP_RST)))	/* a RST begins nothing */
		return p->both ? PERCH_R_NOT_OURS : GO;
	p->flow.flags |= via_up(p->via) ? PERCH_FLOW_UP : 0;
	r = unlikely(p->both) ? steer_take_source(p) : FLOW_INSERTED;
	if (r == FLOW_INSERTED)
		r = steer_insert(p, tcp ? PERCH_EMBRYONIC : PERCH_UDP_NEW);
	if (unlikely(p->both))
		steer_settle_source(p, r);
	else if (unlikely(r == FLOW_RIVAL))
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
	if (p->both)
		return steer_unlearned_full(p, r);
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

/* A flow that is there, and its packet. */
static __always_inline void steer_known(struct packet *p)
{
	steer_way(p);
	steer_track(p);
}

static __always_inline void steer_count(struct packet *p)
{
	struct perch_backend *k = element(backends, p->flow.backend);

	if (k)
		evidence_packet(p, k);
}

/* What begins a flow, is answered, or is a piece. */
GLOBAL int steer_commit_other(struct packet *p)
{
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
	if (p->found)
		steer_known(p);
	if (r == GO)
		steer_count(p);
	if (r == GO && unlikely(p->reason == PERCH_R_NEW || p->piece == PIECE_FIRST))
		fragments_expect(p);
	return r;
}

/* GO with p->reason set, or the reason to let it pass or drop it after all.
 * The usual packet does without a call: 8 ns of 95; all of it inline would be
 * as fast, and too much for the verifier. */
static __always_inline int steer_commit(struct packet *p)
{
	if (unlikely(!p->found || p->answer || p->piece != PIECE_WHOLE))
		return steer_commit_other(p);
	steer_known(p);
	steer_count(p);
	return GO;
}

#endif
