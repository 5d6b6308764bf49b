/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choice of a version, computed a second time. */
#include <arpa/inet.h>

#include "model.h"

static __u64 rotate(__u64 x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

__u64 model_siphash(int rounds, int final_rounds, const __u64 key[2], const __u64 *words, unsigned n)
{
	__u64 v[4] = {
		key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
		key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull,
	};

	for (unsigned i = 0; i <= n; i++) {
		__u64 word = i < n ? words[i] : (__u64)n << 59;	/* the length in bytes, on top */

		v[3] ^= word;
		for (int r = 0; r < rounds; r++)
			sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int r = 0; r < final_rounds; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* SplitMix64's finalizer. */
static __u64 mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

__u32 model_value(const struct lab *lab, const struct packet_spec *s, enum perch_affinity affinity, __u64 salt)
{
	const __u32 *from = s->from.word, *to = s->to.word;
	__u64 words[5] = {
		(__u64)from[1] << 32 | from[0], (__u64)from[3] << 32 | from[2],
		(__u64)to[1] << 32 | to[0], (__u64)to[3] << 32 | to[2],
		(__u64)s->protocol << 32 | (__u32)htons(s->to_port) << 16 | htons(s->from_port),
	};
	unsigned n = 5;
	__u64 hash;

	if (affinity == PERCH_AFFINITY_CLIENT) {
		n = 2;
		if (lab_is_v6(&s->from))
			words[1] = 0;
	}
	hash = model_siphash(1, 3, lab->datapath.maps.control->secret, words, n);
	return (mix((hash >> 32) + salt) >> 32) * PERCH_SHARE_ALL >> 32;
}
