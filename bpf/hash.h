/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Keyed hashes.  SipHash-1-3 (Aumasson and Bernstein, 2012) decides who gets
 * which version: nobody without the secret can aim at one.  The flow table's
 * own is cheaper: a keyed NH sum and a finalizer, for places, not decisions. */
#ifndef PERCH_BPF_HASH_H
#define PERCH_BPF_HASH_H

#include "common.h"

#define ROTATE(x, by) ((x) << (by) | (x) >> (64 - (by)))

#define SIP_ROUND                                                              \
	do {                                                                   \
		v0 += v1; v1 = ROTATE(v1, 13); v1 ^= v0; v0 = ROTATE(v0, 32);  \
		v2 += v3; v3 = ROTATE(v3, 16); v3 ^= v2;                       \
		v0 += v3; v3 = ROTATE(v3, 21); v3 ^= v0;                       \
		v2 += v1; v1 = ROTATE(v1, 17); v1 ^= v2; v2 = ROTATE(v2, 32);  \
	} while (0)

/* SipHash-1-3 over whole words. */
static __always_inline u64 hash_sip(const u64 *m, int words)
{
	u64 k0 = constants.secret[0], k1 = constants.secret[1];
	u64 v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
	u64 v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
	u64 last = (u64)words * 8 << 56;

#pragma unroll
	for (int i = 0; i < words; i++) {
		v3 ^= m[i];
		SIP_ROUND;
		v0 ^= m[i];
	}
	v3 ^= last;
	SIP_ROUND;
	v0 ^= last;
	v2 ^= 0xff;
	SIP_ROUND;
	SIP_ROUND;
	SIP_ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood, 2014). */
static __always_inline u64 hash_mix(u64 h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	return h ^ h >> 31;
}

/* Place of a client's tuple in the flow table. */
static __always_inline u64 hash_tuple(const struct perch_address *client, __be16 port, u8 protocol)
{
	u64 k0 = constants.secret[2], k1 = constants.secret[3];
	u64 h = k0 ^ k1 >> 7;

	h += (u64)(u32)(client->word[0] + (u32)k0) * (u32)(client->word[1] + (u32)(k0 >> 32));
	h += (u64)(u32)(client->word[2] + (u32)k1) * (u32)(client->word[3] + (u32)(k1 >> 32));
	h += (u64)(u32)((port | (u32)protocol << 16) + (u32)(k0 >> 16)) * (u32)(k1 >> 16 | 1);
	return hash_mix(h);
}

/* Of both ends of a connection. */
static __always_inline u64 hash_ends(const struct perch_address *source, __be16 source_port,
				     const struct perch_address *backend, __be16 backend_port, u8 protocol)
{
	u64 k0 = constants.secret[0], k1 = constants.secret[1];
	u64 h = hash_tuple(source, source_port, protocol);

	h += (u64)(u32)(backend->word[0] + (u32)k0) * (u32)(backend->word[1] + (u32)(k0 >> 32));
	h += (u64)(u32)(backend->word[2] + (u32)k1) * (u32)(backend->word[3] + (u32)(k1 >> 32));
	h += (u64)(u32)(backend_port + (u32)(k0 >> 16)) * (u32)(k1 >> 16 | 1);
	return hash_mix(h);
}

#endif
