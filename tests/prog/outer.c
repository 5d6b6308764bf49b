/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Takes tunnelled packets apart for tests, and makes them. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "outer.h"

#define IPV4_LENGTH 20
#define IPV6_LENGTH 40
#define UDP_LENGTH 8

static __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static void put16(__u8 *at, __u16 v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static __u16 header_sum(const __u8 *ip)
{
	__u32 sum = 0;

	for (unsigned i = 0; i < IPV4_LENGTH; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static const char *read_v4(const __u8 *ip, size_t room, struct outer *o)
{
	if (room < IPV4_LENGTH || ip[0] != 0x45 || get16(ip + 2) != room)
		return "outer IPv4 header or length";
	if (header_sum(ip))
		return "outer IPv4 checksum";
	o->from.word[2] = o->to.word[2] = htonl(0xffff);
	memcpy(&o->from.word[3], ip + 12, 4);
	memcpy(&o->to.word[3], ip + 16, 4);
	o->tos = ip[1];
	o->ttl = ip[8];
	o->protocol = ip[9];
	o->fragments = get16(ip + 6) != 0x4000;
	return NULL;
}

static const char *read_v6(const __u8 *ip, size_t room, struct outer *o)
{
	if (room < IPV6_LENGTH || ip[0] >> 4 != 6 || get16(ip + 4) + IPV6_LENGTH != (int)room)
		return "outer IPv6 header or length";
	memcpy(&o->from, ip + 8, 16);
	memcpy(&o->to, ip + 24, 16);
	o->tos = get16(ip) >> 4;
	o->label = (ip[1] & 15) << 16 | get16(ip + 2);
	o->ttl = ip[7];
	o->protocol = ip[6];
	return NULL;
}

const char *outer_read(const struct packet *p, struct outer *ret, struct packet *ret_inner)
{
	const __u8 *ip = p->byte + ETH_HLEN, *inner;
	bool v4 = get16(ip - 2) == ETH_P_IP;
	struct outer o = { 0 };
	const char *fault;
	__u16 type;

	fault = v4 ? read_v4(ip, p->length - ETH_HLEN, &o) : read_v6(ip, p->length - ETH_HLEN, &o);
	if (fault)
		return fault;
	inner = ip + (v4 ? IPV4_LENGTH : IPV6_LENGTH);
	if (o.protocol == IPPROTO_UDP) {
		o.from_port = get16(inner);
		o.to_port = get16(inner + 2);
		o.sum = get16(inner + 6);
		if (o.to_port != OUTER_GUE || get16(inner + 4) != p->byte + p->length - inner)
			return "no UDP of GUE, or its length";
		inner += UDP_LENGTH;
	}
	type = inner[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6;
	if (o.protocol != IPPROTO_UDP && o.protocol != (type == ETH_P_IP ? IPPROTO_IPIP : IPPROTO_IPV6))
		return "not what the protocol says is inside";
	memcpy(ret_inner->byte, p->byte, ETH_HLEN);
	put16(ret_inner->byte + ETH_HLEN - 2, type);
	ret_inner->length = ETH_HLEN + (p->byte + p->length - inner);
	memcpy(ret_inner->byte + ETH_HLEN, inner, ret_inner->length - ETH_HLEN);
	*ret = o;
	return NULL;
}

static __u8 *build_ip(__u8 *ip, const struct outer *o, size_t rest)
{
	bool v4 = !o->from.word[0] && !o->from.word[1] && o->from.word[2] == htonl(0xffff);

	memset(ip, 0, v4 ? IPV4_LENGTH : IPV6_LENGTH);
	put16(ip - 2, v4 ? ETH_P_IP : ETH_P_IPV6);
	if (!v4) {
		put16(ip, 0x6000 | o->tos << 4 | o->label >> 16);
		put16(ip + 2, o->label);
		put16(ip + 4, rest);
		ip[6] = o->protocol;
		ip[7] = o->ttl;
		memcpy(ip + 8, &o->from, 16);
		memcpy(ip + 24, &o->to, 16);
		return ip + IPV6_LENGTH;
	}
	ip[0] = 0x45;
	ip[1] = o->tos;
	put16(ip + 2, IPV4_LENGTH + rest);
	put16(ip + 6, o->fragments ? 0 : 0x4000);
	ip[8] = o->ttl;
	ip[9] = o->protocol;
	memcpy(ip + 12, &o->from.word[3], 4);
	memcpy(ip + 16, &o->to.word[3], 4);
	put16(ip + 10, header_sum(ip));
	return ip + IPV4_LENGTH;
}

void outer_build(struct packet *p, const struct outer *o, const struct packet *inner)
{
	size_t rest = inner->length - ETH_HLEN, udp = o->protocol == IPPROTO_UDP ? UDP_LENGTH : 0;
	__u8 *at;

	memcpy(p->byte, inner->byte, ETH_HLEN);
	at = build_ip(p->byte + ETH_HLEN, o, udp + rest);
	if (udp) {
		put16(at, o->from_port);
		put16(at + 2, o->to_port);
		put16(at + 4, udp + rest);
		put16(at + 6, o->sum);
		at += udp;
	}
	memcpy(at, inner->byte + ETH_HLEN, rest);
	p->length = at + rest - p->byte;
}
