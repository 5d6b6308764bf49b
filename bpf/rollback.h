/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A rollback by the kernel itself, for whoever decides on one (the reflex, the
 * dead-man): the OR on the split word, then what the service wants of the
 * established flows, all as registry_rollback in user space does it.
 */
#ifndef PERCH_BPF_ROLLBACK_H
#define PERCH_BPF_ROLLBACK_H

#include "event.h"
#include "pick.h"

#define ROLLBACK_AHEAD_NS 1000000

/* The rollback itself; the word before it. */
static __always_inline u64 rollback_write(struct perch_split *s, u32 by)
{
	return __sync_fetch_and_or(&s->word, PERCH_WORD_TWIN | (u64)(by | PERCH_ROLLED_BACK) << 48);
}

/* Raise *at to value; never lower it.  Who tries at the same time means now. */
static __always_inline void rollback_raise(u64 *at, u64 value)
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
static __always_inline void rollback_named(struct perch_split *s, u64 word)
{
	u64 old = READ(s->named), epoch = perch_word_epoch(word | PERCH_WORD_TWIN);

	if ((s32)(epoch - (old >> 32)) > 0)
		__sync_val_compare_and_swap(&s->named, old, epoch << 32 | (u32)(bpf_ktime_get_ns() / 1000000000));
}

/* The host's word goes first, as in user space.  A little ahead: who gives up
 * because others raise it has then been told of by them. */
static __always_inline void rollback_tell(u64 now)
{
	struct perch_control *c = element(control, 0);

	if (c)
		rollback_raise(&c->severed, now + ROLLBACK_AHEAD_NS);
	barrier();
}

/* The canary's established flows, as the service wants it. */
static __always_inline void rollback_established(u32 service, u32 slot)
{
	struct perch_service *sv = element(services, service);
	struct perch_version *v = element(versions, service * PERCH_SLOTS + (slot & (PERCH_SLOTS - 1)));
	u64 now = bpf_ktime_get_ns(), before;
	bool pending;

	if (!sv || !v || sv->established == PERCH_KEEP)
		return;
	rollback_tell(now);
	if (sv->established == PERCH_SEVER) {
		rollback_raise(&v->sever_before, now);
		return;
	}
	/* as version_drain in user space: a drain that is due becomes a sever, one
	 * that is pending keeps its time */
	before = READ(v->drain_before);
	pending = before > READ(v->sever_before) && READ(v->drain_at) > now;
	if (!pending) {
		if (before > READ(v->sever_before))
			rollback_raise(&v->sever_before, before);
		barrier();
		rollback_raise(&v->drain_at, now + (u64)sv->drain_ms * 1000000);
	}
	barrier();
	rollback_raise(&v->drain_before, now);
}

/* The whole of it, when there is a stable version to go back to.  `plan` is
 * the one in force.  True when this call was the first. */
static __always_inline bool rollback_fire(struct perch_split *s, u32 service, const struct perch_plan *plan, u32 by)
{
	struct perch_version *stable = element(versions, service * PERCH_SLOTS + (plan->rest & (PERCH_SLOTS - 1)));
	bool reflex = by == PERCH_BY_REFLEX;
	struct perch_flow_key nobody = {};
	u64 old;

	if (!stable || !version_lives(stable))
		return false;
	old = rollback_write(s, by);
	if (perch_word_epoch(old) & 1)
		return false;
	rollback_named(s, old);
	rollback_established(service, plan->low);
	reason_count(PERCH_HOOK_XDP, reflex ? PERCH_R_REFLEX : PERCH_R_DEADMAN);
	event_send(reflex ? PERCH_EVENT_REFLEX : PERCH_EVENT_DEADMAN, service, 0, old, &nobody);
	return true;
}

#endif
