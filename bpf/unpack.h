/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The other end of tunnels, on the backend's host: what comes by an interface
 * that is to unpack, in IP in IP or GUE variant 1, to an address of this host
 * and with one inside, is taken out and given to the stack.  Who put it in has
 * chosen this host, so it is never steered again: XDP, behind which TC would
 * look at it, leaves it to TC when it is for a listener here.  What is for
 * others, damaged or a fragment stays as it came.
 *
 * Asked about only on the way out of a packet that is nobody's, so that it
 * costs the others nothing.
 */
#ifndef PERCH_BPF_UNPACK_H
#define PERCH_BPF_UNPACK_H

#include "steer.h"
#include "rewrite.h"

/* Linux 6.3; what older headers lack. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ull << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ull << 8)

#define TRANSLATION 20		/* between the lengths of both IP headers */

/* What is inside. */
struct inner {
	u32 at;			/* where it is in the frame */
	bool v6;
};

/* Is p, which passes for this reason, of a tunnel's kind? */
static __always_inline bool unpack_asked(const struct packet *p, u32 reason)
{
	if (p->piece != PIECE_WHOLE)
		return false;
	if (reason == PERCH_R_PROTOCOL)
		return p->protocol == IPPROTO_IPIP || p->protocol == IPPROTO_IPV6;
	return (reason == PERCH_R_NO_LISTENER || reason == PERCH_R_NOT_OUR_REPLY) && p->protocol == IPPROTO_UDP &&
	       p->destination_port == bpf_htons(PERCH_GUE_PORT);
}

/* A key on the stack: Linux 6.1 takes none out of the memory of a packet. */
static __always_inline bool is_local(const struct perch_address *a)
{
	struct perch_address key = *a;

	return bpf_map_lookup_elem(&locals, &key);
}

/* A super-packet beyond 64 KiB says 0. */
static __always_inline bool inner_fits(const struct packet *p, u32 length, u32 room)
{
	return length <= room && (length || p->gso);
}

/* Destination, protocol and port of what is inside become p's.  Fragments and
 * options have no port that we look for: 0. */
static __always_inline bool inner_v4(struct packet *p, void *at, void *end, u32 room)
{
	struct iphdr *ip = at;
	__be16 *ports = (void *)(ip + 1);

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5 ||
	    !inner_fits(p, bpf_ntohs(ip->tot_len), room))
		return false;
	p->destination = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip->daddr } };
	p->protocol = ip->protocol;
	p->destination_port = 0;
	if (ip->ihl == 5 && !(ip->frag_off & bpf_htons(0x1fff)) && (void *)(ports + 2) <= end)
		p->destination_port = ports[1];
	return true;
}

static __always_inline bool inner_v6(struct packet *p, void *at, void *end, u32 room)
{
	struct ipv6hdr *ip = at;
	__be16 *ports = (void *)(ip + 1);
	u32 length;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return false;
	length = bpf_ntohs(ip->payload_len);
	if (!inner_fits(p, length ? length + sizeof(*ip) : 0, room))
		return false;
	__builtin_memcpy(&p->destination, &ip->daddr, 16);
	p->protocol = ip->nexthdr;
	p->destination_port = (void *)(ports + 2) <= end ? ports[1] : 0;
	return !address_mapped(&p->destination);
}

/* Where in the frame the inner packet would be. */
static __always_inline u32 unpack_offset(const struct packet *p)
{
	return (u32)p->transport + (p->protocol == IPPROTO_UDP ? sizeof(struct udphdr) : 0);
}

/* PERCH_R_UNPACKED: *in is to be taken out; else why p passes. */
static __always_inline u32 unpack_look(void *data, void *end, struct packet *p, u32 reason, struct inner *in)
{
	struct perch_device *d = device_by_index(p->ifindex);
	u8 outer = p->protocol, *at;
	u32 room;

	if (!d || !d->decap || !is_local(&p->destination))
		return reason;
	in->at = unpack_offset(p);
	at = header_at(data, in->at);
	room = p->ip_length - (in->at - p->ip);
	if (at + 1 > (u8 *)end || room > p->ip_length)	/* it wrapped: there is none */
		return PERCH_R_NOT_UNPACKED;
	/* variants of GUE are told apart by the two bits that are 01 in both
	 * versions of IP */
	in->v6 = *at >> 4 == 6;
	if (outer != IPPROTO_UDP && outer != (in->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return PERCH_R_NOT_UNPACKED;
	if (in->v6 ? !inner_v6(p, at, end, room) : !inner_v4(p, at, end, room))
		return PERCH_R_NOT_UNPACKED;
	return is_local(&p->destination) ? PERCH_R_UNPACKED : PERCH_R_NOT_UNPACKED;
}

/* The reason that p passes for now. */
GLOBAL int unpack_xdp(struct xdp_md *ctx, struct packet *p, u32 reason)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct inner in = {};
	struct ethhdr eth;

	if (!p || data + ETH_HLEN > end)
		return reason;
	if (p->ip != ETH_HLEN)
		return reason;	/* its tag is beside the frame in TC, and stays */
	eth = *(struct ethhdr *)data;
	reason = unpack_look(data, end, p, reason, &in);
	if (reason != PERCH_R_UNPACKED)
		return reason;
	if (steer_listener(p))
		return PERCH_R_LEFT_WRAPPED;
	if (bpf_xdp_adjust_head(ctx, in.at - ETH_HLEN))
		return PERCH_R_NOT_UNPACKED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN > end)
		return PERCH_R_NOT_UNPACKED;
	eth.h_proto = in.v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	*(struct ethhdr *)data = eth;
	return reason;
}

/* n bytes less behind the Ethernet header, and the skb of that family.  Before
 * Linux 6.3 the family changes by what translates it. */
static __always_inline long unpack_cut(struct __sk_buff *skb, int n, bool from_v6, bool to_v6)
{
	u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	long r;

	if (from_v6 == to_v6)
		return bpf_skb_adjust_room(skb, -n, BPF_ADJ_ROOM_MAC, flags);
	r = bpf_skb_adjust_room(skb, -n, BPF_ADJ_ROOM_MAC,
				flags | (to_v6 ? ADJ_ROOM_DECAP_L3_IPV6 : ADJ_ROOM_DECAP_L3_IPV4));
	if (!r)
		return 0;
	r = bpf_skb_change_proto(skb, to_v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP), 0);
	return r ? r : bpf_skb_adjust_room(skb, to_v6 ? -n - TRANSLATION : -n + TRANSLATION, BPF_ADJ_ROOM_MAC, flags);
}

GLOBAL int unpack_tc(struct __sk_buff *skb, struct packet *p, u32 reason)
{
	void *data, *end;
	struct inner in = {};
	u32 want;

	if (!p || p->ip != ETH_HLEN)
		return reason;
	want = unpack_offset(p) + sizeof(struct ipv6hdr) + sizeof(__be32);
	if ((void *)(long)skb->data + want > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, want < skb->len ? want : skb->len);
	reason = unpack_look((void *)(long)skb->data, (void *)(long)skb->data_end, p, reason, &in);
	if (reason != PERCH_R_UNPACKED)
		return reason;
	if (unpack_cut(skb, in.at - p->ip, p->v6, in.v6))
		return PERCH_R_NOT_UNPACKED;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + ETH_HLEN > end)
		return PERCH_R_NOT_UNPACKED;
	((struct ethhdr *)data)->h_proto = in.v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return reason;
}

#endif
