/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A TCP segment of a severed flow becomes a RST to its sender (RFC 9293,
 * 3.10.7.1): cut to its headers, both ends swapped, checksums made anew.
 */
#ifndef PERCH_BPF_ANSWER_H
#define PERCH_BPF_ANSWER_H

#include "rewrite.h"

/* It has neither IPv4 options nor extension headers. */
static __always_inline u32 answer_header(bool v6)
{
	return v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static __always_inline u32 answer_length(const struct packet *p)
{
	return p->ip + answer_header(p->v6) + sizeof(struct tcphdr);
}

static __always_inline void answer_tcp(struct tcphdr *t, const struct packet *p)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->source = p->destination_port;
	t->dest = p->source_port;
	t->doff = 5;
	t->rst = 1;
	if (p->tcp & TCP_ACK) {
		t->seq = bpf_htonl(p->ack);
	} else {
		t->ack = 1;
		t->ack_seq = bpf_htonl(p->seq + p->payload + !!(p->tcp & TCP_SYN) + !!(p->tcp & TCP_FIN));
	}
}

static __always_inline void answer_ip(struct ethhdr *eth, void *at, const struct packet *p, bool v6)
{
	u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	if (v6) {
		struct ipv6hdr *ip = at;

		*(__be32 *)ip = bpf_htonl(6u << 28);
		ip->payload_len = bpf_htons(sizeof(struct tcphdr));
		ip->nexthdr = IPPROTO_TCP;
		ip->hop_limit = 64;
		__builtin_memcpy(&ip->saddr, &p->destination, 16);
		__builtin_memcpy(&ip->daddr, &p->source, 16);
	} else {
		struct iphdr *ip = at;

		*(u8 *)ip = 4 << 4 | sizeof(*ip) / 4;
		ip->tos = 0;
		ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
		ip->id = 0;
		ip->frag_off = bpf_htons(0x4000);
		ip->ttl = 64;
		ip->saddr = p->destination.word[3];
		ip->daddr = p->source.word[3];
		ip->check = 0;
		ip->check = ~sum_fold(sum_words(ip, 5));
	}
}

/* Writes the whole answer; `partial`: the sum will be finished by who sends. */
static __always_inline bool answer_write(void *data, void *end, const struct packet *p, bool partial)
{
	bool v6 = p->v6;
	void *ip = header_at(data, p->ip);
	struct tcphdr *t = header_at(ip, answer_header(v6));
	u64 pseudo;

	if ((void *)(t + 1) > end || data + ETH_HLEN > end)
		return false;
	answer_tcp(t, p);
	/* the pseudo header's sum is the same both ways */
	pseudo = sum_pseudo(p, sizeof(*t));
	t->check = partial ? sum_fold(pseudo) : ~sum_fold(pseudo + sum_words(t, 5));
	answer_ip(data, ip, p, v6);
	return true;
}

static __always_inline bool answer_xdp(struct xdp_md *ctx, const struct packet *p)
{
	int cut = (int)answer_length(p) - (int)bpf_xdp_get_buff_len(ctx);

	if (cut && bpf_xdp_adjust_tail(ctx, cut))
		return false;
	return answer_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, false);
}

/* Whether an skb's checksum is partial is nowhere to be read; but a change
 * outside the pseudo header moves it only when it is not. */
static __always_inline bool answer_partial(struct __sk_buff *skb, const struct packet *p)
{
	u32 at = sum_offset(p);
	u16 before = 0, after = 0;

	bpf_skb_load_bytes(skb, at, &before, 2);
	bpf_l4_csum_replace(skb, at, 0, 1, 2);
	bpf_skb_load_bytes(skb, at, &after, 2);
	bpf_skb_store_bytes(skb, at, &before, 2, 0);
	return before == after;
}

/* Sum of both headers, for a complete checksum to follow; 0 if not whole. */
static __always_inline u64 answer_headers(struct __sk_buff *skb, const struct packet *p)
{
	void *ip = header_at((void *)(long)skb->data, p->ip), *end = (void *)(long)skb->data_end;

	if (p->v6)
		return ip + sizeof(struct ipv6hdr) + sizeof(struct tcphdr) <= end ? sum_words(ip, 15) : 0;
	return ip + sizeof(struct iphdr) + sizeof(struct tcphdr) <= end ? sum_words(ip, 10) : 0;
}

static __always_inline int answer_tc(struct __sk_buff *skb, const struct packet *p)
{
	u16 before = sum_fold(answer_headers(skb, p));
	bool partial = answer_partial(skb, p);

	if (bpf_skb_change_tail(skb, answer_length(p), 0))
		return TC_ACT_SHOT;
	if (!answer_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, partial))
		return TC_ACT_SHOT;
	bpf_csum_update(skb, (u32)(u16)~before + sum_fold(answer_headers(skb, p)));
	return bpf_redirect(skb->ifindex, 0);
}

#endif
