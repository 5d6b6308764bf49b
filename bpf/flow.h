/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The flow table: set-associative, eight ways, two choices, a line of tags
 * beside the entries.  Place and fingerprint come from the client's tuple
 * alone, so a reply is found by one probe too: same client, and the entry
 * names the backend it came from.
 *
 * Read: tag, key, copy, then fingerprint and generation again.  Insert (see
 * enter.h): under the lock of the tuple's stripe look again, take a victim's
 * tag to BUSY with generation + 1 by compare-and-swap, write all 64 bytes,
 * publish the tag by exchange.  Change: the tag first, by compare-and-swap, so that the slot is
 * fresh and nobody's victim while fields are written.  Whoever wins a swap
 * counts what it means.  Live established entries never give way.
 */
#ifndef PERCH_BPF_FLOW_H
#define PERCH_BPF_FLOW_H

#include "hash.h"
#include "maps.h"

#define FLOW_AHEAD 0xff0000	/* ages beyond this come from a clock ahead of ours */

enum { FLOW_MISS, FLOW_HIT, FLOW_MOVED, FLOW_MANY };

static __always_inline u64 flow_age(u64 now, u64 tick)
{
	u64 age = (now - tick) & 0xffffff;

	return age & (0 - ((age - FLOW_AHEAD) >> 63));
}

static __always_inline bool flow_expired(u64 tag, u32 now)
{
	return flow_age(now, perch_tag_tick(tag)) > constants.timeout[perch_tag_class(tag)];
}

static __always_inline void flow_place_by(struct packet *p, u64 h)
{
	p->set[0] = h & constants.set_mask;
	p->set[1] = h >> 18 & constants.set_mask;
	if (p->set[1] == p->set[0])
		p->set[1] ^= 1;
	p->fingerprint = h >> 40 | 1;
	p->stripe = h >> 32 & (PERCH_STRIPES - 1);
}

static __always_inline void flow_place(struct packet *p)
{
	flow_place_by(p, hash_tuple(&p->flow.key.client, p->flow.key.client_port, p->flow.key.protocol));
}

/* Low byte: sum of (way + 1) of the matches; above: their number. */
static __always_inline u32 flow_match(const u64 *tag, u32 fingerprint)
{
	u64 w = 0;

#pragma unroll
	for (int i = 0; i < PERCH_WAYS; i++) {
		u64 x = (READ(tag[i]) >> 40) ^ fingerprint;

		x = (x - 1) >> 63;
		opaque(x);
		w += x * (256 + i + 1);
	}
	return w;
}

/* Is the entry this packet's?  Forward: its listener is where the packet goes
 * to.  Reply: its backend is where the packet comes from, and its client's
 * port is the one the backend knows: where that was translated, the alias has
 * it. */
static __always_inline bool flow_names(const struct perch_flow *f, const struct packet *p)
{
	const u64 *a = (const void *)&f->key, *b = (const void *)&p->flow.key;
	u64 mask = p->way == WAY_FORWARD ? ~(0xffffull << 32) : 0x00ff00000000ffffull;

	if ((READ(a[0]) ^ b[0]) | (READ(a[1]) ^ b[1]) | ((READ(a[2]) ^ b[2]) & mask))
		return false;
	if (p->way == WAY_FORWARD) {
		struct perch_listener *l = element(listeners, READ(f->key.listener));

		return l && address_equal(&l->address, &p->destination);
	} else {
		struct perch_backend *k = element(backends, READ(f->backend));
		__be16 port;

		if (!k || !address_equal(&k->address, &p->source) || (READ(f->translated) && !READ(f->key.alias)))
			return false;
		if (perch_one_sided(k->forward))
			return false;	/* its replies are the listener's; this is another connection */
		port = k->port;
		return (port ? port : READ(f->key.port)) == p->source_port || p->piece == PIECE_LATER;
	}
}

/* Is way `way` the entry?  FLOW_HIT notes where it is. */
static __always_inline int flow_try(struct perch_flow_set *fs, u32 set, u32 way, struct packet *p)
{
	u64 tag;

	way &= PERCH_WAYS - 1;
	tag = READ(fs->tag[way]);
	if (perch_tag_fingerprint(tag) != p->fingerprint)
		return FLOW_MOVED;
	barrier();
	if (!flow_names(&fs->flow[way], p))
		return FLOW_MISS;
	barrier();
	if ((READ(fs->tag[way]) ^ tag) & PERCH_TAG_IDENTITY)
		return FLOW_MOVED;
	p->found_set = set;
	p->found_way = way;
	p->tag = tag;
	return FLOW_HIT;
}

/* Copy the entry that was found: 1, or 0 when its slot changed hands. */
static __always_inline int flow_copy(struct packet *p)
{
	struct perch_flow_set *fs = element(flows, p->found_set);
	u32 way = p->found_way & (PERCH_WAYS - 1);
	u64 *from, *to = (u64 *)&p->flow;

	if (!fs)
		return 0;
	from = (u64 *)&fs->flow[way];
#pragma unroll
	for (int i = 2; i < 8; i++)	/* the client we know */
		to[i] = READ(from[i]);
	barrier();
	return !((READ(fs->tag[way]) ^ p->tag) & PERCH_TAG_IDENTITY);
}

static __always_inline int flow_find_in(u32 set, struct packet *p)
{
	struct perch_flow_set *fs = element(flows, set);
	u32 m;

	if (!fs)
		return FLOW_MISS;
	m = flow_match(fs->tag, p->fingerprint);
	if (!m)
		return FLOW_MISS;
	return m < 512 ? flow_try(fs, set, (m & 255) - 1, p) : FLOW_MANY;
}

struct flow_search {
	struct packet *p;
	int result;		/* FLOW_HIT: p says where */
	bool moved;
};

/* A client may use its port again for another listener of the same backend
 * while the old flow is still closing, or expired and not yet swept: a reply
 * is the living one's. */
static __always_inline bool flow_second_best(const struct packet *p)
{
	return p->way == WAY_REPLY && (perch_tag_class(p->tag) == PERCH_CLOSING || flow_expired(p->tag, p->now));
}

/* One way of one set; a round is all ways of both, the end of it asks for
 * another when something moved under us. */
static long flow_search_way(u32 i, struct flow_search *s)
{
	struct packet *p = s->p;
	u32 way = i % PERCH_WAYS, set = i / PERCH_WAYS & 1 ? p->set[1] : p->set[0];
	struct perch_flow_set *fs = element(flows, set);
	u64 tag;
	int r;

	if (!fs)
		return 1;
	if (i && i % (2 * PERCH_WAYS) == 0) {
		if (!s->moved)
			return 1;
		s->moved = false;
	}
	tag = READ(fs->tag[way]);
	if (perch_tag_fingerprint(tag) != p->fingerprint || (p->way == WAY_REPLY && flow_expired(tag, p->now)))
		return 0;
	if (s->result == FLOW_HIT && perch_tag_class(tag) == PERCH_CLOSING)
		return 0;	/* there is one as good */
	r = flow_try(fs, set, way, p);
	s->moved |= r == FLOW_MOVED;
	if (r != FLOW_HIT)
		return 0;
	s->result = FLOW_HIT;
	return !flow_second_best(p);
}

/* Slow and complete: every match of both lines, thrice if it moves.  1 and
 * where it is (not copied); 0: it is not there, nor is any other of this
 * fingerprint; -1: others are. */
GLOBAL int flow_seek(struct packet *p)
{
	struct flow_search s = { .p = p };
	struct perch_flow_set *a, *b;

	if (!p)
		return 0;
	a = element(flows, p->set[0]);
	b = element(flows, p->set[1]);
	if (!a || !b || !(flow_match(a->tag, p->fingerprint) | flow_match(b->tag, p->fingerprint)))
		return 0;
	bpf_loop(3 * 2 * PERCH_WAYS, flow_search_way, &s, 0);
	return s.result == FLOW_HIT ? 1 : -1;
}

/* The entry of p's client tuple on p's way, copied into p: 1 or 0. */
static __always_inline int flow_find(struct packet *p)
{
	int r = flow_find_in(p->set[0], p);

	if (r == FLOW_MISS)
		r = flow_find_in(p->set[1], p);
	if (r == FLOW_MISS)
		return 0;
	if (r == FLOW_HIT && !flow_second_best(p) && flow_copy(p))
		return 1;
	return flow_seek(p) > 0 && flow_copy(p);
}

/* The one entry with all of p's key. */
static long flow_follow_way(u32 i, struct flow_search *s)
{
	struct packet *p = s->p;
	u32 way = i % PERCH_WAYS, set = i / PERCH_WAYS & 1 ? p->set[1] : p->set[0];
	struct perch_flow_set *fs = element(flows, set);
	const u64 *a, *b = (const void *)&p->flow.key;
	u64 tag;

	if (!fs)
		return 1;
	tag = READ(fs->tag[way]);
	a = (const void *)&fs->flow[way].key;
	if (perch_tag_fingerprint(tag) != p->fingerprint || perch_tag_class(tag) == PERCH_BUSY)
		return 0;
	if ((READ(a[0]) ^ b[0]) | (READ(a[1]) ^ b[1]) | (READ(a[2]) ^ b[2]))
		return 0;
	p->found_set = set;
	p->found_way = way;
	p->tag = tag;
	s->result = FLOW_HIT;
	return 1;
}

/* From the alias in p to the flow it stands for, copied into p: 1 or 0, and
 * then that has ended, or has another port or source by now. */
GLOBAL int flow_follow(struct packet *p)
{
	struct flow_search s = { .p = p };
	__be16 port;
	u16 backend;
	u32 source;

	if (!p)
		return 0;
	source = perch_flow_source(p->flow.flags);
	port = p->flow.key.client_port;
	backend = p->flow.backend;
	p->alias_set = p->found_set;
	p->alias_way = p->found_way;
	p->alias_tag = p->tag;
	if (p->flow.key.alias == PERCH_ALIAS_SOURCE)
		p->flow.key.client = p->flow.owner;
	p->flow.key.client_port = p->flow.translated;
	p->flow.key.alias = PERCH_NO_ALIAS;
	flow_place(p);
	bpf_loop(2 * PERCH_WAYS, flow_follow_way, &s, 0);
	return s.result == FLOW_HIT && flow_copy(p) && p->flow.translated == port && p->flow.backend == backend &&
	       perch_flow_source(p->flow.flags) == source;
}

/* Last seen and class of the alias that p was found by or has just entered;
 * who comes in between has said as much. */
static __always_inline void flow_alias_touch(const struct packet *p, u32 class)
{
	struct perch_flow_set *fs = element(flows, p->alias_set);
	u64 want = (p->alias_tag & PERCH_TAG_IDENTITY) | (u64)class << 24 | p->now;

	if (fs && want != p->alias_tag)
		__sync_val_compare_and_swap(&fs->tag[p->alias_way & (PERCH_WAYS - 1)], p->alias_tag, want);
}

/* What a flow's end means to the counters of its backend. */
static __always_inline void flow_ended(u16 backend)
{
	struct perch_counters *c = element(counters, backend);
	struct perch_backend *k = element(backends, backend);

	if (c)
		c->ended++;
	if (k && !k->dirty)
		k->dirty = 1;
}

static __always_inline bool flow_counts(u32 class)
{
	return class != PERCH_FREE && class != PERCH_CLOSING && class != PERCH_ALIAS && class != PERCH_ALIAS_NEW &&
	       class != PERCH_FRAGMENTS && class != PERCH_BUSY;
}

/* Did a connect come to nothing, and nobody has counted it yet?  One SYN alone
 * may have been forged. */
static __always_inline bool flow_unanswered(u64 tag, u32 flags, u32 now)
{
	u32 all = PERCH_FLOW_RESYN | PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED;

	return perch_tag_class(tag) == PERCH_EMBRYONIC && (flags & all) == PERCH_FLOW_RESYN && flow_expired(tag, now);
}

/* The winner of a victim counts its end. */
static __always_inline void flow_take(struct perch_flow *f, u64 old)
{
	if (perch_tag_fingerprint(old) && flow_counts(perch_tag_class(old)))
		flow_ended(READ(f->backend));
}

/*
 * Last seen and class, in one compare-and-swap; nothing is written while both
 * are as they were.  Returns the entry, fresh and ours, or NULL when the slot
 * is no longer this flow's.  The winner of a change to CLOSING counts the end;
 * *changed says that this call won the change of class.
 */
static __always_inline struct perch_flow *flow_touch(struct packet *p, u32 class, bool *changed)
{
	struct perch_flow_set *fs = element(flows, p->found_set);
	u32 way = p->found_way & (PERCH_WAYS - 1);
	u64 tag = p->tag, *at;

	*changed = false;
	if (!fs)
		return NULL;
	at = &fs->tag[way];
#pragma unroll
	for (int i = 0; i < 3; i++) {
		u32 was = perch_tag_class(tag);
		/* a state never goes back: what another CPU has closed stays closed */
		u64 want = (tag & PERCH_TAG_IDENTITY) | (u64)(was > class || was == PERCH_CLOSING ? was : class) << 24 | p->now;
		u64 got;

		if (class == PERCH_CLOSING)
			want = (tag & PERCH_TAG_IDENTITY) | (u64)PERCH_CLOSING << 24 | p->now;
		if (want == tag)
			return &fs->flow[way];
		got = __sync_val_compare_and_swap(at, tag, want);
		if (got == tag) {
			*changed = perch_tag_class(want) != was;
			if (*changed && perch_tag_class(want) == PERCH_CLOSING) {
				flow_ended(p->flow.backend);
				p->closed = 1;
			}
			return &fs->flow[way];
		}
		if ((got ^ tag) & PERCH_TAG_IDENTITY)
			return NULL;
		tag = got;
	}
	return &fs->flow[way];
}

#endif
