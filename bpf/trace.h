/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Traces: a packet and what became of it, when somebody asks. */
#ifndef PERCH_BPF_TRACE_H
#define PERCH_BPF_TRACE_H

#include "event.h"
#include "pick.h"

/* Is it a packet that is asked for? */
static __always_inline bool trace_wanted(const struct packet *p, u32 tracing)
{
	const struct perch_address *client = p->way == WAY_REPLY ? &p->destination : &p->source;

	if ((tracing & PERCH_TRACE_SERVICE) && tracing >> 16 != p->service)
		return false;
	return !(tracing & PERCH_TRACE_CLIENT) || (tracing >> 3 & 0x1fff) == perch_trace_client(client->word);
}

static __always_inline u8 trace_notes(const struct packet *p, u32 reason)
{
	u8 notes = reason == PERCH_R_NEW ? PERCH_TRACE_NEW_FLOW : 0;

	if (p->way == WAY_REPLY)
		return notes | PERCH_TRACE_REPLY;
	if (p->found)
		return notes;
	if (p->notes & PICK_PINNED)
		notes |= PERCH_TRACE_BY_PIN;
	if (p->notes & PICK_RULED)
		notes |= PERCH_TRACE_BY_RULE;
	return notes;
}

static __always_inline void trace_fill(struct perch_trace *t, const struct packet *p, u32 reason)
{
	*t = (struct perch_trace){
		.source_port = p->source_port, .destination_port = p->destination_port,
		.ifindex = p->ifindex, .length = p->length, .reason = reason, .service = p->service,
		.hook = p->hook, .protocol = p->protocol, .tcp = p->tcp, .notes = trace_notes(p, reason),
	};
	t->source = p->source;
	t->destination = p->destination;
	if (p->found || reason == PERCH_R_NEW || reason == PERCH_R_UNLEARNED) {
		t->backend = p->flow.backend;
		t->slot = p->version & (PERCH_SLOTS - 1);
	}
}

GLOBAL int trace_write(struct packet *p, u32 reason)
{
	struct perch_control *c = element(control, 0);
	struct perch_trace *t;
	u64 now;

	if (!p || !c || !trace_wanted(p, READ(c->tracing)))
		return 0;
	now = bpf_ktime_get_ns();
	t = token_take(&c->trace_tokens, now, PERCH_TRACE_RATE) ? bpf_ringbuf_reserve(&traces, sizeof(*t), 0) : NULL;
	if (!t) {
		__sync_fetch_and_add(&c->traces_lost, 1);
		return 0;
	}
	trace_fill(t, p, reason);
	t->time = now;
	bpf_ringbuf_submit(t, 0);
	return 0;
}

/* Every packet that was parsed comes by here when it leaves. */
static __always_inline void trace(struct packet *p, u32 reason)
{
	struct perch_control *c = element(control, 0);

	if (c && unlikely(READ(c->tracing)))
		trace_write(p, reason);
}

#endif
