/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a packet does to its flow: classes, sequence numbers, turns.
 * Established only with proof: the client's ACK equals the backend's sequence
 * + 1, or the backend sent something that is neither RST nor SYN.  Where only
 * the client is seen there is none, and nothing here is anybody's failure.
 */
#ifndef PERCH_BPF_TRACK_H
#define PERCH_BPF_TRACK_H

#include "evidence.h"

/* A RST is believed within this distance of what is expected (RFC 5961 asks
 * the ends for an exact match; we may have missed what is in flight). */
#define RST_WINDOW (1 << 20)
/* A connect without an answer has failed then, though the client goes on
 * trying; as long as an embryonic entry lives without a packet. */
#define CONNECT_DEADLINE_NS 6000000000ull

/* A keep-alive probe sends so much again, and means nothing by it (RFC 9293,
 * 3.8.4). */
#define PROBE_BYTES 1

/* Data that a SYN may carry (RFC 7413); the answer may quote it or not. */
#define SYN_DATA_MAX 9000

static __always_inline u32 track_end(const struct packet *p)
{
	return p->seq + p->payload + !!(p->tcp & TCP_SYN) + !!(p->tcp & TCP_FIN);
}

static __always_inline bool track_believes(u32 seq, u32 expected)
{
	return seq - expected + RST_WINDOW < 2 * RST_WINDOW;
}

/* Sets flags; true when this call set one of them first. */
static __always_inline bool track_flag(struct perch_flow *f, u32 have, u32 flag)
{
	return (have & flag) != flag && (__sync_fetch_and_or(&f->flags, flag) & flag) != flag;
}

static __always_inline u32 track_clock(void)
{
	return bpf_ktime_get_ns() >> 10 | 1;
}

static __always_inline void track_request(struct packet *p, struct perch_flow *f)
{
	if (p->payload && (!p->flow.request_at || (p->tcp & TCP_PSH)))
		WRITE(f->request_at, track_clock());
}

/* A turn's end.  Global: most packets are none. */
GLOBAL int track_turn(struct packet *p)
{
	struct perch_flow_set *fs = p ? element(flows, p->found_set) : NULL;
	struct perch_flow *f;
	u32 since;

	if (!fs)
		return 0;
	f = &fs->flow[p->found_way & (PERCH_WAYS - 1)];
	since = __sync_lock_test_and_set(&f->request_at, 0);
	if (since)
		evidence_response(p, &f->flags, (u64)(u32)(track_clock() - since) * 1024 / 1000);
	return 0;
}

static __always_inline void track_response(struct packet *p)
{
	if (p->payload && p->flow.request_at)
		track_turn(p);
}

/* The SYN came again. */
static __always_inline void track_resyn(const struct packet *p, struct perch_flow *f)
{
	u32 settled = PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED;

	if (!(p->flow.flags & settled) && bpf_ktime_get_ns() - p->flow.created > CONNECT_DEADLINE_NS &&
	    track_flag(f, p->flow.flags, PERCH_FLOW_UNANSWERED))
		evidence_connect_failed(f);
}

/* Both ends have said that they are done, and yet it goes on: two CPUs saw the
 * two FINs at once, and neither the other's.  The ACKs that follow know. */
static __always_inline bool track_crossed(const struct packet *p)
{
	u32 both = PERCH_FLOW_FIN_CLIENT | PERCH_FLOW_FIN_BACKEND;

	return (p->flow.flags & both) == both && perch_tag_class(p->tag) != PERCH_CLOSING;
}

GLOBAL int track_close(struct packet *p)
{
	bool changed;

	if (p)
		flow_touch(p, PERCH_CLOSING, &changed);
	return 0;
}

static __always_inline void track_tcp_forward(struct packet *p)
{
	u32 class = perch_tag_class(p->tag), want = class, have = p->flow.flags, set = 0;
	bool syn = p->tcp & TCP_SYN, changed;
	struct perch_flow *f;

	if (class == PERCH_EMBRYONIC && syn)
		set |= PERCH_FLOW_RESYN;
	else if (class == PERCH_EMBRYONIC && (p->tcp & TCP_ACK) && (have & PERCH_FLOW_ANSWERED) &&
		 p->ack == p->flow.backend_next)
		want = PERCH_TCP;
	if ((p->tcp & TCP_RST) && track_believes(p->seq, p->flow.client_next)) {
		want = PERCH_CLOSING;
		set |= PERCH_FLOW_RESET;
	}
	if (p->tcp & TCP_FIN) {
		set |= PERCH_FLOW_FIN_CLIENT;
		if (have & PERCH_FLOW_FIN_BACKEND)
			want = PERCH_CLOSING;
	}
	f = flow_touch(p, want, &changed);
	if (!f) {
		reason_count(p->hook, PERCH_R_FOREIGN);
		return;
	}
	if (set)
		track_flag(f, have, set);
	if (set & PERCH_FLOW_RESYN)
		track_resyn(p, f);
	if (changed && want == PERCH_TCP)
		evidence_established(&p->flow);
	if (!syn && (s32)(track_end(p) - p->flow.client_next) > 0)
		WRITE(f->client_next, track_end(p));
	else if (!syn && p->payload > PROBE_BYTES)
		track_flag(f, have, PERCH_FLOW_AGAIN);
	track_request(p, f);
}

/* The backend's answer to a SYN: a SYN-ACK, or a RST that quotes it. */
static __always_inline u32 track_answer(struct packet *p, struct perch_flow *f, u32 class)
{
	u32 settled = PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED;	/* its vote is cast */

	/* request_at: the SYN had data */
	if (!(p->tcp & TCP_ACK) || p->ack - p->flow.client_next > (p->flow.request_at ? SYN_DATA_MAX : 0))
		return class;
	if (p->tcp & TCP_RST) {
		if (track_flag(f, p->flow.flags, PERCH_FLOW_RESET) && !(p->flow.flags & settled))
			evidence_connect_failed(&p->flow);
		return PERCH_CLOSING;
	}
	if (p->flow.flags & PERCH_FLOW_ANSWERED)
		return class;
	WRITE(f->backend_next, p->seq + 1);
	barrier();
	if (track_flag(f, p->flow.flags, PERCH_FLOW_ANSWERED) && !(p->flow.flags & settled))
		evidence_connected(&p->flow);
	return class;
}

static __always_inline void track_tcp_reply(struct packet *p)
{
	u32 class = perch_tag_class(p->tag), want = class, have = p->flow.flags;
	bool changed, embryonic = class == PERCH_EMBRYONIC;
	struct perch_flow *f;

	if (embryonic && !(p->tcp & (TCP_RST | TCP_SYN)))
		want = PERCH_TCP;
	else if (!embryonic && (p->tcp & TCP_RST) && track_believes(p->seq, p->flow.backend_next))
		want = PERCH_CLOSING;
	else if ((p->tcp & TCP_FIN) && (have & PERCH_FLOW_FIN_CLIENT))
		want = PERCH_CLOSING;
	f = flow_touch(p, want, &changed);
	if (!f) {
		reason_count(p->hook, PERCH_R_FOREIGN);
		return;
	}
	if (p->via != p->flow.via)
		WRITE(f->via, p->via);
	if (embryonic && (p->tcp & (TCP_RST | TCP_SYN))) {
		if (track_answer(p, f, class) == PERCH_CLOSING)
			flow_touch(p, PERCH_CLOSING, &changed);
		return;
	}
	if (changed && want == PERCH_TCP) {
		evidence_established(&p->flow);
		/* entered midstream: the first reply tells where the backend is */
		if (!(have & PERCH_FLOW_ANSWERED))
			WRITE(f->backend_next, track_end(p));
	}
	if (want == PERCH_CLOSING && (p->tcp & TCP_RST)) {
		if (track_flag(f, have, PERCH_FLOW_RESET) && !(have & (PERCH_FLOW_FIN_CLIENT | PERCH_FLOW_FIN_BACKEND)) &&
		    class == PERCH_TCP)
			evidence_reset(p);
		return;
	}
	if (p->tcp & TCP_FIN)
		track_flag(f, have, PERCH_FLOW_FIN_BACKEND);
	if ((s32)(track_end(p) - p->flow.backend_next) > 0)
		WRITE(f->backend_next, track_end(p));
	track_response(p);
}

static __always_inline void track_udp(struct packet *p)
{
	u32 want = PERCH_UDP_NEW;
	struct perch_flow *f;
	bool changed;

	/* a client that goes on after a reply is there */
	if (p->way == WAY_FORWARD && (p->flow.flags & PERCH_FLOW_ANSWERED))
		want = PERCH_UDP;
	f = flow_touch(p, want, &changed);
	if (!f) {
		reason_count(p->hook, PERCH_R_FOREIGN);
		return;
	}
	if (p->way == WAY_FORWARD) {
		track_request(p, f);
		return;
	}
	if (p->via != p->flow.via)
		WRITE(f->via, p->via);
	track_flag(f, p->flow.flags, PERCH_FLOW_ANSWERED);
	track_response(p);
}

/* What a connection of which only the client is seen becomes; near: the packet
 * is where the client's next one is expected. */
static __always_inline u32 track_class(const struct packet *p, u32 class, bool near)
{
	if (p->protocol != IPPROTO_TCP)
		return PERCH_UDP_NEW;
	/* the backend may go on after the client's FIN: ACKs keep it */
	if ((p->tcp & (TCP_FIN | TCP_RST)) && near)
		return PERCH_CLOSING;
	return class == PERCH_EMBRYONIC && (p->tcp & (TCP_SYN | TCP_ACK)) == TCP_ACK && near ? PERCH_ONE_SIDED : class;
}

/* Both ends' numbers by the client's word, for who has to end it. */
static __always_inline void track_one_sided(struct packet *p)
{
	bool near = track_believes(p->seq, p->flow.client_next), changed;
	u32 class = perch_tag_class(p->tag), end = track_end(p);
	struct perch_flow *f;

	f = flow_touch(p, track_class(p, class, near), &changed);
	if (!f) {
		reason_count(p->hook, PERCH_R_FOREIGN);
		return;
	}
	if (p->protocol != IPPROTO_TCP)
		return;
	if ((p->tcp & TCP_RST) && near)
		track_flag(f, p->flow.flags, PERCH_FLOW_RESET);
	if (!(p->tcp & TCP_SYN) && (near || class != PERCH_EMBRYONIC) && (s32)(end - p->flow.client_next) > 0)
		WRITE(f->client_next, end);
	if ((p->tcp & TCP_ACK) && p->ack != p->flow.backend_next)
		WRITE(f->backend_next, p->ack);
}

#endif
