/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Evidence: what happened to a connection, told to the counters of its
 * backend and, for observed services, to votes, tallies, histograms and the
 * reflex. */
#ifndef PERCH_BPF_EVIDENCE_H
#define PERCH_BPF_EVIDENCE_H

#include "pool.h"
#include "reflex.h"

#define WAIT_TRIES 3	/* two CPUs may turn flags of one flow at once */

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
		tally_came(f);
		tally_outcome(f, PERCH_CONNECT_FAILURE, true);
	}
	witness_tell(&w);
	return 0;
}

/* A SYN was answered. */
GLOBAL int evidence_connected(struct perch_flow *f)
{
	struct witness w;
	u64 us;

	if (!f || !witness_call(f, &w) || !w.votes)
		return 0;
	us = (bpf_ktime_get_ns() - f->created) / 1000;
	evidence_bucket(w.votes->connect_time, us);
	if (w.counts) {
		w.votes->connects++;
		reflex_vote(w.backend, evidence_client(f), false);
		tally_came(f);
		tally_outcome(f, PERCH_CONNECT_FAILURE, false);
		tally_wait(f, PERCH_WAIT_CONNECT, perch_hist_bucket(us));
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
	tally_came(f);
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

/* The backend reset an established connection before anybody's FIN. */
GLOBAL int evidence_reset(struct packet *p)
{
	struct witness w;

	if (!p || !witness_call(&p->flow, &w))
		return 0;
	w.counters->resets++;
	event_send(PERCH_EVENT_RESET, w.backend->service, p->flow.backend, 0, &p->flow.key);
	if (w.votes && w.counts)
		w.votes->resets++;
	if (w.votes)
		tally_end(p, true);
	witness_tell(&w);
	return 0;
}

/* What an entry's flags remember of a wait: its bucket, if it is the longest
 * yet, and the limits that it is over. */
static __always_inline u32 evidence_remembered(u32 flags, u32 us, const struct witness *w)
{
	u32 bucket = perch_hist_bucket(us), want = flags;

#pragma unroll
	for (u32 i = 0; i < PERCH_LIMITS; i++)
		if (w->counts && i < w->observed->limits && us > w->observed->limit_us[i])
			want |= PERCH_FLOW_OVER << i;
	return bucket + 1 > perch_flow_wait(flags) ? perch_flow_with_wait(want, bucket) : want;
}

/* A connection votes once that it responds, and once per limit that it was
 * slower than; `flags` are the entry's own, where that is remembered. */
static __always_inline void evidence_wait(u32 *flags, u32 us, const struct witness *w)
{
	u32 was = READ(*flags), want = was, news = 0;
	bool first = false;

#pragma unroll
	for (int i = 0; i < WAIT_TRIES; i++) {
		u32 got;

		want = evidence_remembered(was, us, w);
		if (want == was)
			return;
		got = __sync_val_compare_and_swap(flags, was, want);
		if (got == was) {
			news = want & ~was;
			first = !perch_flow_turned(was);
			break;
		}
		was = got;
	}
	if (!w->counts)
		return;
	if (first)
		w->votes->responders++;
#pragma unroll
	for (u32 i = 0; i < PERCH_LIMITS; i++)
		if (news & PERCH_FLOW_OVER << i)
			w->votes->over[i]++;
}

/* A response came `us` after its request. */
static __always_inline void evidence_response(struct packet *p, u32 *flags, u32 us)
{
	struct witness w;

	if (!witness_call(&p->flow, &w) || !w.votes)
		return;
	p->responds = w.observed->http;
	evidence_bucket(w.votes->response_time, us);
	evidence_wait(flags, us, &w);
	if (w.counts && w.observed->compares)
		pool_turn(p, us);
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
