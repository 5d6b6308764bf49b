/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Keyed hashing of affinity tuples, as the programs do it. */
#include "hash.h"

#include "address.h"

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

__u64 hash_siphash(int rounds, int final_rounds, const __u64 key[2], const __u64 *words, unsigned n)
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

__u64 hash_mix(__u64 h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	return h ^ h >> 31;
}

struct perch_address hash_client(const struct perch_address *client)
{
	struct perch_address c = *client;

	if (!address_is_v4(client))
		c.word[2] = c.word[3] = 0;
	return c;
}

static __u64 half(const struct perch_address *a, int i)
{
	return (__u64)a->word[2 * i + 1] << 32 | a->word[2 * i];
}

__u64 hash_affinity(const __u64 secret[4], enum perch_affinity affinity, const struct hash_tuple *t)
{
	struct perch_address client = affinity == PERCH_AFFINITY_CLIENT ? hash_client(&t->client) : t->client;
	const __u64 words[5] = {
		half(&client, 0), half(&client, 1), half(&t->destination, 0), half(&t->destination, 1),
		t->client_port | (__u32)t->port << 16 | (__u64)t->protocol << 32,
	};

	return hash_siphash(1, 3, secret, words, affinity == PERCH_AFFINITY_CLIENT ? 2 : 5);
}

__u32 hash_value(__u64 hash, __u64 salt)
{
	return (hash_mix((hash >> 32) + salt) >> 32) * PERCH_SHARE_ALL >> 32;
}

__u32 hash_entry(__u64 hash, __u64 slice)
{
	return perch_slice_offset(slice) + ((__u64)(__u32)hash * perch_slice_length(slice) >> 32);
}
