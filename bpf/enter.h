/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a flow enters the table.  Under the lock of its tuple's stripe: somebody
 * else's entry for this key is the one; else a victim gives way, free, expired,
 * unproven or one-sided, in this order; live established entries never do.  A client's port that
 * another of its connections has in use towards the same backend is a rival's,
 * and the flow does not enter as it is.
 */
#ifndef PERCH_BPF_ENTER_H
#define PERCH_BPF_ENTER_H

#include "flow.h"

#define FLOW_REST 2		/* ticks that an entry without proof is safe */

enum { FLOW_FULL, FLOW_INSERTED, FLOW_LATE, FLOW_BUSY, FLOW_RIVAL };

/* Does an entry lead the address and port of p's key to p's backend? */
static __always_inline bool flow_leads(const struct perch_flow *f, const struct packet *p)
{
	const u64 *a = (const void *)&f->key, *b = (const void *)&p->flow.key;
	struct perch_backend *k;
	__be16 port;

	if ((READ(a[0]) ^ b[0]) | (READ(a[1]) ^ b[1]) | ((READ(a[2]) ^ b[2]) & 0x00ff00000000ffffull))
		return false;
	k = element(backends, READ(f->backend));
	if (!k || perch_one_sided(k->forward) || !address_equal(&k->address, &p->new_address))
		return false;
	port = k->port;
	return (port ? port : READ(f->key.port)) == p->new_port;
}

/* Does an entry lead another connection of p's client port to p's backend?
 * The backend would take the two for one. */
static __always_inline bool flow_rivals(const struct perch_flow *f, const struct packet *p)
{
	const u64 *a = (const void *)&f->key, *b = (const void *)&p->flow.key;

	if (READ(a[2]) == b[2] || (READ(f->translated) && !READ(f->key.alias)))
		return false;	/* itself, from before; or one with another port there */
	return flow_leads(f, p);
}

static long flow_rival_way(u32 i, struct flow_search *s)
{
	struct packet *p = s->p;
	u32 way = i % PERCH_WAYS, set = i / PERCH_WAYS & 1 ? p->set[1] : p->set[0];
	struct perch_flow_set *fs = element(flows, set);
	u64 tag;

	if (!fs)
		return 1;
	tag = READ(fs->tag[way]);
	if (perch_tag_fingerprint(tag) != p->fingerprint || perch_tag_class(tag) == PERCH_CLOSING ||
	    perch_tag_class(tag) == PERCH_BUSY || flow_expired(tag, p->now) || !flow_rivals(&fs->flow[way], p))
		return 0;
	s->result = FLOW_HIT;
	return 1;
}

/* Will the backend know p's flow by its key's client port?  One that gets it
 * with the listener's own address tells all listeners apart; of fragments there
 * is none. */
static __always_inline bool flow_claims(const struct packet *p)
{
	if (perch_one_sided(p->forward) || (p->flow.key.protocol & PERCH_KEY_FRAGMENTS))
		return false;
	return !p->flow.translated || p->flow.key.alias;
}

GLOBAL int flow_has_rival(struct packet *p)
{
	struct flow_search s = { .p = p };

	if (!p)
		return 0;
	bpf_loop(2 * PERCH_WAYS, flow_rival_way, &s, 0);
	return s.result == FLOW_HIT;
}

#define RANK_LAST 3

/* Smallest wins: free 0, expired 1, embryonic, new or closing 2 (oldest
 * first), one-sided RANK_LAST; the rest may not go.
 * {rank:32, 0xffffff - age:24, way:8}. */
static __always_inline u64 flow_victim(const u64 *tag, u32 now, u64 *empty)
{
	u64 best = ~0ull >> 1, e = 0;

#pragma unroll
	for (int i = 0; i < PERCH_WAYS; i++) {
		u64 t = READ(tag[i]), class = perch_tag_class(t), age = flow_age(now, perch_tag_tick(t));
		u64 free = (class - 1) >> 63;
		u64 expired = ((u64)constants.timeout[class & 15] - age) >> 63;
		u64 rank = 4 - 2 * ((class - PERCH_TCP) >> 63) - (((class ^ PERCH_ONE_SIDED) - 1) >> 63), score;
		s64 less, mask;

		e += free;
		rank ^= (rank ^ 1) & (0 - expired);
		rank &= free - 1;
		score = rank << 32 | (0xffffff - age) << 8 | i;
		less = (s64)(score - best);
		mask = less >> 63;
		opaque(mask);
		best += (u64)(less & mask);
	}
	*empty = e;
	return best;
}

/* A slot that may be taken. */
struct flow_slot {
	u64 tag;
	u32 set, way;
};

/* Put p's flow into a slot: 1, or 0 when its tag moved. */
static __always_inline int flow_fill(const struct flow_slot *at, struct packet *p, u32 class)
{
	struct perch_flow_set *fs = element(flows, at->set);
	u32 generation = perch_tag_generation(at->tag) + 1, way = at->way & (PERCH_WAYS - 1);
	u64 *from = (u64 *)&p->flow, *to;

	if (!fs)
		return 0;
	if (__sync_val_compare_and_swap(&fs->tag[way], at->tag, perch_tag(0, generation, PERCH_BUSY, p->now)) != at->tag)
		return 0;
	flow_take(&fs->flow[way], at->tag);
	if (unlikely(flow_unanswered(at->tag, fs->flow[way].flags, p->now)))
		p->lapsed = fs->flow[way];
	to = (u64 *)&fs->flow[way];
#pragma unroll
	for (int i = 0; i < 8; i++)
		WRITE(to[i], from[i]);
	p->tag = perch_tag(p->fingerprint, generation, class, p->now);
	__sync_lock_test_and_set(&fs->tag[way], p->tag);
	p->found_set = at->set;
	p->found_way = way;
	return 1;
}

/* The best victim of both sets: 1; 0: all must stay; -1: it moved, try again. */
static __always_inline int flow_choose(const struct packet *p, struct flow_slot *at)
{
	struct perch_flow_set *a = element(flows, p->set[0]), *b = element(flows, p->set[1]), *fs = a;
	u64 empty_a, empty_b, best, other;
	u32 rank, age;

	if (!a || !b)
		return 0;
	at->set = p->set[0];
	best = flow_victim(a->tag, p->now, &empty_a);
	if (empty_a < PERCH_WAYS / 2) {
		other = flow_victim(b->tag, p->now, &empty_b);
		if (empty_b > empty_a || (empty_b == empty_a && other >> 8 < best >> 8)) {
			best = other;
			at->set = p->set[1];
			fs = b;
		}
	}
	rank = best >> 32;
	age = 0xffffff - (best >> 8 & 0xffffff);
	if (rank > RANK_LAST || (rank > 1 && age < FLOW_REST))
		return 0;
	at->way = best & (PERCH_WAYS - 1);
	at->tag = READ(fs->tag[at->way]);
	if (perch_tag_class(at->tag) == PERCH_BUSY || flow_age(p->now, perch_tag_tick(at->tag)) != age)
		return -1;
	return 1;
}

/* Global, because its frame and flow_seek's would not fit on the stack. */
GLOBAL int flow_insert_new(struct packet *p, u32 class)
{
	struct flow_slot at;

	if (!p)
		return FLOW_FULL;
	for (int i = 0; i < 3; i++) {
		int r = flow_choose(p, &at);

		if (!r)
			return FLOW_FULL;
		if (r > 0 && flow_fill(&at, p, class))
			return FLOW_INSERTED;
	}
	return FLOW_FULL;
}

struct flow_spin {
	u32 *lock;
	u32 got;
};

static long flow_spin_once(u32 i, struct flow_spin *s)
{
	if (READ(*s->lock) == 0 && __sync_val_compare_and_swap(s->lock, 0, 1) == 0) {
		s->got = 1;
		return 1;
	}
	return 0;
}

static __always_inline bool flow_lock(struct perch_stripe *stripe)
{
	struct flow_spin spin = { .lock = &stripe->lock };

	if (__sync_val_compare_and_swap(&stripe->lock, 0, 1) == 0)
		return true;
	bpf_loop(1000, flow_spin_once, &spin, 0);
	return spin.got;
}

/* With the lock held: somebody's entry for this key is the one, unless it is
 * the one that p has seen and replaces, or it has expired. */
static __always_inline int flow_insert_locked(struct packet *p, u32 class)
{
	u64 seen = p->tag;
	struct flow_slot at;

	for (int i = 0; i < 3; i++) {
		int there = flow_seek(p);

		if (there < 0 && flow_claims(p) && flow_has_rival(p))
			return FLOW_RIVAL;
		if (there <= 0)
			return flow_insert_new(p, class);
		if (!flow_expired(p->tag, p->now) && !(p->replace && !((p->tag ^ seen) & PERCH_TAG_IDENTITY))) {
			if (flow_copy(p))
				return FLOW_LATE;
			continue;
		}
		if (flow_claims(p) && flow_has_rival(p))
			return FLOW_RIVAL;
		at = (struct flow_slot){ .tag = p->tag, .set = p->found_set, .way = p->found_way };
		if (flow_fill(&at, p, class))
			return FLOW_INSERTED;
	}
	return FLOW_FULL;
}

/* Enter p's flow; FLOW_LATE: another CPU's came first and is now in p. */
GLOBAL int flow_insert(struct packet *p, u32 class)
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
	r = flow_insert_locked(p, class);
	__sync_lock_test_and_set(&stripe->lock, 0);
	return r;
}

#endif
