/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel's choice computed once more: the keyed hash over the affinity
 * tuple and what is made of it (bpf/hash.h, bpf/pick.h), so that a choice can
 * be told without a packet.  SipHash-1-3: Aumasson and Bernstein, 2012.
 */
#ifndef PERCH_CORE_HASH_H
#define PERCH_CORE_HASH_H

#include <perch/abi.h>

/* Who connects to what.  Ports in network order. */
struct hash_tuple {
	struct perch_address client, destination;
	__be16 client_port, port;
	__u8 protocol;		/* IPPROTO_TCP or IPPROTO_UDP */
};

/* SipHash-c-d over whole words. */
__u64 hash_siphash(int rounds, int final_rounds, const __u64 key[2], const __u64 *words, unsigned n);
/* The finalizer of SplitMix64 (Steele, Lea, Flood, 2014). */
__u64 hash_mix(__u64 h);

/* The client as affinity and pins see it: of IPv6 its /64. */
struct perch_address hash_client(const struct perch_address *client);

/* Hash of the affinity tuple: the low half picks the backend, the high half,
 * turned by the rollout's salt, the version.  secret: control.secret. */
__u64 hash_affinity(const __u64 secret[4], enum perch_affinity affinity, const struct hash_tuple *t);
/* The place in the hash range, 0 .. PERCH_SHARE_ALL - 1. */
__u32 hash_value(__u64 hash, __u64 salt);
/* The entry of `slices` for a version's slice; its length is not 0. */
__u32 hash_entry(__u64 hash, __u64 slice);

#endif
