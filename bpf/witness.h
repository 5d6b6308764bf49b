/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whom a connection is a witness about: its backend, its version, and whether
 * its word counts in the rollout that is on. */
#ifndef PERCH_BPF_WITNESS_H
#define PERCH_BPF_WITNESS_H

#include "flow.h"

/* Where a flow's evidence goes; votes is NULL where nobody observes. */
struct witness {
	struct perch_backend *backend;
	struct perch_counters *counters;
	struct perch_observed *observed;
	struct perch_votes *votes;
	u32 id;			/* element of `votes` and `tallies` */
	u32 slot;
	bool counts;		/* the hash chose it, in this rollout */
};

static __always_inline bool witness_call(const struct perch_flow *f, struct witness *w)
{
	struct perch_backend *k = element(backends, f->backend);

	w->backend = k;
	w->counters = element(counters, f->backend);
	w->observed = NULL;
	w->votes = NULL;
	w->counts = false;
	if (!k || !w->counters)
		return false;
	w->slot = k->version & (PERCH_SLOTS - 1);
	if (!k->observed)
		return true;
	w->observed = element(observed, k->observed);
	if (!w->observed)
		return true;
	w->id = k->observed * PERCH_SLOTS + w->slot;
	w->votes = element(votes, w->id);
	w->counts = (f->flags & PERCH_FLOW_VOTES) && (s32)(f->epoch - w->observed->since_epoch) >= 0;
	return true;
}

/* The timer is to tell of it; after the counts, or it might come between. */
static __always_inline void witness_tell(const struct witness *w)
{
	barrier();
	if (!w->backend->dirty)
		WRITE(w->backend->dirty, 1);
	if (w->votes)
		WRITE(w->observed->dirty[w->slot & (PERCH_SLOTS - 1)], 1);
}

static __always_inline void evidence_bucket(u64 *histogram, u64 us)
{
	u32 b = perch_hist_bucket(us);

	if (b < PERCH_HIST_BUCKETS)
		histogram[b]++;
}

/* A client to the reflex and the caps: its address without ports; of IPv6 its /64. */
static __always_inline u32 evidence_client(const struct perch_flow *f)
{
	const u32 *w = f->key.client.word;
	u64 low = w[0] || w[1] ? 0 : w[3];

	return hash_mix(((u64)w[1] << 32 | w[0]) + low + constants.secret[3]);
}

#endif
