/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The choice, in two levels with independent bits: which version (by the plan
 * that the split word names), then which of its backends (by its Maglev slice
 * for the packet's IP family).  Only packets without a good flow come here.
 */
#ifndef PERCH_BPF_PICK_H
#define PERCH_BPF_PICK_H

#include "hash.h"
#include "maps.h"

/* What a choice went by; told once it is carried out. */
enum pick_note {
	PICK_TORN = 1, PICK_AMBIGUOUS = 2, PICK_EMPTY = 4, PICK_PINNED = 8, PICK_RULED = 16, PICK_VOID = 32,
};

/* A whole copy of one plan, if it is the one of `epoch` before and after. */
static __always_inline bool plan_copy(struct perch_plan *from, u32 epoch, struct perch_plan *to)
{
	u64 *a = (u64 *)from, *b = (u64 *)to;

	if (READ(from->epoch) != epoch)
		return false;
	barrier();
#pragma unroll
	for (int i = 0; i < 8; i++)
		b[i] = READ(a[i]);
	barrier();
	return READ(from->epoch) == epoch;
}

/* The plan in force: the word and the plan it names. */
struct plan_now {
	u64 word;
	struct perch_plan plan;
};

/* 1, or 0 when it moved in four tries: then all goes where a rollback of the
 * plan seen last would send it. */
GLOBAL int plan_read(u32 service, struct plan_now *to)
{
	struct perch_split *s = element(splits, service);
	u32 index = 0;

	if (!s || !to)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		u64 word = READ(s->word);

		index = perch_word_plan(word) & (2 * PERCH_PAIRS - 1);
		to->word = word;
		if (plan_copy(&s->plan[index], perch_word_epoch(word), &to->plan))
			return 1;
	}
	to->plan.low_end = 0;
	to->plan.high_from = PERCH_SHARE_ALL;
	to->plan.rest = READ(s->plan[index | 1].rest);
	return 0;
}

/* Role of a slot.  By shifts: a stack slot can't be indexed by a variable. */
static __always_inline u32 plan_role(const struct perch_plan *plan, u32 slot)
{
	u64 low = *(const u32 *)plan->role, high = *(const u32 *)(plan->role + 4);

	return (high << 32 | low) >> (slot & (PERCH_SLOTS - 1)) * 8 & 0xff;
}

/* The plan before the one in `now`: its even sibling after a rollback, else
 * the one it was made from.  False when that has been overwritten. */
static __always_inline bool plan_before(struct perch_split *s, const struct plan_now *now, struct perch_plan *to)
{
	u32 epoch = perch_word_epoch(now->word), index = perch_word_plan(now->word);

	if (epoch & 1) {
		epoch--;
		index--;
	} else {
		epoch = perch_word_epoch(now->plan.from);
		index = perch_word_plan(now->plan.from);
	}
	return plan_copy(&s->plan[index & (2 * PERCH_PAIRS - 1)], epoch, to);
}

/* Slot of hash value v, 0 .. PERCH_SHARE_ALL - 1. */
static __always_inline u32 plan_slot(const struct perch_plan *plan, u32 v)
{
	if (v < plan->low_end)
		return plan->low;
	if (v >= plan->high_from)
		return plan->high;
	return plan->rest;
}

/* The affinity tuple's hash: the low half picks the backend, the high half,
 * turned by the rollout's salt, the version.  Where fragments are taken it is
 * of addresses alone. */
static __always_inline u64 pick_hash(const struct packet *p, const struct perch_service *sv)
{
	const struct perch_address *c = &p->flow.key.client;
	u64 m[5];

	m[0] = (u64)c->word[1] << 32 | c->word[0];
	m[1] = p->v6 ? 0 : (u64)c->word[3] << 32 | c->word[2];
	if (sv->affinity == PERCH_AFFINITY_CLIENT)
		return hash_sip(m, 2);	/* an IPv6 client is its /64 */
	m[1] = (u64)c->word[3] << 32 | c->word[2];
	m[2] = (u64)p->destination.word[1] << 32 | p->destination.word[0];
	m[3] = (u64)p->destination.word[3] << 32 | p->destination.word[2];
	m[4] = sv->fragments ? 0 : p->source_port | (u32)p->destination_port << 16 | (u64)p->protocol << 32;
	return hash_sip(m, 5);
}

static __always_inline u32 pick_value(u64 hash, u64 salt)
{
	return (hash_mix((hash >> 32) + salt) >> 32) * PERCH_SHARE_ALL >> 32;
}

/* A backend of a version for a packet of this family, 0: it has none that
 * lives. */
static __always_inline u32 pick_backend(struct perch_version *v, bool v6, u64 hash)
{
	u64 slice = READ(v->slice[v6]);
	u32 at = perch_slice_offset(slice) + ((u64)(u32)hash * perch_slice_length(slice) >> 32);
	struct perch_slice_word *w;

	if (!perch_slice_length(slice))
		return 0;
	w = element(slices, at / PERCH_SLICE_WIDTH);
	return w ? READ(w->backend[at % PERCH_SLICE_WIDTH]) : 0;
}

/* TCP without a flow and without SYN may belong to a connection from before
 * the last step: for drainTimeout the plan before it decides, unless that
 * leads to a version that was severed since. */
GLOBAL int pick_ambiguous(u32 service, u64 hash, const struct plan_now *now, u32 drain_ms)
{
	struct perch_split *s = element(splits, service);
	struct perch_plan before;
	struct perch_version *v;
	u64 named, fresh_until;
	u32 slot, old;

	if (!s || !now)
		return 0;
	slot = plan_slot(&now->plan, pick_value(hash, now->plan.salt));
	named = READ(s->named);
	fresh_until = (u64)(u32)named * 1000 + drain_ms;
	if (!plan_before(s, now, &before))
		return slot;
	if (named >> 32 == perch_word_epoch(now->word) && bpf_ktime_get_ns() / 1000000 > fresh_until)
		return slot;
	old = plan_slot(&before, pick_value(hash, before.salt));
	v = element(versions, service * PERCH_SLOTS + (old & (PERCH_SLOTS - 1)));
	if (!v || READ(v->sever_before) >= (u64)(u32)named * 1000000000)
		return slot;
	if (READ(v->drain_before) >= (u64)(u32)named * 1000000000 && bpf_ktime_get_ns() >= READ(v->drain_at))
		return slot;	/* a drain that is due has severed it */
	return old;
}

/* A backend of p's service's slot for p; 0: none that lives. */
static __always_inline u32 pick_from(struct packet *p, u32 slot, u64 hash)
{
	struct perch_version *v;

	p->slot = slot & (PERCH_SLOTS - 1);
	p->version = p->service * PERCH_SLOTS + p->slot;
	v = element(versions, p->version);
	return v ? pick_backend(v, p->v6, hash) : 0;
}

/* What a pin or a rule asks for: a target with its note in p, or 0. */
static __always_inline u32 pick_asked(struct packet *p, u32 choosers)
{
	if (choosers & PERCH_CHOOSE_PINS) {
		struct perch_pin_key key = { .client = p->source, .service = p->service };
		struct perch_pin *pin;

		if (p->v6)	/* an IPv6 client is its /64 */
			key.client.word[2] = key.client.word[3] = 0;
		pin = bpf_map_lookup_elem(&pins, &key);
		if (pin && (!pin->until || bpf_ktime_get_ns() < pin->until)) {
			p->notes |= PICK_PINNED;
			return pin->target;
		}
	}
	p->notes |= PICK_RULED;
	if (choosers & PERCH_CHOOSE_RULES) {
		struct perch_rule_key key = { .prefix = 32 + 128, .service = p->service, .source = p->source };
		u32 *target = bpf_map_lookup_elem(&rules, &key);

		if (target)
			return *target;
	}
	if (choosers & PERCH_CHOOSE_MARKS) {
		struct perch_mark *m = element(marks, p->service);

		if (m && m->target[p->dscp & 63])
			return m->target[p->dscp & 63];
	}
	p->notes &= ~PICK_RULED;
	return 0;
}

/* May a pin or rule lead to a version with this role?  After a rollback what
 * it took away is nobody's target. */
static __always_inline bool target_role(u32 role, u32 epoch)
{
	if (role == PERCH_ROLE_CANARY || role == PERCH_ROLE_BASELINE)
		return !(epoch & 1);
	return role == PERCH_ROLE_STABLE || role == PERCH_ROLE_PREVIOUS;
}

/* The slot that a pin or rule chose + 1; 0: the hash decides. */
GLOBAL int pick_target(struct packet *p, const struct plan_now *now, u32 choosers)
{
	u32 target, found = 0;

	if (!p || !now)
		return 0;
	target = pick_asked(p, choosers);
	if (!target)
		return 0;
	for (u32 slot = 0; slot < PERCH_SLOTS; slot++) {
		u32 role = plan_role(&now->plan, slot);

		if (target_role(role, perch_word_epoch(now->word)) &&
		    (target == role || target == (PERCH_TARGET_SLOT | slot)))
			found = slot + 1;
	}
	if (!found)
		p->notes = (p->notes & ~(PICK_PINNED | PICK_RULED)) | PICK_VOID;
	return found;
}

/* Has the version a live backend at all? */
static __always_inline bool version_lives(struct perch_version *v)
{
	return perch_slice_length(READ(v->slice[PERCH_IPV4])) || perch_slice_length(READ(v->slice[PERCH_IPV6]));
}

/*
 * Fills the flow's epoch and backend, slot, version and votes of p.  False
 * when nothing lives that could take it.
 */
static __always_inline bool pick(struct packet *p, const struct perch_listener *l, const struct perch_service *sv)
{
	bool start = p->protocol != IPPROTO_TCP || (p->tcp & TCP_SYN);
	u64 hash = pick_hash(p, sv);
	struct plan_now now = {};
	bool whole = plan_read(p->service, &now);
	u32 slot, chosen = 0;

	p->notes = whole ? 0 : PICK_TORN;
	p->flow.epoch = perch_word_epoch(now.word);
	p->votes = 0;
	if (sv->choosers && whole && !l->door)
		chosen = pick_target(p, &now, sv->choosers);
	if (l->door) {
		slot = l->door - 1;
	} else if (chosen) {
		slot = chosen - 1;
	} else if (start) {
		slot = plan_slot(&now.plan, pick_value(hash, now.plan.salt));
		p->votes = whole;
	} else {
		slot = whole ? pick_ambiguous(p->service, hash, &now, sv->drain_ms) : now.plan.rest;
		p->notes |= PICK_AMBIGUOUS;
	}
	p->flow.backend = pick_from(p, slot, hash);
	if (!p->flow.backend && !l->door) {
		p->notes |= PICK_EMPTY;
		p->votes = 0;
		p->flow.backend = pick_from(p, now.plan.rest, hash);
	}
	if (!p->flow.backend && !l->door && sv->stable_down == PERCH_DOWN_CANARY && now.plan.low_end &&
	    !(perch_word_epoch(now.word) & 1))
		p->flow.backend = pick_from(p, now.plan.low, hash);
	return p->flow.backend;
}

static __always_inline void pick_tell(const struct packet *p)
{
	if (p->notes & PICK_TORN)
		reason_count(p->hook, PERCH_R_PLAN_TORN);
	if (p->notes & PICK_AMBIGUOUS)
		reason_count(p->hook, PERCH_R_AMBIGUOUS);
	if (p->notes & PICK_EMPTY)
		reason_count(p->hook, PERCH_R_EMPTY_VERSION);
	if (p->notes & PICK_PINNED)
		reason_count(p->hook, PERCH_R_PINNED);
	if (p->notes & PICK_RULED)
		reason_count(p->hook, PERCH_R_RULED);
	if (p->notes & PICK_VOID)
		reason_count(p->hook, PERCH_R_TARGET_VOID);
}

#endif
