/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The flow table read from user space, the end of severed flows that send
 * nothing (a RST to both sides from a raw socket), and that of flows which are
 * left to the stack. */
#ifndef PERCH_FLOWS_H
#define PERCH_FLOWS_H

#include "datapath.h"

struct flow_copy {
	struct perch_flow flow;
	enum perch_class class;
	__u32 idle_ms;		/* since the last packet, by the kernel's tick */
};

/* Every live entry, each whole (tag read before and after); fn returns false
 * to stop.  Number of entries seen. */
size_t flows_walk(const struct maps *m, bool (*fn)(void *arg, const struct flow_copy *f), void *arg);
size_t flows_count(const struct maps *m, size_t by_class[16]);

/* The address that the flow's backend knows its client by. */
const struct perch_address *flows_source(const struct maps *m, const struct perch_flow *f);

/* Send RSTs to the ends of established TCP flows that are severed now (their
 * version's sever_before, or its drain when due, is after their creation),
 * those that were not told before; marks them PERCH_FLOW_SEVERED and closing,
 * and counts their end in the backend's ended_outside.  Returns how many flows
 * had an end that was told, or -errno.
 * Meant for right after a sever or a drain's end. */
int flows_sever(const struct maps *m, __u64 now_ns);

/* Flows that something may still be sent on: not those that are expired, or
 * over on both sides for a second.  by_service (may be NULL) has an element for
 * each of `services`. */
size_t flows_left(const struct maps *m, size_t *by_service);
/* Make the service's flows expired entries, and count their ends in
 * ended_outside: nobody is told, the next packet finds no flow.  Its listeners
 * are gone by then.  Returns how many there were. */
size_t flows_lapse(const struct maps *m, unsigned service);

#endif
