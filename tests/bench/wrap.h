/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the wrapper in the kernel and the benchmarks share. */
#ifndef PERCH_BENCH_WRAP_H
#define PERCH_BENCH_WRAP_H

#include <linux/types.h>

#define WRAP_HEADER 80		/* bytes that are put back; packets are longer */
#define WRAP_VERDICTS 16

enum wrap_vary { WRAP_SAME, WRAP_SOURCE, WRAP_DESTINATION };

struct wrap_config {
	__u32 vary;		/* enum wrap_vary: where the client's address and port are */
	__u32 v6;
	__u32 mask;		/* number of clients - 1, a power of two minus 1 */
	__u32 base;		/* number of the first client */
	__u32 sequence;		/* of the packet that runs now */
	__u32 half;		/* half of the mask's bits, 1 at least */
	__u32 spread;		/* IPv4, WRAP_SOURCE: this many destinations take turns by
				 * client, from the template's x.x.0.0 on; 0: the template's */
	__u64 header[WRAP_HEADER / 8];
	__u64 verdicts[WRAP_VERDICTS];	/* how often each was returned */
};

/* Clients in an order that no prefetcher follows: all of them, once each, by
 * steps that are bijective on the mask's bits. */
static inline __u32 wrap_client(const struct wrap_config *c)
{
	__u32 x = c->sequence * 2654435761u & c->mask;

	x ^= x >> c->half;
	x = x * 2246822519u & c->mask;
	x ^= x >> c->half;
	return c->base + x;
}

#define WRAP_ADDRESSES (1u << 18)
static inline __u32 wrap_address(__u32 client) { return client & (WRAP_ADDRESSES - 1); }
static inline __u16 wrap_port(__u32 client) { return 1024 + (client >> 18) * 7; }

/* Key and value of the reference's LRU look-up: addresses, ports, protocol. */
struct wrap_lru_key {
	__u32 source[4], destination[4];
	__u16 source_port, destination_port;
	__u32 protocol;
};
struct wrap_lru_value {
	__u64 position, time;
};

#endif
