/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the programs of bench_peers and its user space share. */
#ifndef PERCH_BENCH_PEERS_H
#define PERCH_BENCH_PEERS_H

#include <linux/types.h>

#define PEERS_FRAME 60		/* Ethernet, IPv4, TCP, padded to the least length */
#define PEERS_CLIENTS 0x0a630000	/* 10.99.0.0/16 is spoofed */
#define PEERS_SINKS 2

/* Element 0 of `state`: orders. */
struct peers_state {
	__u8 same[PEERS_FRAME];	/* all that is the same in each frame */
	__u32 ip_sum, tcp_sum;	/* unfolded sums of it */
	__u32 device;
	__u32 syn;		/* first segments; else ACKs of what is established */
	__u32 first;		/* number of the first client */
	__u32 mask;		/* how many there are, a power of two, minus 1 */
	__u32 half;		/* half of the mask's bits, 1 at least */
	__u32 pause_ns;		/* from one frame to the next */
	__u64 next;		/* when the next may go */
	__u64 sent;

	__u32 to_device;	/* where the bare redirects send everything */
	__u8 to_mac[6];
};

/* Elements of `seen`, one per sink and one per place where frames may end else. */
enum peers_place { PEERS_STABLE, PEERS_CANARY, PEERS_CLIENT, PEERS_DROP, PEERS_PLACES };
struct peers_seen {
	__u64 packets;		/* of established connections; at the client, of whatever kind */
	__u64 first;		/* SYNs, at the client SYN-ACKs */
	__u64 last_first;	/* when the last came, CLOCK_MONOTONIC */
};

/* Clients in an order that no prefetcher follows: all of them, once each, by
 * steps that are bijective on the mask's bits. */
static inline __u32 peers_client(const struct peers_state *s)
{
	__u32 x = (__u32)s->sent * 2654435761u & s->mask;

	x ^= x >> s->half;
	x = x * 2246822519u & s->mask;
	x ^= x >> s->half;
	return s->first + x;
}

#endif
