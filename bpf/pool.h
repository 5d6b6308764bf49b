/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pools: what long connections waited for, turn by turn, summed up by the
 * minute.  They give few votes, as each votes once; ranked among each other
 * every minute they tell which version is slower (user/core/judge/pool.h).
 */
#ifndef PERCH_BPF_POOL_H
#define PERCH_BPF_POOL_H

#include "tally.h"

/* The place of the packet's connection, taken if it is free: nobody's, or of
 * one that had no turn in the last minute.  NULL: another's. */
static __always_inline struct perch_turns *pool_place(const struct packet *p, const struct witness *w, u32 minute)
{
	u32 at = hash_mix((u64)p->found_set * PERCH_WAYS + (p->found_way & (PERCH_WAYS - 1))) & (PERCH_POOL - 1);
	struct perch_turns *t = element(turns, at);
	u64 was;

	if (!t)
		return NULL;
	was = READ(t->created);
	if (likely(was == p->flow.created))
		return t;
	if (was && READ(t->now.minute) + 1 >= minute)
		return NULL;
	if (__sync_val_compare_and_swap(&t->created, was, p->flow.created) != was)
		return NULL;
	t->epoch = p->flow.epoch;
	t->service = w->backend->service;
	t->slot = w->slot;
	t->first = t->before = (struct perch_turns_of){};
	t->now = (struct perch_turns_of){ .minute = minute };
	return t;
}

/* A turn of `us` has ended.  Replies of a connection come by one CPU; where they
 * do not, one in many may be lost here. */
GLOBAL int pool_turn(struct packet *p, u32 us)
{
	u64 now = bpf_ktime_get_ns();
	u32 minute = now / PERCH_MINUTE_NS;
	struct perch_turns *t;
	struct witness w;

	if (!p || p->flow.epoch & 1 || now - p->flow.created < PERCH_POOL_AGE_NS || !witness_call(&p->flow, &w))
		return 0;
	t = pool_place(p, &w, minute);
	if (!t)
		return 0;
	if (t->now.minute != minute) {
		if (!t->first.n)
			t->first = t->now;
		t->before = t->now;
		t->now = (struct perch_turns_of){ .minute = minute };
	}
	t->now.n++;
	t->now.sum += perch_hist_bucket((u64)us + PERCH_POOL_SLACK_US);
	return 0;
}

#endif
