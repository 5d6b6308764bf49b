/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From bytes to struct packet, in two steps: `ours` asks the filter about the
 * addresses alone, so that what is not ours leaves after a few nanoseconds;
 * `parse` reads the rest. */
#ifndef PERCH_BPF_PARSE_H
#define PERCH_BPF_PARSE_H

#include "maps.h"

/* The answer when the packet may be ours, and when all of it was understood. */
#define PARSED -1

enum ours { OURS_TO_LISTENER = 1, OURS_FROM_BACKEND = 2 };

/* Both questions of the filter at once: enum ours. */
static __always_inline u32 ours_bits(const u32 *source, const u32 *destination)
{
	struct perch_filter *f = element(filter, 0);
	u32 d = perch_filter_bit(destination) & (PERCH_FILTER_BITS - 1);
	u32 s = perch_filter_bit(source) & (PERCH_FILTER_BITS - 1);

	if (!f)
		return 0;
	return (f->destination[d / 64] >> (d & 63) & 1) | (f->source[s / 64] >> (s & 63) & 1) << 1;
}

/* May it be ours?  PARSED with *bits, or the reason to pass it. */
static __always_inline int ours(void *data, void *end, u32 *bits)
{
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return PERCH_R_NOT_IP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return PERCH_R_MALFORMED;
		u32 source[4] = { 0, 0, bpf_htonl(0xffff), ip->saddr };
		u32 destination[4] = { 0, 0, bpf_htonl(0xffff), ip->daddr };

		*bits = ours_bits(source, destination);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return PERCH_R_MALFORMED;
		*bits = ours_bits(ip->saddr.in6_u.u6_addr32, ip->daddr.in6_u.u6_addr32);
	} else {
		return PERCH_R_NOT_IP;
	}
	return *bits ? PARSED : PERCH_R_NOT_OURS;
}

static __always_inline int parse_transport(void *at, void *end, struct packet *p, u32 header)
{
	p->transport = p->ip + header;
	if (p->protocol == IPPROTO_TCP) {
		struct tcphdr *t = at;

		if ((void *)(t + 1) > end || t->doff < 5 || header + t->doff * 4 > p->ip_length)
			return PERCH_R_MALFORMED;
		p->source_port = t->source;
		p->destination_port = t->dest;
		p->seq = bpf_ntohl(t->seq);
		p->ack = bpf_ntohl(t->ack_seq);
		p->tcp = ((u8 *)t)[13];
		p->payload = p->ip_length - header - t->doff * 4;
		return PARSED;
	}
	if (p->protocol == IPPROTO_UDP) {
		struct udphdr *u = at;

		if ((void *)(u + 1) > end || header + sizeof(*u) > p->ip_length)
			return PERCH_R_MALFORMED;
		p->source_port = u->source;
		p->destination_port = u->dest;
		p->tcp = 0;
		p->payload = p->ip_length - header - sizeof(*u);
		return PARSED;
	}
	return PERCH_R_PROTOCOL;
}

static __always_inline int parse_v4(struct iphdr *ip, void *end, struct packet *p)
{
	if ((void *)(ip + 1) > end)
		return PERCH_R_MALFORMED;
	p->v6 = 0;
	p->source = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip->saddr } };
	p->destination = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip->daddr } };
	if (ip->version != 4 || ip->ihl < 5)
		return PERCH_R_MALFORMED;
	if (ip->ihl != 5)
		return PERCH_R_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(0x3fff))
		return PERCH_R_FRAGMENT;
	p->ip_length = bpf_ntohs(ip->tot_len);
	/* a super-packet beyond 64 KiB carries 0 and means the rest */
	if (p->gso && !ip->tot_len)
		p->ip_length = p->length - p->ip;
	if (p->ip_length + p->ip > p->length)
		return PERCH_R_MALFORMED;
	p->protocol = ip->protocol;
	p->ttl = ip->ttl;
	p->dscp = ip->tos >> 2;
	return parse_transport(ip + 1, end, p, sizeof(*ip));
}

/* An IPv4 address in IPv6 form means IPv4 here; on the wire it is nobody's. */
static __always_inline bool address_mapped(const struct perch_address *a)
{
	return !(a->word[0] | a->word[1] | (a->word[2] ^ bpf_htonl(0xffff)));
}

static __always_inline int parse_v6(struct ipv6hdr *ip, void *end, struct packet *p)
{
	if ((void *)(ip + 1) > end)
		return PERCH_R_MALFORMED;
	p->v6 = 1;
	__builtin_memcpy(&p->source, &ip->saddr, 16);
	__builtin_memcpy(&p->destination, &ip->daddr, 16);
	if (ip->version != 6)
		return PERCH_R_MALFORMED;
	if (address_mapped(&p->source) || address_mapped(&p->destination))
		return PERCH_R_NOT_OURS;
	p->ip_length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (p->gso && !ip->payload_len)
		p->ip_length = p->length - p->ip;
	if (p->ip_length + p->ip > p->length)
		return PERCH_R_MALFORMED;
	p->protocol = ip->nexthdr;
	p->ttl = ip->hop_limit;
	p->dscp = bpf_ntohs(*(__be16 *)ip) >> 6 & 63;
	if (p->protocol == IPPROTO_FRAGMENT)
		return PERCH_R_FRAGMENT;
	if (p->protocol == IPPROTO_HOPOPTS || p->protocol == IPPROTO_ROUTING || p->protocol == IPPROTO_DSTOPTS)
		return PERCH_R_IP_OPTIONS;
	return parse_transport(ip + 1, end, p, sizeof(*ip));
}

/* PARSED, or the reason to pass it.  `length`, `gso` of p are set before. */
static __always_inline int parse(void *data, void *end, struct packet *p)
{
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return PERCH_R_NOT_IP;
	p->ip = sizeof(*eth);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return parse_v4((void *)(eth + 1), end, p);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return parse_v6((void *)(eth + 1), end, p);
	return PERCH_R_NOT_IP;
}

#endif
