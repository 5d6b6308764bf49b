/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Later fragments, which have no ports, follow their first.  Services that
 * take them choose by addresses alone, so that what comes before its first is
 * led where that one will be.  But a connection keeps its backend when the
 * choice has moved on; so every new connection, and every first fragment,
 * leaves an entry under its two addresses: {client, listener's address,
 * protocol} -> backend.  The last one to leave it is the one.  Both ways go by
 * it; it is nobody's connection, and gives way to whoever needs the slot.
 *
 * What this can't tell: two connections of one client that lead to different
 * backends (since a step of the split) while fragments overtake their firsts,
 * and two listeners' addresses in one client's fragmented replies from one
 * backend.
 */
#ifndef PERCH_BPF_FRAGMENTS_H
#define PERCH_BPF_FRAGMENTS_H

#include "enter.h"
#include "track.h"

/* The answer for a fragment of which steer_find says r: where its service is
 * known that one decides, and a later one has told us nothing else. */
static __always_inline int fragments_taken(const struct packet *p, int r)
{
	struct perch_service *sv = element(services, p->service);

	if (sv)
		return sv->fragments ? r : PERCH_R_FRAGMENT;
	return p->piece == PIECE_LATER ? PERCH_R_FRAGMENT : r;
}

/* A later fragment that went by its entry. */
static __always_inline void fragments_track(struct packet *p)
{
	bool changed;
	struct perch_flow *f = flow_touch(p, PERCH_FRAGMENTS, &changed);

	if (!f)
		reason_count(p->hook, PERCH_R_FOREIGN);
	else if (p->way == WAY_REPLY && p->via != p->flow.via)
		WRITE(f->via, p->via);
	p->reason = p->way == WAY_FORWARD ? PERCH_R_FORWARDED : PERCH_R_REPLY;
}

/* The address that p's client connects to. */
static __always_inline const struct perch_address *fragments_address(const struct packet *p)
{
	return p->way == WAY_REPLY ? &p->new_address : &p->destination;
}

/* p's flow becomes the entry for its fragments; 0: nobody takes them.  Global,
 * as what follows, because flow_insert needs the stack. */
GLOBAL int fragments_entry(struct packet *p)
{
	struct perch_service *sv = p ? element(services, p->service) : NULL;
	struct perch_endpoint at = { .fragments = 1 };
	u32 *id;

	if (!sv || !sv->fragments)
		return 0;
	at.address = *fragments_address(p);
	at.protocol = p->protocol;
	id = bpf_map_lookup_elem(&addresses, &at);
	if (!id || !*id)
		return 0;
	p->flow.key.client_port = p->flow.key.port = 0;
	p->flow.key.listener = *id;
	p->flow.key.protocol = p->protocol | PERCH_KEY_FRAGMENTS;
	p->flow.key.alias = 0;
	p->flow.translated = 0;
	p->flow.flags &= PERCH_FLOW_UP;
	p->flow.via = p->way == WAY_REPLY ? p->via : 0;
	flow_place(p);
	return 1;
}

/* Is the entry there, and what p would leave?  Then it lives on: 1.  0: what is
 * there is to be replaced, if anything is. */
GLOBAL int fragments_known(struct packet *p)
{
	struct flow_search s = { .p = p };
	struct perch_flow_set *fs;
	struct perch_flow *f;
	bool changed;

	if (!p)
		return 0;
	bpf_loop(2 * PERCH_WAYS, flow_follow_way, &s, 0);
	p->replace = s.result == FLOW_HIT;
	fs = element(flows, p->found_set);
	if (!p->replace || !fs)
		return 0;
	f = &fs->flow[p->found_way & (PERCH_WAYS - 1)];
	if (flow_expired(p->tag, p->now) || READ(f->backend) != p->flow.backend ||
	    (READ(f->flags) & PERCH_FLOW_UP) != p->flow.flags)
		return 0;
	f = flow_touch(p, PERCH_FRAGMENTS, &changed);
	if (f && READ(f->created) < p->flow.created)	/* not severed with those before */
		WRITE(f->created, p->flow.created);
	return f != NULL;
}

/* After a packet with ports: its later fragments, or those of its answer, are
 * to find the way.  p's flow is the entry afterwards. */
GLOBAL int fragments_expect(struct packet *p)
{
	u8 way;
	int r;

	if (!p || !fragments_entry(p) || fragments_known(p))
		return 0;
	/* to the table it is a packet of the client's */
	way = p->way;
	p->spare.key.client = p->destination;
	p->destination = *fragments_address(p);
	p->way = WAY_FORWARD;
	p->lapsed.backend = 0;
	r = flow_insert(p, PERCH_FRAGMENTS);
	if (unlikely(p->lapsed.backend))
		evidence_connect_failed(&p->lapsed);
	p->way = way;
	p->destination = p->spare.key.client;
	if (r == FLOW_FULL)
		reason_count(p->hook, PERCH_R_TABLE_FULL);
	return 0;
}

#endif
