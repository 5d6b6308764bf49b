/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Events: rare things told at once, at most PERCH_EVENT_RATE a second. */
#ifndef PERCH_BPF_EVENT_H
#define PERCH_BPF_EVENT_H

#include "maps.h"

/* A token for this second, of `rate`: {second:32, taken:32} in one word. */
static __always_inline bool token_take(u64 *tokens, u64 now, u32 rate)
{
	u64 second = now / 1000000000, old = READ(*tokens);

	if (old >> 32 != (second & 0xffffffff)) {
		__sync_val_compare_and_swap(tokens, old, second << 32);
		old = READ(*tokens);
	}
	if ((old & 0xffffffff) >= rate)
		return false;
	return (__sync_fetch_and_add(tokens, 1) & 0xffffffff) < rate;
}

static __always_inline void event_send(u16 kind, u16 service, u16 backend, u64 word, const struct perch_flow_key *flow)
{
	struct perch_control *c = element(control, 0);
	u64 now = bpf_ktime_get_ns();
	struct perch_event *e;

	if (!c)
		return;
	/* a rollback is never held back */
	if (!token_take(&c->event_tokens, now, PERCH_EVENT_RATE) && kind != PERCH_EVENT_REFLEX && kind != PERCH_EVENT_DEADMAN) {
		__sync_fetch_and_add(&c->events_lost, 1);
		return;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&c->events_lost, 1);
		return;
	}
	*e = (struct perch_event){ .time = now, .kind = kind, .service = service, .backend = backend, .word = word };
	e->flow = *flow;
	bpf_ringbuf_submit(e, 0);
}

#endif
