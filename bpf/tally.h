/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tallies: what became of a connection, as votes of its version in the epoch in
 * which the hash chose it.  A connect votes at once; the rest when the
 * connection settles: as it ends, or 30 s after it began.
 */
#ifndef PERCH_BPF_TALLY_H
#define PERCH_BPF_TALLY_H

#include "hash.h"
#include "witness.h"

#define CAP_TRIES 3		/* CPUs that take from one word at once */
#define CAP_GROUPS (48 / PERCH_CAP_VOTES)

/* Does this connection vote in a comparison? */
static __always_inline bool tally_call(const struct perch_flow *f, struct witness *w)
{
	return witness_call(f, w) && w->votes && w->counts && w->observed->compares;
}

/* The cell of the flow's epoch, emptied if an older one has it; NULL when it
 * went to a newer one. */
static __always_inline struct perch_tally *tally_cell(const struct perch_flow *f, const struct witness *w)
{
	struct perch_tallies *t = element(tallies, w->id);
	struct perch_tally *cell;

	if (!t || f->epoch & 1)
		return NULL;
	cell = &t->cell[f->epoch / 2 % PERCH_EPOCHS];
	if (likely(cell->epoch == f->epoch))
		return cell;
	if (cell->epoch && (s32)(f->epoch - (u32)cell->epoch) < 0) {
		cell->late++;
		return NULL;
	}
	WRITE(cell->epoch, 0);
	barrier();
	for (u32 i = 1; i < sizeof(*cell) / 8; i++)
		WRITE(((u64 *)cell)[i], 0);	/* not a memset, which BPF has not */
	barrier();
	WRITE(cell->epoch, f->epoch);
	return cell;
}

/* Room in a word of the caps; `bits` are the votes that a caller may take. */
static __always_inline bool cap_take_of(u64 *word, u32 period, u64 bits)
{
	u64 was = READ(*word);

#pragma unroll
	for (int i = 0; i < CAP_TRIES; i++) {
		u64 used = (was >> 48) == period ? was & ~(0xffffull << 48) : 0, room = bits & ~used, got;

		if (!room)
			return false;
		got = __sync_val_compare_and_swap(word, was, (u64)period << 48 | used | (room & -room));
		if (got == was)
			return true;
		was = got;
	}
	return false;
}

static __always_inline u64 cap_hash(const struct perch_flow *f, u32 kind)
{
	return hash_mix(((u64)evidence_client(f) << 8 | kind) + constants.secret[2]);
}

/* May this client cast one more bad vote of this kind?  The version is not
 * asked, so that the cap takes from both alike. */
static __always_inline bool cap_take(const struct perch_flow *f, const struct witness *w, u32 kind)
{
	struct perch_caps *c = element(caps, w->id / PERCH_SLOTS);
	u64 h = cap_hash(f, kind);
	u32 bit = h >> 32 & 0xffff, period = w->observed->since_epoch & 0xffff;
	u64 bits;

	if (!c)
		return false;
	if (w->observed->once) {
		bits = 1ull << bit % 48;
	} else {
		bits = ((1ull << PERCH_CAP_VOTES) - 1) << bit % CAP_GROUPS * PERCH_CAP_VOTES;
		period = bpf_ktime_get_ns() / PERCH_CAP_NS & 0xffff;
	}
	return cap_take_of(&c->word[h & (PERCH_CAP_WORDS - 1)], period, bits);
}

/* A bad vote of the canary's was taken: whose is it? */
static __always_inline void tally_blame(const struct perch_flow *f, const struct witness *w, u32 kind)
{
	struct perch_blame *b = w->slot == w->observed->canary ? element(blame, w->id / PERCH_SLOTS) : NULL;

	if (b && kind < PERCH_BLAME_KINDS)
		__sync_fetch_and_add(&b->bad[f->backend & (PERCH_BLAMED - 1)][kind], 1);
}

GLOBAL int tally_outcome(struct perch_flow *f, u32 outcome, bool bad)
{
	struct perch_tally *cell;
	struct witness w;

	if (!f || outcome >= PERCH_OUTCOMES || !tally_call(f, &w))
		return 0;
	cell = tally_cell(f, &w);
	if (!cell)
		return 0;
	cell->outcome[outcome].decided++;
	if (bad && cap_take(f, &w, outcome)) {
		cell->outcome[outcome].bad++;
		tally_blame(f, &w, outcome);
	} else if (bad)
		cell->outcome[outcome].capped++;
	return 0;
}

/* A connection is there, whatever becomes of it: was its client before? */
GLOBAL int tally_came(struct perch_flow *f)
{
	struct perch_tally *cell;
	struct perch_caps *c;
	struct witness w;
	u64 h;

	if (!f || !tally_call(f, &w))
		return 0;
	cell = tally_cell(f, &w);
	c = element(caps, w.id / PERCH_SLOTS);
	if (!cell || !c)
		return 0;
	h = cap_hash(f, PERCH_OUTCOMES + PERCH_WAITS);
	if (cap_take_of(&c->client[h & (PERCH_CLIENT_WORDS - 1)], w.observed->since_epoch & 0xffff,
			1ull << (h >> 32 & 0xffff) % 48))
		cell->clients++;
	return 0;
}

/* May one more long wait vote in this moment? */
static __always_inline bool stall_take(u64 *last, u64 moment)
{
	u64 was = READ(*last);

	return was != moment && __sync_val_compare_and_swap(last, was, moment) == was;
}

/* Where a client's waits count once, its first one does, long or short. */
GLOBAL int tally_wait(struct perch_flow *f, u32 wait, u32 bucket)
{
	u64 moment = bpf_ktime_get_ns() / PERCH_STALL_NS;
	struct perch_tally *cell;
	struct perch_caps *c;
	struct witness w;
	bool above = false;
	const u8 *edge;

	if (!f || wait >= PERCH_WAITS || !tally_call(f, &w))
		return 0;
	cell = tally_cell(f, &w);
	c = element(caps, w.id / PERCH_SLOTS);
	if (!cell || !c || (w.observed->once && !cap_take(f, &w, PERCH_OUTCOMES + wait)))
		return 0;
	cell->wait[wait].n++;
	edge = w.observed->edge[w.slot == w.observed->canary][wait];
#pragma unroll
	for (u32 i = 0; i < PERCH_EDGES; i++)
		if (bucket > edge[i] && stall_take(&c->stall[wait][i], moment)) {
			cell->wait[wait].above[i]++;
			above = true;
		}
	if (above)
		tally_blame(f, &w, PERCH_OUTCOMES + wait);
	return 0;
}

/* How long the pending request has been one, as a bucket; 0: there is none. */
static __always_inline u32 tally_pending(const struct perch_flow *f)
{
	u32 since = f->request_at;

	return since ? perch_hist_bucket((u64)(u32)((u32)(bpf_ktime_get_ns() >> 10) - since) * 1024 / 1000) : 0;
}

/* The longest wait, into the histogram and, unless it has, the tally. */
static __always_inline void tally_longest(struct perch_flow *f, struct witness *w)
{
	u32 pending = tally_pending(f), longest = perch_flow_wait(f->flags);

	if (!f->request_at && !longest)
		return;
	longest = longest > pending ? longest - 1 : pending;
	if (longest < PERCH_HIST_BUCKETS)
		w->votes->longest_wait[longest]++;
	if (!(f->flags & PERCH_FLOW_WAITED))
		tally_wait(f, PERCH_WAIT_RESPONSE, longest);
}

/* An error of the server's has been told as it came. */
static __always_inline void tally_http(struct perch_flow *f)
{
	u32 worst = perch_flow_http(f->flags);

	if (!worst)
		return;
	tally_outcome(f, PERCH_HTTP_4XX, worst == PERCH_HTTP_CLIENT_ERROR);
	if (worst != PERCH_HTTP_SERVER_ERROR)
		tally_outcome(f, PERCH_HTTP_5XX, false);
}

/* Of a version's totals, whoever votes. */
static __always_inline void settle_count(const struct perch_flow *f, struct perch_votes *v)
{
	if (f->flags & PERCH_FLOW_AGAIN)
		v->retransmits++;
	if (f->request_at && !perch_flow_turned(f->flags))
		v->no_response++;
}

/* A connection settles; `f` says what has become of it. */
GLOBAL int tally_settle(struct perch_flow *f, bool reset)
{
	struct witness w;

	if (!f || !witness_call(f, &w) || !w.votes)
		return 0;
	if (f->key.protocol != IPPROTO_TCP) {
		tally_outcome(f, PERCH_UDP_NO_REPLY, !(f->flags & PERCH_FLOW_ANSWERED));
	} else {
		if (!(f->flags & PERCH_FLOW_ANSWERED))
			return 0;
		tally_outcome(f, PERCH_RESET, reset);
		tally_outcome(f, PERCH_RETRANSMITS, f->flags & PERCH_FLOW_AGAIN);
		if (f->request_at || perch_flow_turned(f->flags))
			tally_outcome(f, PERCH_NO_RESPONSE, !perch_flow_turned(f->flags));
		tally_http(f);
		settle_count(f, w.votes);
	}
	tally_longest(f, &w);
	witness_tell(&w);
	return 0;
}

/* Is its pending request one for longer than any edge? */
static __always_inline bool tally_overdue(const struct perch_flow *f, const struct witness *w)
{
	const u8 *edge = w->observed->edge[w->slot == w->observed->canary][PERCH_WAIT_RESPONSE];
	u32 pending = tally_pending(f);
	bool overdue = false;

#pragma unroll
	for (u32 i = 0; i < PERCH_EDGES; i++) {
		if (edge[i] == PERCH_NO_EDGE)
			continue;
		if (pending <= edge[i])
			return false;
		overdue = true;
	}
	return overdue;
}

/* A connection that is there still: it settles after a while, and one that
 * hangs says so at once. */
GLOBAL int tally_look(struct perch_flow *f)
{
	struct witness w;

	if (!f || !tally_call(f, &w))
		return 0;
	if (bpf_ktime_get_ns() - f->created >= PERCH_SETTLE_NS) {
		if (!(__sync_fetch_and_or(&f->flags, PERCH_FLOW_SETTLED) & PERCH_FLOW_SETTLED))
			tally_settle(f, false);
	} else if (!(f->flags & PERCH_FLOW_WAITED) && tally_overdue(f, &w) &&
		   !(__sync_fetch_and_or(&f->flags, PERCH_FLOW_WAITED) & PERCH_FLOW_WAITED)) {
		tally_wait(f, PERCH_WAIT_RESPONSE, PERCH_HIST_BUCKETS - 1);
		witness_tell(&w);
	}
	return 0;
}

/* A packet has ended its flow. */
GLOBAL int tally_end(struct packet *p, bool reset)
{
	struct perch_flow_set *fs = p ? element(flows, p->found_set) : NULL;
	struct perch_backend *k = p ? element(backends, p->flow.backend) : NULL;
	struct perch_flow *f;

	if (!fs || !k || !k->observed)
		return 0;
	f = &fs->flow[p->found_way & (PERCH_WAYS - 1)];
	p->flow.flags = __sync_fetch_and_or(&f->flags, PERCH_FLOW_SETTLED);
	p->flow.request_at = READ(f->request_at);
	if (!(p->flow.flags & PERCH_FLOW_SETTLED))
		tally_settle(&p->flow, reset);
	return 0;
}

#endif
