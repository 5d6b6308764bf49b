/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's news of what does not fit: TC tells its sender what does (RFC
 * 1191, RFC 8201), quoting 512 bytes, so often a second; or, where the packet
 * may be taken apart on its way, lets the stack do it.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

#define QUOTE 512

bool toobig_splits(const struct model *m, const struct seen *p)
{
	if (m->run->hook != PERCH_HOOK_TC_IN || p->v6 || p->reply || perch_one_sided(p->forward))
		return false;
	return !(read_number(m->run->in->byte + p->ip + 6, 2) & 0x4000);
}

/* Tokens of a second: {second:32, taken:32}. */
static bool token(struct model *m)
{
	__u64 *word = &m->t.control.too_big_tokens, second = m->run->began / 1000000000;

	is_past(m, (second + 1) * 1000000000, true);	/* if it has come, either is right */
	if (*word >> 32 != second)
		*word = second << 32;
	if ((__u32)*word >= PERCH_TOO_BIG_RATE)
		return false;
	++*word;
	return true;
}

static __u16 sum(const __u8 *at, __u32 n, __u64 s)
{
	for (__u32 i = 0; i < n; i += 2)
		s += read_number(at + i, 2);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s;
}

static void put(__u8 *at, __u32 v, unsigned bytes)
{
	while (bytes--)
		*at++ = v >> 8 * bytes;
}

static void tell_v4(__u8 *ip, const struct seen *p, const struct perch_address *from, __u32 fits)
{
	__u8 *icmp = ip + 20;

	ip[0] = 0x45;
	put(ip + 2, 20 + 8 + QUOTE, 2);
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, &from->word[3], 4);
	memcpy(ip + 16, &p->source.word[3], 4);
	put(ip + 10, sum(ip, 20, 0), 2);
	icmp[0] = 3;
	icmp[1] = 4;
	put(icmp + 6, fits, 2);
	put(icmp + 2, sum(icmp, 8 + QUOTE, 0), 2);
}

static void tell_v6(__u8 *ip, const struct seen *p, const struct perch_address *from, __u32 fits)
{
	__u8 *icmp = ip + 40;

	ip[0] = 0x60;
	put(ip + 4, 8 + QUOTE, 2);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, &p->source, 16);
	icmp[0] = 2;
	put(icmp + 4, fits < 1280 ? 1280 : fits, 4);
	put(icmp + 2, sum(icmp, 8 + QUOTE, (__u16)~sum(ip + 8, 32, IPPROTO_ICMPV6 + 8 + QUOTE)), 2);
}

/* In the listener's name; fullnat's backend knows its source alone. */
static void tell(struct model *m, const struct seen *p)
{
	const struct perch_address *from = p->reply && !p->both ? &p->new_address : &p->destination;
	__u32 header = (p->v6 ? 40 : 20) + 8, fits = p->fits - p->overhead;
	const __u8 *in = m->run->in->byte;
	__u8 *byte = m->out.byte;

	m->out.length = ETH_HLEN + header + QUOTE;
	memcpy(byte, in + ETH_ALEN, ETH_ALEN);
	memcpy(byte + ETH_ALEN, in, ETH_ALEN);
	memcpy(byte + 2 * ETH_ALEN, in + 2 * ETH_ALEN, 2);
	memset(byte + ETH_HLEN, 0, header);
	memcpy(byte + ETH_HLEN + header, in + ETH_HLEN, QUOTE);
	if (p->v6)
		tell_v6(byte + ETH_HLEN, p, from, fits);
	else
		tell_v4(byte + ETH_HLEN, p, from, fits);
}

int toobig_tell(struct model *m, const struct seen *p)
{
	if (m->run->hook != PERCH_HOOK_TC_IN || p->fits <= p->overhead || p->length <= p->ip + QUOTE || p->tags)
		return PERCH_R_TOO_BIG;
	if (!token(m))
		return PERCH_R_TOO_BIG_DROP;
	tell(m, p);
	return PERCH_R_TOO_BIG_TOLD;
}
