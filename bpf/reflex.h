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

#include "rollback.h"

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
	if (!reflex_proves(r, o->reflex_limit))
		return;
	rollback_fire(s, k->service, &now.plan, PERCH_BY_REFLEX);
	if (perch_word_epoch(READ(s->word)) & 1)
		WRITE(o->reflex, 0);
}

#endif
