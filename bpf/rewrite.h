/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * New addresses and ports with right checksums (RFC 1624: the sum moves by
 * ~old + new).  XDP owns the bytes and updates them in place.  In TC the
 * transport checksum may be partial or complete: only the helpers know, the
 * rest is written in place too.
 */
#ifndef PERCH_BPF_REWRITE_H
#define PERCH_BPF_REWRITE_H

#include "forward.h"

static __always_inline u16 sum_fold(u64 s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return s;
}

static __always_inline u64 sum_words(const void *at, u32 words)
{
	const u32 *w = at;
	u64 s = 0;

#pragma unroll
	for (u32 i = 0; i < words; i++)
		s += w[i];
	return s;
}

/* What the change of one address adds to a sum. */
static __always_inline u64 sum_change(const struct perch_address *old, const struct perch_address *new, bool v6)
{
	u64 s = (u64)(u32)~old->word[3] + new->word[3];

	if (v6)
#pragma unroll
		for (int i = 0; i < 3; i++)
			s += (u64)(u32)~old->word[i] + new->word[i];
	return s;
}

/* The client's address as it came. */
static __always_inline const struct perch_address *own_client_address(const struct packet *p)
{
	return p->way == WAY_REPLY ? &p->destination : &p->source;
}

/* What the change of the addresses adds to a sum. */
static __always_inline u64 sum_address(const struct packet *p, const struct perch_address *old)
{
	u64 s = sum_change(old, &p->new_address, p->v6);

	if (unlikely(p->both))
		s += sum_change(own_client_address(p), &p->client_address, p->v6);
	return s;
}

/* The client's port as it came, and what its change adds to a sum. */
static __always_inline u16 own_client_port(const struct packet *p)
{
	return p->way == WAY_REPLY ? p->destination_port : p->source_port;
}

static __always_inline u64 sum_client_port(const struct packet *p)
{
	return p->client_port ? (u64)(u16)~own_client_port(p) + p->client_port : 0;
}

/*
 * IP header, the same for both hooks: address, hop count, IPv4's checksum.
 * parse saw it whole; it is asked again for the verifier, in each family's own
 * branch: that of Linux 6.1 does not remember which family it was in a compare
 * before, once that has been to the stack and back.
 */
static __always_inline bool write_ip(void *at, void *end, const struct packet *p, u64 sum, bool hop)
{
	bool reply = p->way == WAY_REPLY;

	if (p->v6) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		__builtin_memcpy(reply ? &ip->saddr : &ip->daddr, &p->new_address, 16);
		if (unlikely(p->both))
			__builtin_memcpy(reply ? &ip->daddr : &ip->saddr, &p->client_address, 16);
		ip->hop_limit -= hop;
	} else {
		struct iphdr *ip = at;
		u16 *life = (u16 *)&ip->ttl, old;

		if ((void *)(ip + 1) > end)
			return false;
		old = *life;
		ip->ttl -= hop;
		ip->check = ~sum_fold((u64)(u16)~ip->check + sum + (u16)~old + *life);
		if (reply)
			ip->saddr = p->new_address.word[3];
		else
			ip->daddr = p->new_address.word[3];
		if (unlikely(p->both))
			*(reply ? &ip->daddr : &ip->saddr) = p->client_address.word[3];
	}
	return true;
}

/* Sum of p's pseudo header, as it came. */
static __always_inline u64 sum_pseudo(const struct packet *p, u32 length)
{
	u64 s = bpf_htons(p->protocol) + bpf_htons(length);

	s += (u64)p->source.word[3] + p->destination.word[3];
	if (p->v6)
#pragma unroll
		for (int i = 0; i < 3; i++)
			s += (u64)p->source.word[i] + p->destination.word[i];
	return s;
}

static __always_inline u32 sum_offset(const struct packet *p)
{
	return p->transport +
	       (p->protocol == IPPROTO_UDP ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check));
}

/*
 * A virtual device may hand XDP a packet whose checksum is still the bare
 * pseudo header's, to be finished by a sender that will never be asked.  TC
 * can do those.  One good packet in 65,536 looks the same and goes there too.
 */
static __always_inline bool sum_missing(void *data, void *end, const struct packet *p)
{
	u16 *check = header_at(data, sum_offset(p));

	if ((void *)(check + 1) > end)
		return true;
	return *check == sum_fold(sum_pseudo(p, p->ip_length - (p->transport - p->ip)));
}

static __always_inline u16 sum_update(u16 check, u64 sum, bool udp)
{
	u16 r = ~sum_fold((u64)(u16)~check + sum);

	return udp && !r ? 0xffff : r;	/* RFC 768: 0 means none */
}

/* d NULL: it goes up the stack, with its MACs and hop count. */
static __always_inline bool rewrite_xdp(struct xdp_md *ctx, const struct packet *p, const struct perch_device *d)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	bool reply = p->way == WAY_REPLY, udp = p->protocol == IPPROTO_UDP;
	const struct perch_address *old = reply ? &p->source : &p->destination;
	u16 old_port = reply ? p->source_port : p->destination_port;
	u64 sum = sum_address(p, old), all = sum + (u16)~old_port + p->new_port + sum_client_port(p);
	void *at = header_at(data, p->transport), *eth;

	if (unlikely(p->piece == PIECE_LATER)) {
		;	/* what follows is payload */
	} else if (udp) {
		struct udphdr *u = at;

		if ((void *)(u + 1) > end)
			return false;
		if (u->check)	/* over IPv6 too: RFC 6936 */
			u->check = sum_update(u->check, all, true);
		*(reply ? &u->source : &u->dest) = p->new_port;
		if (unlikely(p->client_port))
			*(reply ? &u->dest : &u->source) = p->client_port;
	} else {
		struct tcphdr *t = at;

		if ((void *)(t + 1) > end)
			return false;
		t->check = sum_update(t->check, all, false);
		*(reply ? &t->source : &t->dest) = p->new_port;
		if (unlikely(p->client_port))
			*(reply ? &t->dest : &t->source) = p->client_port;
	}
	if (!write_ip(header_at(data, p->ip), end, p, sum, d != NULL))
		return false;
	if (!d)
		return true;
	eth = header_at(data, (p->ip - ETH_HLEN) & 0xff);
	if (eth + ETH_HLEN > end)
		return false;
	via_write(eth, p->via, d);
	return likely(p->ip == ETH_HLEN) || !bpf_xdp_adjust_head(ctx, p->ip - ETH_HLEN);
}

/* The hop count of IPv6 is in no checksum but the complete one of the skb. */
static __always_inline void sum_tc_hop(struct __sk_buff *skb, const struct packet *p)
{
	u16 old = bpf_htons((u16)(p->protocol << 8 | p->ttl)), new = bpf_htons((u16)(p->protocol << 8 | (p->ttl - 1)));

	bpf_csum_update(skb, (u32)(u16)~old + new);
}

/* One address, by the helpers; they invalidate packet pointers. */
static __always_inline bool sum_tc_address(struct __sk_buff *skb, const struct packet *p,
					   const struct perch_address *old, const struct perch_address *new)
{
	u64 flags = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	bool later = p->piece == PIECE_LATER;
	u32 at = sum_offset(p);
	s64 diff;

	if (!p->v6)
		return later || !bpf_l4_csum_replace(skb, at, old->word[3], new->word[3], BPF_F_PSEUDO_HDR | flags | 4);
	diff = bpf_csum_diff((__be32 *)old->word, 16, (__be32 *)new->word, 16, 0);
	if (diff < 0 || (!later && bpf_l4_csum_replace(skb, at, 0, diff, BPF_F_PSEUDO_HDR | flags)))
		return false;
	/* else a complete checksum would no longer hold */
	bpf_csum_update(skb, diff);
	return true;
}

/* The transport checksum. */
static __always_inline bool sum_tc(struct __sk_buff *skb, const struct packet *p)
{
	bool reply = p->way == WAY_REPLY, udp = p->protocol == IPPROTO_UDP;
	u32 at = sum_offset(p);
	u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	u16 old_port = reply ? p->source_port : p->destination_port;

	if (!sum_tc_address(skb, p, reply ? &p->source : &p->destination, &p->new_address))
		return false;
	if (unlikely(p->both) && !sum_tc_address(skb, p, own_client_address(p), &p->client_address))
		return false;
	if (unlikely(p->piece == PIECE_LATER))
		return true;
	if (bpf_l4_csum_replace(skb, at, old_port, p->new_port, flags | 2))
		return false;
	return !p->client_port || !bpf_l4_csum_replace(skb, at, own_client_port(p), p->client_port, flags | 2);
}

/* A datagram without a checksum has none that makes up for its ports in a
 * complete one. */
static __always_inline void sum_tc_ports(struct __sk_buff *skb, const struct packet *p)
{
	u16 old_port = p->way == WAY_REPLY ? p->source_port : p->destination_port;

	bpf_csum_update(skb, sum_fold((u64)(u16)~old_port + p->new_port + sum_client_port(p)));
}

/* Takes every tag off: the one beside the frame first, then the next one is
 * beside it. */
static __always_inline bool untag_tc(struct __sk_buff *skb, struct packet *p)
{
	if (bpf_skb_vlan_pop(skb) || (p->tags > 1 && bpf_skb_vlan_pop(skb)))
		return false;
	p->transport -= p->ip - ETH_HLEN;
	p->ip = ETH_HLEN;
	return true;
}

/* d NULL: MACs stay (the kernel sees to them); hop false: so do the hop count
 * and the tags, because it goes on through the stack. */
static __always_inline bool rewrite_tc(struct __sk_buff *skb, struct packet *p, const struct perch_device *d, bool hop)
{
	bool reply = p->way == WAY_REPLY;
	void *data, *end;
	__be16 *ports;

	if (unlikely(p->tags) && hop && !untag_tc(skb, p))
		return false;
	if (!sum_tc(skb, p))
		return false;
	if (hop && p->v6)
		sum_tc_hop(skb, p);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ports = header_at(data, p->transport);
	if (data + ETH_HLEN > end)
		return false;
	if (likely(p->piece != PIECE_LATER)) {
		if ((void *)(ports + 4) > end)
			return false;
		if (p->protocol == IPPROTO_UDP && unlikely(!ports[3]))
			sum_tc_ports(skb, p);
		ports[!reply] = p->new_port;
		if (unlikely(p->client_port))
			ports[reply] = p->client_port;
	}
	if (!write_ip(header_at(data, p->ip), end, p, sum_address(p, reply ? &p->source : &p->destination), hop))
		return false;
	if (d)
		via_write(data, p->via, d);
	return true;
}

#endif
