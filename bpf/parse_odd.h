/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The packets that `parse` does not take: tags in the frame, IPv4 options,
 * IPv6 extension headers, fragments, headers or ends outside the first buffer.
 * Global functions, verified alone, so that they cost plain packets nothing.
 *
 * Options and extension headers are carried along unread, as by any router,
 * within bounds: EXTENSIONS headers of EXTENSIONS_LENGTH bytes together.  A
 * routing header that names more stops, or of the type that RFC 5095 forbids,
 * is not for its destination, and passes.
 */
#ifndef PERCH_BPF_PARSE_ODD_H
#define PERCH_BPF_PARSE_ODD_H

#include "parse.h"

#define EXTENSIONS 4
#define EXTENSIONS_LENGTH 192	/* so that offsets stay below 256 */
/* As far as is read. */
#define HEADERS_ALL (HEADERS_IP + EXTENSIONS_LENGTH + (int)sizeof(struct tcphdr))

/* The fragment header of IPv6 (RFC 8200, 4.5). */
struct fragment_header {
	u8 next, reserved;
	__be16 offset;		/* in bytes, as if its low three bits were 0; the
				 * lowest says that more follow */
	__be32 id;
};

/* How far parse_v6_odd has come. */
struct extensions {
	u32 at;			/* from the IP header */
	u8 next;
	u8 done;
};

/* A later fragment: payload, from here on. */
static __always_inline int parse_later(struct packet *p, u32 header)
{
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return PERCH_R_PROTOCOL;
	if (header > p->ip_length)
		return PERCH_R_MALFORMED;
	p->transport = p->ip + header;
	p->source_port = p->destination_port = 0;
	p->tcp = 0;
	p->seq = p->ack = 0;
	p->payload = p->ip_length - header;
	return parse_land(p);
}

static __always_inline int parse_v4_odd(void *at, void *end, struct packet *p)
{
	struct iphdr *ip = at;
	u32 header, fragment;
	int r;

	if ((void *)(ip + 1) > end)
		return PERCH_R_MALFORMED;
	r = read_v4(ip, p);
	if (r != PARSED)
		return r;
	header = ip->ihl * 4;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & IP4_OFFSET) {
		p->piece = PIECE_LATER;
		return parse_later(p, header);
	}
	p->piece = fragment & IP4_MORE ? PIECE_FIRST : PIECE_WHOLE;
	return parse_transport(header_at(ip, header), end, p, header);
}

static __always_inline bool is_extension(u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

/* One extension header.  PARSED, or the reason to pass the packet. */
static __always_inline int parse_extension(void *ip, void *end, struct packet *p, struct extensions *x)
{
	struct fragment_header *f = header_at(ip, x->at & 0xff);
	u8 *type = (u8 *)f + 2, *left = (u8 *)f + 3, *length = &f->reserved, is = x->next;

	if ((void *)(f + 1) > end)
		return PERCH_R_MALFORMED;
	x->next = f->next;
	if (is == IPPROTO_FRAGMENT) {
		u32 offset = bpf_ntohs(f->offset);

		/* neither: an atomic fragment, which is whole (RFC 6946) */
		p->piece = offset & ~7u ? PIECE_LATER : offset & 1 ? PIECE_FIRST : PIECE_WHOLE;
		x->done = p->piece != PIECE_WHOLE;
		x->at += sizeof(*f);
	} else {
		if (is == IPPROTO_ROUTING && (!*type || *left))
			return PERCH_R_IP_OPTIONS;
		x->at += (*length + 1) * 8;
	}
	return x->at <= sizeof(struct ipv6hdr) + EXTENSIONS_LENGTH ? PARSED : PERCH_R_IP_OPTIONS;
}

static __always_inline int parse_v6_odd(void *ip, void *end, struct packet *p)
{
	struct extensions x = { .at = sizeof(struct ipv6hdr) };
	int r;

	if (ip + sizeof(struct ipv6hdr) > end)
		return PERCH_R_MALFORMED;
	r = read_v6(ip, p);
	if (r != PARSED)
		return r;
	x.next = p->protocol;
	for (int i = 0; i < EXTENSIONS; i++) {
		if (x.done || !is_extension(x.next))
			break;
		r = parse_extension(ip, end, p, &x);
		if (r != PARSED)
			return r;
	}
	/* too many, or behind a fragment header, where later ones lack them */
	if (is_extension(x.next))
		return PERCH_R_IP_OPTIONS;
	p->protocol = x.next;
	if (p->piece == PIECE_LATER)
		return parse_later(p, x.at);
	return parse_transport(header_at(ip, x.at & 0xff), end, p, x.at);
}

static __always_inline int parse_odd(void *data, void *end, struct packet *p)
{
	__be16 *type = data + offsetof(struct ethhdr, h_proto);
	void *ip;

#pragma unroll
	for (int i = 0; i < TAGS; i++) {
		if ((void *)(type + 1) > end)
			return PERCH_R_NOT_IP;
		if (!is_tag(*type))
			break;
		type += TAG_LENGTH / 2;
		p->tags++;
	}
	if ((void *)(type + 1) > end || p->tags > TAGS)
		return PERCH_R_NOT_IP;
	ip = type + 1;
	p->ip = ip - data;
	if (*type == bpf_htons(ETH_P_IP))
		return parse_v4_odd(ip, end, p);
	if (*type == bpf_htons(ETH_P_IPV6))
		return parse_v6_odd(ip, end, p);
	return PERCH_R_NOT_IP;
}

GLOBAL int parse_odd_xdp(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!p)
		return PERCH_R_MALFORMED;
	p->length = bpf_xdp_get_buff_len(ctx);
	p->scattered = p->length > end - data;
	return parse_odd(data, end, p);
}

GLOBAL int parse_odd_tc(struct __sk_buff *skb, struct packet *p)
{
	u32 linear = skb->data_end - skb->data, wanted = skb->len < HEADERS_ALL ? skb->len : HEADERS_ALL;

	if (!p || (linear < wanted && bpf_skb_pull_data(skb, wanted)))
		return PERCH_R_MALFORMED;
	return parse_odd((void *)(long)skb->data, (void *)(long)skb->data_end, p);
}

#endif
