/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tunnels to backends: the packet, one hop older, inside another one from this
 * host to its backend.  IP in IP (RFC 2003, RFC 2473), or GUE variant 1: UDP to
 * a port of its own with IP right behind, and a source port that spreads over
 * the paths between.  The outer header has the DSCP and no ECN, for an end that
 * does not merge it back (RFC 6040, 4.1), and may not be fragmented.  The UDP
 * checksum is 0 over IPv6 too (RFC 6935): what is inside has its own, and the
 * end asks whether the packet was for it.
 */
#ifndef PERCH_BPF_TUNNEL_H
#define PERCH_BPF_TUNNEL_H

#include "rewrite.h"

#define TUNNEL_TTL 64
#define TUNNEL_PORTS 49152	/* the first of RFC 6335's dynamic ports; 2^14 */

/* A length that a super-packet may be beyond: then it is said to be 0. */
static __always_inline __be16 outer_length(u32 length)
{
	return length > 0xffff ? 0 : bpf_htons(length);
}

static __always_inline u8 outer_protocol(const struct packet *p)
{
	if (p->forward == PERCH_GUE)
		return IPPROTO_UDP;
	return p->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
}

static __always_inline void outer_udp(struct udphdr *u, const struct packet *p)
{
	/* the lowest bit of a fingerprint is always 1 */
	u->source = bpf_htons(TUNNEL_PORTS + (p->fingerprint >> 1 & 0x3fff));
	u->dest = bpf_htons(PERCH_GUE_PORT);
	u->len = outer_length(p->ip_length + sizeof(*u));
	u->check = 0;
}

static __always_inline bool outer_write_v4(void *data, void *end, const struct packet *p, const struct perch_service *sv)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *u = (void *)(ip + 1);

	if ((void *)(ip + 1) > end)
		return false;
	eth->h_proto = bpf_htons(ETH_P_IP);
	*(__be16 *)ip = bpf_htons(0x4500 | p->dscp << 2);
	ip->tot_len = outer_length(p->ip_length + p->overhead);
	ip->id = 0;
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = TUNNEL_TTL;
	ip->protocol = outer_protocol(p);
	ip->check = 0;
	ip->saddr = sv->tunnel4;
	ip->daddr = p->new_address.word[3];
	ip->check = ~sum_fold(sum_words(ip, sizeof(*ip) / 4));
	if (p->forward != PERCH_GUE)
		return true;
	if ((void *)(u + 1) > end)
		return false;
	outer_udp(u, p);
	return true;
}

static __always_inline bool outer_write_v6(void *data, void *end, const struct packet *p, const struct perch_service *sv)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct udphdr *u = (void *)(ip + 1);

	if ((void *)(ip + 1) > end)
		return false;
	eth->h_proto = bpf_htons(ETH_P_IPV6);
	/* the flow label spreads where ports are not looked at (RFC 6438) */
	*(__be32 *)ip = bpf_htonl(6u << 28 | (u32)p->dscp << 22 | (p->fingerprint >> 1 & 0xfffff));
	ip->payload_len = outer_length(p->ip_length + p->overhead - sizeof(*ip));
	ip->nexthdr = outer_protocol(p);
	ip->hop_limit = TUNNEL_TTL;
	__builtin_memcpy(&ip->saddr, &sv->tunnel6, 16);
	__builtin_memcpy(&ip->daddr, &p->new_address, 16);
	if (p->forward != PERCH_GUE)
		return true;
	if ((void *)(u + 1) > end)
		return false;
	outer_udp(u, p);
	return true;
}

/* The outer headers into the room that was made for them. */
static __always_inline bool outer_write(void *data, void *end, const struct packet *p, const struct perch_device *d)
{
	struct perch_service *sv = element(services, p->service);

	if (!sv || data + ETH_HLEN > end)
		return false;
	if (d)
		via_write(data, p->via, d);
	return address_mapped(&p->new_address) ? outer_write_v4(data, end, p, sv) : outer_write_v6(data, end, p, sv);
}

/* One hop less, and IPv4's checksum with it; see write_ip. */
static __always_inline bool inner_write(void *data, void *end, const struct packet *p)
{
	void *at = header_at(data, p->ip);

	if (p->v6) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		ip->hop_limit--;
	} else {
		struct iphdr *ip = at;
		u16 *life = (u16 *)&ip->ttl, old;

		if ((void *)(ip + 1) > end)
			return false;
		old = *life;
		ip->ttl--;
		ip->check = ~sum_fold((u64)(u16)~ip->check + (u16)~old + *life);
	}
	return true;
}

/* 1, or 0: the kernel refused. */
GLOBAL int tunnel_xdp(struct xdp_md *ctx, struct packet *p, struct perch_device *d)
{
	if (!p || !d || !inner_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p))
		return 0;
	if (bpf_xdp_adjust_head(ctx, (int)p->ip - ETH_HLEN - p->overhead))
		return 0;
	return outer_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, d);
}

/* What a complete checksum now covers too; an IPv4 header sums up to nothing. */
static __always_inline void outer_sum(struct __sk_buff *skb, const struct packet *p)
{
	void *ip = (void *)(long)skb->data + ETH_HLEN, *end = (void *)(long)skb->data_end;
	bool v4 = address_mapped(&p->new_address);
	void *udp = ip + (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	u64 sum = 0;

	if (udp > end)
		return;
	if (!v4)
		sum += sum_words(ip, sizeof(struct ipv6hdr) / 4);
	if (p->forward == PERCH_GUE && udp + sizeof(struct udphdr) <= end)
		sum += sum_words(udp, sizeof(struct udphdr) / 4);
	bpf_csum_update(skb, sum_fold(sum));
}

/* Super-packets are cut later: by sizes that leave room, if they do not now. */
GLOBAL int tunnel_tc(struct __sk_buff *skb, struct packet *p, struct perch_device *d)
{
	u64 flags;

	if (!p)
		return 0;
	flags = address_mapped(&p->new_address) ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	if (p->forward == PERCH_GUE)
		flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	if (!p->shrinks)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (p->v6)
		sum_tc_hop(skb, p);
	if (!inner_write((void *)(long)skb->data, (void *)(long)skb->data_end, p))
		return 0;
	if (bpf_skb_adjust_room(skb, p->overhead, BPF_ADJ_ROOM_MAC, flags))
		return 0;
	if (!outer_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, d))
		return 0;
	outer_sum(skb, p);
	return 1;
}

#endif
