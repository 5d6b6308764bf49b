/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Evidence: what happened to a connection, told to the counters of its
 * backend and, for observed services, to votes, histograms and the reflex. */
#ifndef PERCH_BPF_EVIDENCE_H
#define PERCH_BPF_EVIDENCE_H

#include "flow.h"
#include "reflex.h"

/* Where a flow's evidence goes; votes is NULL where nobody observes. */
struct witness {
	struct perch_backend *backend;
	struct perch_counters *counters;
	struct perch_observed *observed;
	struct perch_votes *votes;
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
	w->votes = element(votes, k->observed * PERCH_SLOTS + w->slot);
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

/* A client to the reflex: its address without ports; of IPv6 its /64. */
static __always_inline u32 evidence_client(const struct perch_flow *f)
{
	const u32 *w = f->key.client.word;
	u64 low = w[0] || w[1] ? 0 : w[3];

	return hash_mix(((u64)w[1] << 32 | w[0]) + low + constants.secret[3]);
}

/* A SYN was refused, or came to nothing. */
GLOBAL int evidence_connect_failed(struct perch_flow *f)
{
	struct witness w;

	if (!f || !witness_call(f, &w))
		return 0;
	w.counters->connect_failures++;
	event_send(PERCH_EVENT_CONNECT_FAILURE, w.backend->service, f->backend, 0, &f->key);
	if (w.votes && w.counts) {
		w.votes->connects++;
		w.votes->connect_failures++;
		reflex_vote(w.backend, evidence_client(f), true);
	}
	witness_tell(&w);
	return 0;
}

/* A SYN was answered. */
GLOBAL int evidence_connected(struct perch_flow *f)
{
	struct witness w;

	if (!f || !witness_call(f, &w) || !w.votes)
		return 0;
	evidence_bucket(w.votes->connect_time, (bpf_ktime_get_ns() - f->created) / 1000);
	if (w.counts) {
		w.votes->connects++;
		reflex_vote(w.backend, evidence_client(f), false);
	}
	witness_tell(&w);
	return 0;
}

/* A flow of UDP: there is no connect to fail. */
GLOBAL int evidence_udp_began(struct perch_flow *f)
{
	struct witness w;

	if (!f || !witness_call(f, &w) || !w.votes || !w.counts)
		return 0;
	w.votes->udp_flows++;
	witness_tell(&w);
	return 0;
}

GLOBAL int evidence_established(struct perch_flow *f)
{
	struct witness w;

	if (!f || !witness_call(f, &w) || !w.votes || !w.counts)
		return 0;
	w.votes->established++;
	witness_tell(&w);
	return 0;
}

/* The backend reset an established connection before its client's FIN. */
GLOBAL int evidence_reset(struct perch_flow *f)
{
	struct witness w;

	if (!f || !witness_call(f, &w))
		return 0;
	w.counters->resets++;
	event_send(PERCH_EVENT_RESET, w.backend->service, f->backend, 0, &f->key);
	if (w.votes && w.counts)
		w.votes->resets++;
	witness_tell(&w);
	return 0;
}

/* A connection votes once that it responds, and once per limit that it was
 * slower than; `flags` are the entry's own, where that is remembered. */
static __always_inline void evidence_over(const struct perch_flow *f, u32 *flags, u32 us, const struct witness *w)
{
	u32 want = PERCH_FLOW_TURN, was;

#pragma unroll
	for (u32 i = 0; i < PERCH_LIMITS; i++)
		if (i < w->observed->limits && us > w->observed->limit_us[i])
			want |= PERCH_FLOW_OVER << i;
	if ((f->flags & want) == want)
		return;
	was = __sync_fetch_and_or(flags, want);
	if (!(was & PERCH_FLOW_TURN))
		w->votes->responders++;
#pragma unroll
	for (u32 i = 0; i < PERCH_LIMITS; i++)
		if (want & ~was & PERCH_FLOW_OVER << i)
			w->votes->over[i]++;
}

/* A response came `us` after its request. */
static __always_inline void evidence_response(const struct perch_flow *f, u32 *flags, u32 us)
{
	struct witness w;

	if (!witness_call(f, &w) || !w.votes)
		return;
	evidence_bucket(w.votes->response_time, us);
	if (w.counts)
		evidence_over(f, flags, us, &w);
	witness_tell(&w);
}

/* Every packet that is steered, either way. */
static __always_inline void evidence_packet(const struct packet *p, struct perch_backend *k)
{
	struct perch_counters *c = element(counters, p->flow.backend);

	if (c) {
		c->packets += p->segments;
		c->bytes += p->length;
	}
	if (!k->dirty)
		k->dirty = 1;
}

#endif
