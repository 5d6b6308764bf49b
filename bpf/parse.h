/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From bytes to struct packet, in two steps: `ours` asks the filter about the
 * addresses alone, so that what is not ours leaves after a few nanoseconds;
 * `parse` reads the rest of a plain packet.  What is not plain (tags in the
 * frame, options, extension headers, fragments, more than one buffer) is
 * parse_odd.h's, which has the last word on all that `parse` does not take.
 *
 * VLAN tags (802.1Q, 802.1ad; two at most) are looked through, and a packet
 * that we send off leaves without them, as from a router: the route names the
 * device, its neighbour was found there, and if the device is a VLAN's it puts
 * its own tag on.  What goes up the stack keeps its tags, which lead it to its
 * VLAN's device; so does the answer to a severed sender, which goes back the
 * way it came.
 */
#ifndef PERCH_BPF_PARSE_H
#define PERCH_BPF_PARSE_H

#include "maps.h"

/* The answer when the packet may be ours, and when all of it was understood. */
#define PARSED -1

/* Of IPv4's frag_off: more fragments, and the offset in units of 8 bytes. */
#define IP4_MORE 0x2000
#define IP4_OFFSET 0x1fff
#define IP4_FRAGMENTED (IP4_MORE | IP4_OFFSET)

#define TAG_LENGTH 4
#define TAGS 2
/* As far as `ours` reads. */
#define HEADERS_IP (ETH_HLEN + TAGS * TAG_LENGTH + (int)sizeof(struct ipv6hdr))

enum ours { OURS_TO_LISTENER = 1, OURS_FROM_BACKEND = 2 };

/* A router's ICMP error has foreign addresses: what it quotes has to be read.
 * Asked last, and of what has no address of ours alone. */
static __always_inline int ours_said(u32 bits, const u8 *protocol, u8 icmp)
{
	opaque(bits);
	if (bits)
		return PARSED;
	return likely(*protocol != icmp) ? PERCH_R_NOT_OURS : PARSED;
}

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

static __always_inline int ours_ip(void *at, void *end, __be16 type, u32 *bits)
{
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end)
			return PERCH_R_MALFORMED;
		u32 source[4] = { 0, 0, bpf_htonl(0xffff), ip->saddr };
		u32 destination[4] = { 0, 0, bpf_htonl(0xffff), ip->daddr };

		*bits = ours_bits(source, destination);
		return ours_said(*bits, &ip->protocol, IPPROTO_ICMP);
	}
	if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return PERCH_R_MALFORMED;
		*bits = ours_bits(ip->saddr.in6_u.u6_addr32, ip->daddr.in6_u.u6_addr32);
		return ours_said(*bits, &ip->nexthdr, IPPROTO_ICMPV6);
	}
	return PERCH_R_NOT_IP;
}

static __always_inline bool is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* May it be ours?  PARSED with *bits, or the reason to pass it. */
static __always_inline int ours(void *data, void *end, u32 *bits)
{
	struct ethhdr *eth = data;
	__be16 *type = data + offsetof(struct ethhdr, h_proto);
	int r;

	if ((void *)(eth + 1) > end)
		return PERCH_R_NOT_IP;
	r = ours_ip(eth + 1, end, *type, bits);
	if (r != PERCH_R_NOT_IP || !is_tag(*type))
		return r;
	type += TAG_LENGTH / 2;
	if ((void *)(type + 1) <= end && is_tag(*type))
		type += TAG_LENGTH / 2;
	return (void *)(type + 1) <= end ? ours_ip(type + 1, end, *type, bits) : PERCH_R_NOT_IP;
}

/* A packet from where it goes to: no answer to it would ever arrive. */
static __always_inline int parse_land(const struct packet *p)
{
	if (unlikely(p->source_port == p->destination_port) && address_equal(&p->source, &p->destination))
		return PERCH_R_LAND;
	return PARSED;
}

static __always_inline int parse_tcp(struct tcphdr *t, void *end, struct packet *p, u32 header)
{
	if ((void *)(t + 1) > end || t->doff < 5 || header + t->doff * 4 > p->ip_length)
		return PERCH_R_MALFORMED;
	p->source_port = t->source;
	p->destination_port = t->dest;
	p->seq = bpf_ntohl(t->seq);
	p->ack = bpf_ntohl(t->ack_seq);
	p->tcp = ((u8 *)t)[13];
	p->payload = p->ip_length - header - t->doff * 4;
	return parse_land(p);
}

/* A super-packet's own length may have wrapped; a first fragment's is that of
 * the whole. */
static __always_inline bool udp_length_fits(const struct udphdr *u, const struct packet *p, u32 room)
{
	u32 length = bpf_ntohs(u->len);

	return p->gso || (length >= sizeof(*u) && (length <= room || p->piece == PIECE_FIRST));
}

static __always_inline int parse_udp(struct udphdr *u, void *end, struct packet *p, u32 header)
{
	if ((void *)(u + 1) > end || header + sizeof(*u) > p->ip_length ||
	    !udp_length_fits(u, p, p->ip_length - header))
		return PERCH_R_MALFORMED;
	p->source_port = u->source;
	p->destination_port = u->dest;
	p->tcp = 0;
	p->payload = p->ip_length - header - sizeof(*u);
	return parse_land(p);
}

/* `header`: bytes from the IP header to `at`. */
static __always_inline int parse_transport(void *at, void *end, struct packet *p, u32 header)
{
	p->transport = p->ip + header;
	if (p->protocol == IPPROTO_TCP)
		return parse_tcp(at, end, p, header);
	if (p->protocol == IPPROTO_UDP)
		return parse_udp(at, end, p, header);
	return PERCH_R_PROTOCOL;
}

/* A whole header, but for its options. */
static __always_inline int read_v4(const struct iphdr *ip, struct packet *p)
{
	p->v6 = 0;
	p->source = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip->saddr } };
	p->destination = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip->daddr } };
	p->ip_length = bpf_ntohs(ip->tot_len);
	/* a super-packet beyond 64 KiB carries 0 and means the rest */
	if (p->gso && !ip->tot_len)
		p->ip_length = p->length - p->ip;
	p->protocol = ip->protocol;
	p->ttl = ip->ttl;
	p->dscp = ip->tos >> 2;
	return ip->version == 4 && ip->ihl >= 5 && p->ip_length + p->ip <= p->length ? PARSED : PERCH_R_MALFORMED;
}

static __always_inline int read_v6(const struct ipv6hdr *ip, struct packet *p)
{
	p->v6 = 1;
	__builtin_memcpy(&p->source, &ip->saddr, 16);
	__builtin_memcpy(&p->destination, &ip->daddr, 16);
	if (address_mapped(&p->source) || address_mapped(&p->destination))
		return PERCH_R_NOT_OURS;
	p->ip_length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (p->gso && !ip->payload_len)
		p->ip_length = p->length - p->ip;
	p->protocol = ip->nexthdr;
	p->ttl = ip->hop_limit;
	p->dscp = bpf_ntohs(*(__be16 *)ip) >> 6 & 63;
	return ip->version == 6 && p->ip_length + p->ip <= p->length ? PARSED : PERCH_R_MALFORMED;
}

static __always_inline int parse_v4(struct iphdr *ip, void *end, struct packet *p)
{
	int r;

	if ((void *)(ip + 1) > end)
		return PERCH_R_MALFORMED;
	r = read_v4(ip, p);
	if (r != PARSED)
		return r;
	if (ip->ihl != 5)
		return PERCH_R_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP4_FRAGMENTED))
		return PERCH_R_FRAGMENT;
	return parse_transport(ip + 1, end, p, sizeof(*ip));
}

static __always_inline int parse_v6(struct ipv6hdr *ip, void *end, struct packet *p)
{
	int r;

	if ((void *)(ip + 1) > end)
		return PERCH_R_MALFORMED;
	r = read_v6(ip, p);
	return r == PARSED ? parse_transport(ip + 1, end, p, sizeof(*ip)) : r;
}

/* PARSED, or why it is not plain.  `length`, `gso` and `tags` of p are set
 * before. */
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
