/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The model's hashes: SipHash-1-3 (Aumasson and Bernstein, 2012) for choices,
 * a keyed NH sum for places in the flow table. */
#include <arpa/inet.h>

#include "parts.h"

static __u64 turn(__u64 x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = turn(v[1], 17) ^ v[2];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] = turn(v[2], 32);
}

static __u64 sip13(const __u64 *key, const __u64 *word, unsigned n)
{
	__u64 v[4] = {
		key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573,
	};

	for (unsigned i = 0; i <= n; i++) {
		__u64 w = i < n ? word[i] : (__u64)n * 8 << 56;

		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

__u64 hash_scramble(__u64 h)
{
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9;
	h ^= h >> 27;
	h *= 0x94d049bb133111eb;
	return h ^ h >> 31;
}

static __u64 pair(const struct perch_address *a, unsigned i)
{
	return a->word[i] | (__u64)a->word[i + 1] << 32;
}

/* By client: IPv4's address, IPv6's /64.  By connection: all of the tuple, or of
 * its addresses where fragments are taken. */
__u64 hash_connection(const struct model *m, const struct seen *p, __u8 affinity)
{
	const __u64 word[5] = {
		pair(&p->source, 0), pair(&p->source, 2), pair(&p->destination, 0), pair(&p->destination, 2),
		m->t.service[p->service].fragments ? 0 : (__u64)p->protocol << 32 | (__u64)p->destination_port << 16 | p->source_port,
	};
	const __u64 client[2] = { word[0], p->v6 ? 0 : word[1] };

	return affinity == PERCH_AFFINITY_CLIENT ? sip13(m->t.control.secret, client, 2) :
						   sip13(m->t.control.secret, word, 5);
}

/* The place in the hash range: the high half, turned by the salt. */
__u32 hash_share(__u64 hash, __u64 salt)
{
	return (hash_scramble((hash >> 32) + salt) >> 32) * PERCH_SHARE_ALL >> 32;
}

static __u64 product(__u32 a, __u32 key_a, __u32 b, __u32 key_b)
{
	return (__u64)(__u32)(a + key_a) * (__u32)(b + key_b);
}

static __u64 hash_client(const struct model *m, const struct perch_address *client, __be16 port, __u8 protocol)
{
	__u64 a = m->t.control.secret[2], b = m->t.control.secret[3], h = a ^ b >> 7;

	h += product(client->word[0], a, client->word[1], a >> 32);
	h += product(client->word[2], b, client->word[3], b >> 32);
	h += product((__u32)protocol << 16 | port, a >> 16, b >> 16 | 1, 0);
	return hash_scramble(h);
}

static struct model_place place_by(const struct model *m, __u64 h)
{
	__u32 mask = m->n_sets - 1;
	struct model_place place;

	place.set[0] = h & mask;
	place.set[1] = h >> 18 & mask;
	if (place.set[0] == place.set[1])
		place.set[1] ^= 1;
	place.fingerprint = h >> 40 | 1;
	place.stripe = h >> 32 & 255;
	return place;
}

struct model_place model_place(const struct model *m, const struct perch_address *client, __be16 port, __u8 protocol)
{
	return place_by(m, hash_client(m, client, port, protocol));
}

struct model_place model_place_full(const struct model *m, const struct perch_address *source, __be16 port, __u8 protocol,
				    const struct perch_address *backend, __be16 backend_port)
{
	__u64 a = m->t.control.secret[0], b = m->t.control.secret[1];
	__u64 h = hash_client(m, source, htons(ntohs(port) & ~7u), protocol);
	struct model_place place;

	h += product(backend->word[0], a, backend->word[1], a >> 32);
	h += product(backend->word[2], b, backend->word[3], b >> 32);
	h += product(backend_port, a >> 16, b >> 16 | 1, 0);
	place = place_by(m, hash_scramble(h));
	place.fingerprint = (place.fingerprint & ~14u) | (ntohs(port) & 7) << 1;
	return place;
}
