/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The reflex: a streak of failed connects of the canary rolls it back here,
 * on the packet that proves it.  Guards against blips that hit both versions,
 * single clients and spoofed packets: since the streak began stable had at
 * least REFLEX_STABLE successes and failures of at most a quarter of them,
 * and the streak's clients set at least REFLEX_CLIENTS hash bits.  The whole
 * state is one word, moved by compare-and-swap.
 */
#ifndef PERCH_BPF_REFLEX_H
#define PERCH_BPF_REFLEX_H

#include "event.h"
#include "pick.h"

#define REFLEX_STABLE 10
#define REFLEX_CLIENTS 3

struct reflex {
	u16 streak, ok, bad, clients;
};

static __always_inline struct reflex reflex_unpack(u64 w)
{
	return (struct reflex){ w, w >> 16, w >> 32, w >> 48 };
}

static __always_inline u64 reflex_pack(struct reflex r)
{
	return (u64)r.streak | (u64)r.ok << 16 | (u64)r.bad << 32 | (u64)r.clients << 48;
}

static __always_inline u16 saturate(u16 n)
{
	return n + (n != 0xffff);
}

static __always_inline u32 bits_of(u16 v)
{
	v = v - (v >> 1 & 0x5555);
	v = (v & 0x3333) + (v >> 2 & 0x3333);
	v = (v + (v >> 4)) & 0x0f0f;
	return (v + (v >> 8)) & 0x1f;
}

static __always_inline struct reflex reflex_next(struct reflex r, bool canary, bool failed, u32 client)
{
	if (canary && !failed)
		return (struct reflex){};
	if (canary) {
		if (!r.streak)
			r = (struct reflex){};
		r.streak = saturate(r.streak);
		r.clients |= 1u << (client >> 4 & 15);
	} else if (r.streak && failed) {
		r.bad = saturate(r.bad);
	} else if (r.streak) {
		r.ok = saturate(r.ok);
	}
	return r;
}

static __always_inline bool reflex_proves(struct reflex r, u32 limit)
{
	return limit && r.streak >= limit && r.ok >= REFLEX_STABLE && r.bad * 4 <= r.ok &&
	       bits_of(r.clients) >= REFLEX_CLIENTS;
}

/* Raise *at to value; never lower it.  Who tries at the same time means now. */
static __always_inline void reflex_raise(u64 *at, u64 value)
{
	u64 old = READ(*at);

	for (int i = 0; i < 4; i++) {
		u64 got;

		if (old >= value)
			return;
		got = __sync_val_compare_and_swap(at, old, value);
		if (got == old)
			return;
		old = got;
	}
}

/* As split_named in user space: without it misses would ask the plan before
 * the rollback for as long as no agent comes. */
static __always_inline void reflex_named(struct perch_split *s, u64 word)
{
	u64 old = READ(s->named), epoch = perch_word_epoch(word | PERCH_WORD_TWIN);

	if ((s32)(epoch - (old >> 32)) > 0)
		__sync_val_compare_and_swap(&s->named, old, epoch << 32 | (u32)(bpf_ktime_get_ns() / 1000000000));
}

/* The canary's established flows, as the service wants it. */
static __always_inline void reflex_established(u32 service, u32 slot)
{
	struct perch_service *sv = element(services, service);
	struct perch_version *v = element(versions, service * PERCH_SLOTS + (slot & (PERCH_SLOTS - 1)));
	u64 now = bpf_ktime_get_ns(), before;
	bool pending;

	if (!sv || !v || sv->established == PERCH_KEEP)
		return;
	if (sv->established == PERCH_SEVER) {
		reflex_raise(&v->sever_before, now);
		return;
	}
	/* as version_drain in user space: a drain that is due becomes a sever, one
	 * that is pending keeps its time */
	before = READ(v->drain_before);
	pending = before > READ(v->sever_before) && READ(v->drain_at) > now;
	if (!pending) {
		if (before > READ(v->sever_before))
			reflex_raise(&v->sever_before, before);
		barrier();
		reflex_raise(&v->drain_at, now + (u64)sv->drain_ms * 1000000);
	}
	barrier();
	reflex_raise(&v->drain_before, now);
}

/* The rollback itself; the word before it. */
static __always_inline u64 reflex_write(struct perch_split *s)
{
	return __sync_fetch_and_or(&s->word, PERCH_WORD_TWIN | (u64)(PERCH_BY_REFLEX | PERCH_ROLLED_BACK) << 48);
}

static __always_inline void reflex_fire(struct perch_split *s, struct perch_observed *o, const struct perch_backend *k,
					const struct perch_plan *plan)
{
	struct perch_version *stable = element(versions, k->service * PERCH_SLOTS + (plan->rest & (PERCH_SLOTS - 1)));
	struct perch_flow_key nobody = {};
	u64 old;

	if (!stable || !version_lives(stable))
		return;
	old = reflex_write(s);
	WRITE(o->reflex, 0);
	if (perch_word_epoch(old) & 1)
		return;		/* somebody was first */
	reflex_named(s, old);
	reflex_established(k->service, plan->low);
	reason_count(PERCH_HOOK_XDP, PERCH_R_REFLEX);
	event_send(PERCH_EVENT_REFLEX, k->service, 0, old, &nobody);
}

/* One connect's outcome.  `client` is any hash of the client. */
static __always_inline void reflex_vote(const struct perch_backend *k, u32 client, bool failed)
{
	struct perch_observed *o = element(observed, k->observed);
	struct perch_split *s = element(splits, k->service);
	struct plan_now now = {};
	struct reflex r = {};
	u32 role;
	u64 old;

	if (!o || !o->reflex_limit || !s || (!(old = READ(o->reflex)) && !failed))
		return;		/* no streak, nothing to break: the healthy case */
	if (!plan_read(k->service, &now) || perch_word_epoch(now.word) & 1 || !now.plan.low_end)
		return;
	role = plan_role(&now.plan, k->version);
	if (role != PERCH_ROLE_CANARY && role != PERCH_ROLE_STABLE)
		return;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		u64 got;

		r = reflex_next(reflex_unpack(old), role == PERCH_ROLE_CANARY, failed, client);
		got = __sync_val_compare_and_swap(&o->reflex, old, reflex_pack(r));
		if (got == old)
			break;
		old = got;
	}
	if (reflex_proves(r, o->reflex_limit))
		reflex_fire(s, o, k, &now.plan);
}

#endif
