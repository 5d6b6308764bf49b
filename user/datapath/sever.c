/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The second write of a rollback: established flows of a version ended now,
 * or later by the kernel itself.  What was ended stays ended. */
#include "tables.h"

/* Raise *at to value; never lower it. */
static void move_forward(__u64 *at, __u64 value)
{
	__u64 old = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (old < value && !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* The host's word goes first: who sees it asks the version, and where this ends
 * half-way nothing was ended. */
static void host_tell(struct perch_control *host, __u64 now)
{
	move_forward(&host->severed, now);
}

void version_sever(struct perch_control *host, struct perch_version *v, __u64 now)
{
	host_tell(host, now);
	move_forward(&v->sever_before, now);
}

/*
 * A drain that is pending keeps its time, so that a rollback said twice ends
 * no later; one that is due becomes a sever before its time is set anew, so
 * that none of its flows comes back.  The time is written before the flows it
 * is for: the reverse would end them at once.
 */
void version_drain(struct perch_control *host, struct perch_version *v, __u64 now, __u32 drain_ms)
{
	__u64 before = __atomic_load_n(&v->drain_before, __ATOMIC_ACQUIRE);
	__u64 at = __atomic_load_n(&v->drain_at, __ATOMIC_RELAXED);
	bool open = before > __atomic_load_n(&v->sever_before, __ATOMIC_RELAXED);

	host_tell(host, now);
	if (open && at <= now)
		move_forward(&v->sever_before, before);
	if (!open || at <= now)
		move_forward(&v->drain_at, now + drain_ms * 1000000ull);
	move_forward(&v->drain_before, now);
}
