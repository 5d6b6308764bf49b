/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the programs would do with a first packet (a TCP SYN, a UDP datagram),
 * told from the same maps by the same steps as bpf/steer.h and bpf/pick.h:
 * listener, door, pin, rule, mark, hash, backend.  And the flow that is there.
 */
#ifndef PERCH_EXPLAIN_H
#define PERCH_EXPLAIN_H

#include "../core/hash.h"
#include "flows.h"

/* What chose the version. */
enum explain_by {
	EXPLAIN_NOTHING,	/* there is no listener */
	EXPLAIN_DOOR, EXPLAIN_PIN, EXPLAIN_RULE, EXPLAIN_MARK, EXPLAIN_HASH,
};

struct explain {
	__u32 listener;		/* element of `listeners`; 0: none */
	bool any_port;		/* it listens on every port */
	bool excluded;		/* its service leaves this port alone */
	bool leaving;		/* it takes no new connections */
	unsigned service;

	__u64 word;
	struct perch_plan plan;	/* in force */
	bool torn;		/* it moved in four reads: all to stable */
	__u64 hash;
	__u32 value;		/* of the hash range */

	enum explain_by by;
	enum explain_by asked;	/* pin, rule or mark that there is, or NOTHING */
	__u8 target;		/* of what was asked; void when it is not `by` */
	unsigned wanted;	/* slot chosen */
	unsigned slot;		/* slot that takes it: has a live backend */
	__u32 backend;		/* element of `backends`; 0: nobody can take it */
};

/* now: monotonic ns.  dscp is of the packet. */
void explain_choice(const struct maps *m, const struct hash_tuple *t, __u8 dscp, __u64 now, struct explain *ret);
/* The flow of the tuple, if there is one that has not run out; -ENOENT. */
int explain_flow(const struct maps *m, const struct hash_tuple *t, struct flow_copy *ret);
/* Why the flow is decided anew with its next packet; NULL: it is kept. */
const char *explain_flow_ends(const struct maps *m, const struct flow_copy *f, __u64 now);

#endif
