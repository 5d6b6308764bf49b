/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What does not fit the next hop.  The stack can't say so: it would look up
 * where the listener's address leads, not the backend.  So TC tells the sender
 * what fits (RFC 1191, RFC 8201), in the listener's name, or of fullnat's source
 * to a backend that knows nobody else; XDP leaves that to it.  What may be
 * fragmented on its way to a backend goes up the stack as its rewritten self,
 * which does it; a reply can't, because nobody could turn its fragments, so its
 * sender is told, too, and will fragment by itself.
 */
#ifndef PERCH_BPF_TOOBIG_H
#define PERCH_BPF_TOOBIG_H

#include "answer.h"
#include "event.h"
#include "icmp.h"

/* Of the packet, from its IP header on: in all less than the 576 bytes that
 * every host takes. */
#define TOO_BIG_QUOTE 512

/* Is it a packet that the stack may take apart?  Then it goes there. */
GLOBAL int too_big_splits(struct __sk_buff *skb, struct packet *p)
{
	__be16 fragment = 0;

	if (!p || p->v6 || p->way != WAY_FORWARD || perch_one_sided(p->forward) ||
	    bpf_skb_load_bytes(skb, p->ip + offsetof(struct iphdr, frag_off), &fragment, sizeof(fragment)))
		return 0;
	if (fragment & bpf_htons(0x4000))
		return 0;
	p->via = VIA_UP;
	return 1;
}

/* A sum that is yet to be filled in will make all it covers come to the
 * complement of what stands in its field: then only the IP header is summed. */
static __always_inline s64 too_big_sum(void *data, void *end, const struct packet *p, u32 room, bool partial)
{
	u32 header = (u8)(p->transport - p->ip);
	u16 *check = header_at(data, room + sum_offset(p));
	void *at = header_at(data, room + p->ip);
	s64 sum;

	if (at + TOO_BIG_QUOTE > end)
		return -1;
	if (!partial)
		return bpf_csum_diff(NULL, 0, at, TOO_BIG_QUOTE, 0);
	if ((void *)(check + 1) > end)
		return -1;
	sum = bpf_csum_diff(NULL, 0, at, header, 0);
	return sum < 0 ? sum : sum + (u16)~*check;
}

static __always_inline void too_big_v4(struct iphdr *ip, const struct packet *p, const struct perch_address *from,
				       u32 mtu, u32 sum)
{
	struct icmp_header *h = (void *)(ip + 1);

	*ip = (struct iphdr){
		.version = 4, .ihl = 5, .tot_len = bpf_htons(sizeof(*ip) + sizeof(*h) + TOO_BIG_QUOTE),
		.ttl = 64, .protocol = IPPROTO_ICMP, .saddr = from->word[3], .daddr = p->source.word[3],
	};
	ip->check = ~sum_fold(sum_words(ip, 5));
	*h = (struct icmp_header){ .type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED };
	h->rest = bpf_htonl(mtu & 0xffff);
	h->checksum = ~sum_fold((u64)sum + sum_words(h, 2));
}

static __always_inline void too_big_v6(struct ipv6hdr *ip, const struct packet *p, const struct perch_address *from,
				       u32 mtu, u32 sum)
{
	u32 length = sizeof(struct icmp_header) + TOO_BIG_QUOTE;
	struct icmp_header *h = (void *)(ip + 1);

	*(__be32 *)ip = bpf_htonl(6u << 28);
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, from, 16);
	__builtin_memcpy(&ip->daddr, &p->source, 16);
	*h = (struct icmp_header){ .type = ICMPV6_PKT_TOOBIG };
	h->rest = bpf_htonl(mtu < IPV6_MTU_LEAST ? IPV6_MTU_LEAST : mtu);
	/* of the pseudo header, the addresses are in the header */
	h->checksum = ~sum_fold((u64)sum + sum_words(&ip->saddr, 8) + bpf_htons(IPPROTO_ICMPV6) +
				   bpf_htons(length) + sum_words(h, 2));
}

/* Both headers and the MACs. */
static __always_inline bool too_big_write(void *data, void *end, const struct packet *p, u32 mtu, u32 sum)
{
	bool listener = p->way == WAY_REPLY && !p->both;
	const struct perch_address *from = listener ? &p->new_address : &p->destination;
	struct ethhdr *eth = data;
	void *ip = header_at(data, p->ip);
	u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > end || ip + sizeof(struct ipv6hdr) + sizeof(struct icmp_header) > end)
		return false;
	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	if (p->v6)
		too_big_v6(ip, p, from, mtu, sum);
	else
		too_big_v4(ip, p, from, mtu, sum);
	return true;
}

/* May one more be told this second? */
static __always_inline bool too_big_allowed(void)
{
	struct perch_control *c = element(control, 0);

	return c && token_take(&c->too_big_tokens, bpf_ktime_get_ns(), PERCH_TOO_BIG_RATE);
}

/*
 * Turn p into the news, for its sender, of what fits: `mtu` less `overhead`,
 * the bytes of what we put around it.  PERCH_R_TOO_BIG_TOLD: it is to go back
 * where it came from; else the reason to drop it or, untouched, to pass it.
 */
GLOBAL int too_big_tell(struct __sk_buff *skb, struct packet *p, u32 mtu, u32 overhead)
{
	u32 room, whole;
	bool partial;
	s64 sum;

	/* it is cut, so that a complete checksum is no more; the headers go
	 * behind Ethernet's, and tags in the frame would be before them */
	if (!p || mtu <= overhead || p->length <= p->ip + TOO_BIG_QUOTE || p->ip != ETH_HLEN)
		return PERCH_R_TOO_BIG;
	if (!too_big_allowed())
		return PERCH_R_TOO_BIG_DROP;
	room = answer_header(p->v6) + sizeof(struct icmp_header);
	whole = p->ip + room + TOO_BIG_QUOTE;
	partial = answer_partial(skb, p);
	if (bpf_skb_change_tail(skb, p->ip + TOO_BIG_QUOTE, 0) ||
	    bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0) || bpf_skb_pull_data(skb, whole))
		return PERCH_R_REWRITE_FAILED;
	sum = too_big_sum((void *)(long)skb->data, (void *)(long)skb->data_end, p, room, partial);
	if (sum < 0)
		return PERCH_R_REWRITE_FAILED;
	if (!too_big_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, mtu - overhead, sum))
		return PERCH_R_REWRITE_FAILED;
	return PERCH_R_TOO_BIG_TOLD;
}

#endif
