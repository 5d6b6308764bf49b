/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP errors about the connections of a service (RFC 792, RFC 4443; RFC 5508
 * says what a translator owes them), in both directions.  What is steered is
 * not the error but the packet that would answer the one it quotes: that finds
 * the flow, or the backend by the hash, as any packet does.  Then the quote is
 * turned back into what its sender sent, and the error goes there, to a backend
 * of fullnat from the address that it knows; where only the MACs change, or a
 * tunnel goes around, there is nothing to turn.  What can't be read to the quoted
 * ports passes; nothing is dropped, nothing is entered.
 */
#ifndef PERCH_BPF_ICMP_H
#define PERCH_BPF_ICMP_H

#include "parse.h"
#include "rewrite.h"
#include "steer.h"

/* The header of both, as far as errors have it; linux/icmp.h drags in the C
 * library. */
struct icmp_header {
	u8 type, code;
	u16 checksum;
	__be32 rest;		/* of "too big": the MTU */
};

enum icmp_type {
	ICMP_DEST_UNREACH = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETERPROB = 12,
	ICMPV6_DEST_UNREACH = 1, ICMPV6_PKT_TOOBIG = 2, ICMPV6_PARAMPROB = 4,
};
#define ICMP_FRAG_NEEDED 4	/* code of ICMP_DEST_UNREACH */

/* Of the quoted transport header: ports and, of TCP, the sequence number. */
#define QUOTE_LEAST 8
/* What is read at most, from ICMP's header on: an IP header with all options,
 * and TCP up to its checksum.  Offsets stay below 256. */
#define ICMP_READ (sizeof(struct icmp_header) + 60 + sizeof(struct tcphdr))

/* Is it an error that a translator passes on? */
static __always_inline bool icmp_errs(struct packet *p, u8 type, u8 code)
{
	if (p->v6) {
		p->refuses = type == ICMPV6_DEST_UNREACH;
		return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
	}
	p->refuses = type == ICMP_DEST_UNREACH && code != ICMP_FRAG_NEEDED;
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* Errors go to who sent what they quote: p is for `from`, its answer too. */
static __always_inline int quote_ends(struct packet *p, const struct perch_address *from,
				      const struct perch_address *to)
{
	if (!address_equal(&p->destination, from))
		return PERCH_R_NOT_OURS;
	p->from_end = address_equal(&p->source, to);
	p->source = *to;
	return PARSED;
}

/* The quoted IP header; *end is where the quoted packet ended, in the frame. */
static __always_inline int quote_v4(struct iphdr *ip, struct packet *p, u32 *end)
{
	struct perch_address from = { { 0, 0, bpf_htonl(0xffff), ip->saddr } };
	struct perch_address to = { { 0, 0, bpf_htonl(0xffff), ip->daddr } };

	if (ip->version != 4 || ip->ihl < 5)
		return PERCH_R_MALFORMED;
	if (ip->frag_off & bpf_htons(0x1fff))
		return PERCH_R_FRAGMENT;	/* the first alone has ports */
	p->protocol = ip->protocol;
	p->quoted = p->quote + ip->ihl * 4;
	*end = p->quote + bpf_ntohs(ip->tot_len);
	return quote_ends(p, &from, &to);
}

static __always_inline int quote_v6(struct ipv6hdr *ip, struct packet *p, u32 *end)
{
	struct perch_address from, to;

	__builtin_memcpy(&from, &ip->saddr, 16);
	__builtin_memcpy(&to, &ip->daddr, 16);
	if (ip->version != 6)
		return PERCH_R_MALFORMED;
	p->protocol = ip->nexthdr;
	p->quoted = p->quote + sizeof(*ip);
	*end = p->quoted + bpf_ntohs(ip->payload_len);
	return quote_ends(p, &from, &to);
}

/* The quoted ports, and where its checksum is, if all of it was quoted. */
static __always_inline int quote_transport(void *data, void *end, struct packet *p, u32 last)
{
	__be16 *port = header_at(data, p->quoted);
	bool tcp = p->protocol == IPPROTO_TCP;
	u32 sum = p->quoted + (tcp ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));

	if (!tcp && p->protocol != IPPROTO_UDP)
		return PERCH_R_PROTOCOL;
	if ((void *)(port + QUOTE_LEAST / 2) > end || p->quoted + QUOTE_LEAST > last)
		return PERCH_R_MALFORMED;
	p->source_port = port[1];
	p->destination_port = port[0];
	p->seq = (u32)bpf_ntohs(port[2]) << 16 | bpf_ntohs(port[3]);
	p->tcp = tcp ? TCP_ACK : 0;
	p->payload = 0;
	p->quoted_sum = sum + sizeof(u16) <= last ? sum : 0;
	return PARSED;
}

static __always_inline int icmp_read_quote(void *data, void *end, struct packet *p)
{
	u32 last = p->ip + p->ip_length, quote_end = 0;
	struct icmp_header *h = header_at(data, p->transport);
	void *ip;
	int r;

	p->quoted = 0;		/* so far: path.h asks */
	p->source_port = 0;
	if (p->protocol != (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return PERCH_R_PROTOCOL;
	if (p->piece != PIECE_WHOLE)
		return PERCH_R_FRAGMENT;
	if (p->transport > 255 - ICMP_READ)
		return PERCH_R_IP_OPTIONS;
	if ((void *)(h + 1) > end)
		return PERCH_R_MALFORMED;
	if (!icmp_errs(p, h->type, h->code))
		return PERCH_R_PROTOCOL;
	p->quote = p->transport + sizeof(*h);
	ip = header_at(data, p->quote);
	if (p->v6 ? ip + sizeof(struct ipv6hdr) > end : ip + sizeof(struct iphdr) > end)
		return PERCH_R_MALFORMED;
	r = p->v6 ? quote_v6(ip, p, &quote_end) : quote_v4(ip, p, &quote_end);
	if (r != PARSED) {
		p->quoted = 0;
		return r;
	}
	r = quote_transport(data, end, p, last < quote_end ? last : quote_end);
	if (r != PARSED)
		return r;
	/* from here on the answer to the quoted packet is asked about */
	u32 bits = ours_bits(p->source.word, p->destination.word);

	p->to_listener = bits & OURS_TO_LISTENER;
	p->from_backend = bits & OURS_FROM_BACKEND;
	return bits ? PARSED : PERCH_R_NOT_OURS;
}

/* PARSED, or the reason to pass it; that of a packet whose own addresses are
 * not ours is that. */
static __always_inline int icmp_read(void *data, void *end, struct packet *p)
{
	bool named = p->to_listener | p->from_backend;
	int r = icmp_read_quote(data, end, p);

	return r == PARSED || named ? r : PERCH_R_NOT_OURS;
}

GLOBAL int icmp_read_xdp(struct xdp_md *ctx, struct packet *p)
{
	if (!p)
		return PERCH_R_NOT_OURS;
	return icmp_read((void *)(long)ctx->data, (void *)(long)ctx->data_end, p);
}

GLOBAL int icmp_read_tc(struct __sk_buff *skb, struct packet *p)
{
	u32 want;

	if (!p)
		return PERCH_R_NOT_OURS;
	want = p->transport + ICMP_READ;
	want = p->length < want ? p->length : want;
	if ((long)skb->data + want > (long)skb->data_end && bpf_skb_pull_data(skb, want))
		return PERCH_R_MALFORMED;
	return icmp_read((void *)(long)skb->data, (void *)(long)skb->data_end, p);
}

/* As steer_find; but the end of a connection is nobody's to be told of, and
 * no reason to drop an error. */
static __always_inline int icmp_find(struct packet *p)
{
	int r = steer_find(p);
	struct perch_backend *k;

	if (r == PERCH_R_SEVERED_DROP || r == PERCH_R_STABLE_DOWN_DROP)
		return PERCH_R_NOT_OURS;
	if (r != GO)
		return r;
	k = element(backends, p->flow.backend);
	if (p->answer || !k)
		return PERCH_R_NOT_OURS;
	/* which source the backend knows its client by, the flow alone can say */
	return p->both && !p->found ? PERCH_R_PROTOCOL : GO;
}

/* Nobody is there, to a SYN that was not answered: the connect has failed.
 * Who can't see the connection does not know the number that is quoted. */
GLOBAL int icmp_commit(struct packet *p)
{
	struct perch_flow *f;
	bool changed;

	if (!p || !p->refuses || !p->found || p->way != WAY_REPLY || p->protocol != IPPROTO_TCP)
		return 0;
	if (perch_tag_class(p->tag) != PERCH_EMBRYONIC || p->seq + 1 != p->flow.client_next ||
	    (p->flow.flags & (PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED)))
		return 0;
	f = flow_touch(p, PERCH_CLOSING, &changed);
	if (p->alias_tag)
		flow_alias_touch(p, PERCH_CLOSING);
	if (f && track_flag(f, p->flow.flags, PERCH_FLOW_RESET))
		evidence_connect_failed(&p->flow);
	return 0;
}

/* The quote as its sender knows it.  *sum is what the change adds to the ICMP
 * checksum; an IPv4 header adds nothing, its own sum sees to that. */
static __always_inline bool quote_write(void *data, void *end, const struct packet *p, bool v6, u64 address, u64 *sum)
{
	bool reply = p->way == WAY_REPLY;
	u16 old_port = reply ? p->source_port : p->destination_port;
	u64 ports = (u64)(u16)~old_port + p->new_port + sum_client_port(p);
	u16 *check = header_at(data, p->quoted_sum);
	__be16 *port = header_at(data, p->quoted);
	void *ip = header_at(data, p->quote);

	*sum = ports + (v6 ? address : 0);
	if (p->quoted_sum) {
		if ((void *)(check + 1) > end)
			return false;
		u16 old = *check;

		/* of UDP it is not there then, of TCP hardly: what is quoted may
		 * be filled up with 0 (RFC 4884) */
		if (old) {
			*check = sum_update(old, address + ports, p->protocol == IPPROTO_UDP);
			*sum += (u16)~old + (u64)*check;
		}
	}
	if ((void *)(port + 2) > end)
		return false;
	port[reply] = p->new_port;
	if (p->client_port)
		port[!reply] = p->client_port;
	if (v6) {
		struct ipv6hdr *h = ip;

		if ((void *)(h + 1) > end)
			return false;
		__builtin_memcpy(reply ? &h->daddr : &h->saddr, &p->new_address, 16);
		if (unlikely(p->both))
			__builtin_memcpy(reply ? &h->saddr : &h->daddr, &p->client_address, 16);
	} else {
		struct iphdr *h = ip;

		if ((void *)(h + 1) > end)
			return false;
		h->check = ~sum_fold((u64)(u16)~h->check + address);
		*(reply ? &h->daddr : &h->saddr) = p->new_address.word[3];
		if (unlikely(p->both))
			*(reply ? &h->saddr : &h->daddr) = p->client_address.word[3];
	}
	return true;
}

/* Who says so is neither end: from here on p->source is its address. */
static __always_inline bool icmp_take_source(const void *at, void *end, struct packet *p, bool v6)
{
	if (v6) {
		const struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		__builtin_memcpy(&p->source, &ip->saddr, 16);
	} else {
		const struct iphdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		p->source.word[3] = ip->saddr;
	}
	return true;
}

/* What the change of the error's own ends adds to a sum.  A router's stays the
 * router's towards a client: its address is written again. */
static __always_inline u64 icmp_sum_ends(struct packet *p)
{
	if (p->way == WAY_FORWARD)
		return sum_address(p, &p->destination);
	p->new_address = p->source;
	return p->both ? sum_change(&p->destination, &p->client_address, p->v6) : 0;
}

/* The whole error; `hop`: it is forwarded, which costs one.  No byte that a
 * complete checksum covers changes its sum but the hop count of IPv6: every
 * header here is under a checksum of its own, or of the pseudo header. */
static __always_inline bool icmp_write(void *data, void *end, struct packet *p, bool hop)
{
	bool v6 = p->v6;
	u64 address = sum_address(p, p->way == WAY_REPLY ? &p->source : &p->destination), sum = 0;
	struct icmp_header *h = header_at(data, p->transport);
	void *ip = header_at(data, p->ip), *eth = header_at(data, (p->ip - ETH_HLEN) & 0xff);
	struct perch_device *d = NULL;

	if (!quote_write(data, end, p, v6, address, &sum))
		return false;
	if ((void *)(h + 1) > end || eth + ETH_HLEN > end)
		return false;
	if (!p->from_end) {
		if (!icmp_take_source(ip, end, p, v6))
			return false;
		address = icmp_sum_ends(p);
	}
	h->checksum = ~sum_fold((u64)(u16)~h->checksum + sum + (v6 ? address : 0));
	if (!write_ip(ip, end, p, address, hop))
		return false;
	if (hop && p->via)
		d = element(devices, perch_via_device(p->via));
	if (d)
		via_write(eth, p->via, d);
	return true;
}

GLOBAL int icmp_write_xdp(struct xdp_md *ctx, struct packet *p, bool hop)
{
	if (!p || !icmp_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, hop))
		return false;
	return !hop || p->ip == ETH_HLEN || !bpf_xdp_adjust_head(ctx, p->ip - ETH_HLEN);
}

/* As untag_tc, and the quote moves, too. */
static __always_inline bool icmp_untag_tc(struct __sk_buff *skb, struct packet *p)
{
	u8 by = p->ip - ETH_HLEN;

	if (!untag_tc(skb, p))
		return false;
	p->quote -= by;
	p->quoted -= by;
	p->quoted_sum -= p->quoted_sum ? by : 0;
	return true;
}

GLOBAL int icmp_write_tc(struct __sk_buff *skb, struct packet *p, bool hop)
{
	if (!p || (p->tags && hop && !icmp_untag_tc(skb, p)))
		return false;
	if (hop && p->v6)
		sum_tc_hop(skb, p);
	return icmp_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, hop);
}

#endif
