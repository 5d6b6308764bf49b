/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's states of a connection.  Established only with proof: the
 * client's ACK is the backend's sequence number + 1, or the backend sent what
 * is neither RST nor SYN.  A RST is believed near the expected number only.
 */
#include "parts.h"

#define RST_NEAR (1u << 20)
#define SYN_DATA 9000		/* an answer may quote data of the SYN, or not */
#define DEADLINE 6000000000ull

#define FINS (PERCH_FLOW_FIN_CLIENT | PERCH_FLOW_FIN_BACKEND)
#define VOTED (PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED)

__u32 states_end(const struct seen *p)
{
	return p->seq + p->payload + (p->flags & TCP_SYN ? 1 : 0) + (p->flags & TCP_FIN ? 1 : 0);
}

static bool is_near(__u32 seq, __u32 expected)
{
	return (__s32)(seq - expected) >= -(__s32)RST_NEAR && (__s32)(seq - expected) < (__s32)RST_NEAR;
}

static bool is_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

__u32 told_clock(struct model *m, struct slot s)
{
	__u32 real = m->run->told[s.set - m->sets].flow[s.way].request_at;
	__u32 from = m->run->began >> 10 | 1, to = m->run->ended >> 10 | 1;

	return (real & 1) && real - from <= to - from ? real : from;
}

static void request(struct model *m, struct seen *p)
{
	if (p->payload && (!p->flow.request_at || (p->flags & TCP_PSH)))
		slot_flow(p->at)->request_at = told_clock(m, p->at);
}

/* The longest wait so far, by bucket: the program's, where two clocks leave
 * more than one. */
static void waited(struct model *m, struct slot s, __u32 least, __u32 most)
{
	struct perch_flow *f = slot_flow(s);
	__u32 told = m->run->told[s.set - m->sets].flow[s.way].flags;
	/* -1: none yet */
	int real = (int)perch_flow_wait(told) - 1, yet = (int)perch_flow_wait(f->flags) - 1;

	if (!witness_observed(m, f))
		return;
	if ((int)least <= real && real <= (int)most && real > yet)
		f->flags = perch_flow_with_wait(f->flags, real);
	else if ((int)least > yet)
		f->flags = perch_flow_with_wait(f->flags, least);
}

/* A response: how long it took is between two clocks; a limit in between
 * makes it unsure. */
static void response(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	__u32 since = f->request_at, least, most;

	if (!p->payload || !p->flow.request_at)
		return;
	f->request_at = 0;
	least = (__u64)(__u32)((m->run->began >> 10 | 1) - since) * 1024 / 1000;
	most = (__u64)(__u32)((m->run->ended >> 10 | 1) - since) * 1024 / 1000;
	for (__u32 i = 0; i < PERCH_LIMITS; i++) {
		__u32 limit = m->t.observed[m->t.backend[f->backend].observed].limit_us[i];

		if ((least > limit) != (most > limit))
			m->outcome.unsure = true;
	}
	witness_response(m, &p->flow, f, most);
	waited(m, p->at, perch_hist_bucket(least), perch_hist_bucket(most));
}

static void forward_tcp(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	bool syn = p->flags & TCP_SYN;
	__u32 class = p->class;

	if (class == PERCH_EMBRYONIC && !syn && (p->flags & TCP_ACK) && (f->flags & PERCH_FLOW_ANSWERED) &&
	    p->ack == f->backend_next)
		class = PERCH_TCP;
	if ((p->flags & TCP_FIN) && (f->flags & PERCH_FLOW_FIN_BACKEND))
		class = PERCH_CLOSING;
	if (p->flags & TCP_FIN)
		f->flags |= PERCH_FLOW_FIN_CLIENT;
	if ((p->flags & TCP_RST) && is_near(p->seq, f->client_next)) {
		class = PERCH_CLOSING;
		f->flags |= PERCH_FLOW_RESET;
	}
	if (p->class == PERCH_EMBRYONIC && syn) {
		f->flags |= PERCH_FLOW_RESYN;
		if (!(p->flow.flags & VOTED) && is_past(m, f->created + DEADLINE, false)) {
			f->flags |= PERCH_FLOW_UNANSWERED;
			witness_failed(m, f);
		}
	}
	table_touch(m, p->at, class);
	if (class == PERCH_TCP && p->class == PERCH_EMBRYONIC)
		witness_established(m, &p->flow);
	if (!syn && is_after(states_end(p), f->client_next))
		f->client_next = states_end(p);
	else if (!syn && p->payload > 1)
		f->flags |= PERCH_FLOW_AGAIN;
	request(m, p);
}

/* What may be the answer to a SYN. */
static void reply_to_syn(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	__u32 beyond = p->ack - f->client_next;

	if (!(p->flags & TCP_ACK) || beyond > (f->request_at ? SYN_DATA : 0))
		return;
	if (p->flags & TCP_RST) {
		if (!(f->flags & (VOTED | PERCH_FLOW_RESET)))
			witness_failed(m, &p->flow);
		f->flags |= PERCH_FLOW_RESET;
		table_touch(m, p->at, PERCH_CLOSING);
	} else if (!(f->flags & PERCH_FLOW_ANSWERED)) {
		f->backend_next = p->seq + 1;
		if (!(f->flags & PERCH_FLOW_UNANSWERED))
			witness_answered(m, &p->flow);
		f->flags |= PERCH_FLOW_ANSWERED;
	}
}

static void reply_tcp(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	__u32 class = p->class;
	bool opening = class == PERCH_EMBRYONIC;
	bool reset = !opening && (p->flags & TCP_RST) && is_near(p->seq, f->backend_next);
	bool over = (p->flags & TCP_FIN) && (f->flags & PERCH_FLOW_FIN_CLIENT);

	if (opening && !(p->flags & (TCP_SYN | TCP_RST)))
		class = PERCH_TCP;
	else if (reset || over)
		class = PERCH_CLOSING;
	table_touch(m, p->at, class);
	f->via = p->via;
	if (opening && (p->flags & (TCP_SYN | TCP_RST))) {
		reply_to_syn(m, p);
		return;
	}
	if (opening && class == PERCH_TCP) {
		witness_established(m, &p->flow);
		if (!(f->flags & PERCH_FLOW_ANSWERED))
			f->backend_next = states_end(p);
	}
	if (class == PERCH_CLOSING && (p->flags & TCP_RST)) {
		if (p->class == PERCH_TCP && !(f->flags & (PERCH_FLOW_RESET | FINS)))
			witness_reset(m, &p->flow);
		f->flags |= PERCH_FLOW_RESET;
		return;
	}
	if (p->flags & TCP_FIN)
		f->flags |= PERCH_FLOW_FIN_BACKEND;
	if (is_after(states_end(p), f->backend_next))
		f->backend_next = states_end(p);
	response(m, p);
}

static void follow_udp(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);

	table_touch(m, p->at, !p->reply && (f->flags & PERCH_FLOW_ANSWERED) ? PERCH_UDP : PERCH_UDP_NEW);
	if (!p->reply) {
		request(m, p);
		return;
	}
	f->via = p->via;
	f->flags |= PERCH_FLOW_ANSWERED;
	response(m, p);
}

/* Only the client is seen: what it says is all there is, when it is near what
 * is expected of it. */
static void follow_one_sided(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	bool near = is_near(p->seq, f->client_next), syn = p->flags & TCP_SYN, ack = p->flags & TCP_ACK;
	__u32 class = p->class;

	if (!is_tcp(p)) {
		table_touch(m, p->at, PERCH_UDP_NEW);
		return;
	}
	if ((p->flags & (TCP_FIN | TCP_RST)) && near)
		class = PERCH_CLOSING;
	else if (class == PERCH_EMBRYONIC && ack && !syn && near)
		class = PERCH_ONE_SIDED;
	table_touch(m, p->at, class);
	if ((p->flags & TCP_RST) && near)
		f->flags |= PERCH_FLOW_RESET;
	if (!syn && (near || p->class != PERCH_EMBRYONIC) && is_after(states_end(p), f->client_next))
		f->client_next = states_end(p);
	if (ack)
		f->backend_next = p->ack;
}

void states_follow(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);
	bool was_over = perch_tag_class(*slot_tag(p->at)) == PERCH_CLOSING;

	/* a packet takes its flow along: up the stack, or past it */
	if (!p->reply)
		f->flags = (f->flags & ~PERCH_FLOW_UP) | (hop_up(p->via) ? PERCH_FLOW_UP : 0);
	if (perch_one_sided(p->forward)) {
		follow_one_sided(m, p);
		return;
	}
	/* both have said that they are done, each unseen by the other's packet */
	if ((f->flags & FINS) == FINS && p->class != PERCH_CLOSING)
		table_touch(m, p->at, PERCH_CLOSING);
	if (!is_tcp(p))
		follow_udp(m, p);
	else if (p->reply)
		reply_tcp(m, p);
	else
		forward_tcp(m, p);
	if (perch_tag_class(*slot_tag(p->at)) == PERCH_CLOSING && !was_over)
		witness_settled(m, f);
	if (perch_tag_class(*slot_tag(p->at)) == PERCH_CLOSING && !was_over && !p->alias.set)
		full_release(m, p);
	if (p->alias.set)
		table_touch_alias(m, p->alias, perch_tag_class(*slot_tag(p->at)) == PERCH_CLOSING ? PERCH_CLOSING : p->class);
}
