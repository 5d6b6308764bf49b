/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP errors about the packets of our own tunnels (RFC 2003, 4; RFC 2473, 8).
 * What fits the way to a backend is remembered with it (RFC 1191, RFC 8201), so
 * that the next packet that does not fit is answered by toobig.h: that has all
 * of the packet, however little a router quotes and whichever family it is of,
 * and answers every client of that backend, not the one who met the router.
 * It is believed if it quotes a packet of a flow in the table, in the tunnel
 * that this flow takes, and of TCP a number that its client has just sent.
 *
 * TC alone reads them, and all go on to the stack, for tunnels of its own.
 */
#ifndef PERCH_BPF_PATH_H
#define PERCH_BPF_PATH_H

#include "answer.h"
#include "icmp.h"
#include "tunnel.h"

/* What is read at most, from the quoted outer header on. */
#define PATH_READ (sizeof(struct ipv6hdr) + sizeof(struct udphdr) + 60 + QUOTE_LEAST)
/* How far behind its client's last byte a segment may be that is still on its
 * way, or sent again. */
#define PATH_WINDOW (4 << 20)

/* Is what icmp_read has found quoted in a tunnel of our kind?  Then where what
 * is inside begins, or 0. */
static __always_inline u32 path_inside(const struct packet *p)
{
	/* nobody puts options into what we wrote */
	if (!p->quoted || p->quoted - p->quote != answer_header(p->v6))
		return 0;
	if (p->protocol == IPPROTO_IPIP || p->protocol == IPPROTO_IPV6)
		return p->quoted;
	if (p->protocol != IPPROTO_UDP || p->source_port != bpf_htons(PERCH_GUE_PORT) ||
	    bpf_ntohs(p->destination_port) < TUNNEL_PORTS)
		return 0;
	return p->quoted + sizeof(struct udphdr);
}

/* What is inside, as icmp_read reads what is quoted: p is its answer then. */
static __always_inline int path_read(void *data, void *end, struct packet *p)
{
	u32 last = p->ip + p->ip_length, inner_end = 0;
	u8 outer = p->protocol, *at = header_at(data, p->quote);
	struct ipv6hdr *ip6 = (void *)at;
	struct iphdr *ip4 = (void *)at;
	bool v6;
	int r;

	if ((void *)(ip4 + 1) > end)
		return PERCH_R_TUNNEL_DOUBT;
	v6 = *at >> 4 == 6;
	if (outer != IPPROTO_UDP && outer != (v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return PERCH_R_TUNNEL_DOUBT;
	if (v6) {
		if ((void *)(ip6 + 1) > end)
			return PERCH_R_TUNNEL_DOUBT;
		__builtin_memcpy(&p->destination, &ip6->saddr, 16);
		r = quote_v6(ip6, p, &inner_end);
	} else {
		p->destination = (struct perch_address){ { 0, 0, bpf_htonl(0xffff), ip4->saddr } };
		r = quote_v4(ip4, p, &inner_end);
	}
	return r == PARSED ? quote_transport(data, end, p, last < inner_end ? last : inner_end) : r;
}

/* The backend of the flow of the packet that p answers, if it went there by
 * this tunnel: from p->client_address to p->new_address. */
static __always_inline struct perch_backend *path_backend(struct packet *p, u8 forward)
{
	struct perch_address client = p->destination;
	__be16 port = p->destination_port;
	struct perch_backend *k;
	struct perch_service *sv;

	p->way = WAY_FORWARD;
	p->now = tick_now();
	p->destination = p->source;
	p->destination_port = p->source_port;
	steer_key(p, &client, port);
	flow_place(p);
	if (!flow_find(p) || flow_expired(p->tag, p->now))
		return NULL;
	if (p->protocol == IPPROTO_TCP && p->flow.client_next - p->seq - 1 >= PATH_WINDOW)
		return NULL;
	k = element(backends, p->flow.backend);
	sv = k ? element(services, k->service) : NULL;
	if (!sv || k->forward != forward || !address_equal(&k->address, &p->new_address))
		return NULL;
	if (address_mapped(&k->address) ? p->client_address.word[3] != sv->tunnel4 :
					  !address_equal(&p->client_address, &sv->tunnel6))
		return NULL;
	return k;
}

/* A router's word may make it less, and time more. */
static __always_inline void path_keep(struct perch_backend *k, u32 mtu)
{
	u64 now = bpf_ktime_get_ns(), was = READ(k->path);

	if (was < now || mtu <= perch_path_mtu(was))
		WRITE(k->path, perch_path(now + PERCH_PATH_NS, mtu));
}

/* What fits, by the error; 0: it is about something else, or does not say. */
static __always_inline u32 path_said(const struct icmp_header *h, bool v6)
{
	u32 mtu = bpf_ntohl(h->rest);

	if (!v6)
		return mtu & 0xffff;
	if (mtu < IPV6_MTU_LEAST)
		return IPV6_MTU_LEAST;
	return mtu > 0xffff ? 0xffff : mtu;
}

/* `reason`: why p, an ICMP message, passes so far. */
GLOBAL int path_learn(struct __sk_buff *skb, struct packet *p, u32 reason)
{
	struct icmp_header h = {};
	struct perch_backend *k;
	u32 inside, want;
	u8 forward;

	if (!p)
		return reason;
	inside = path_inside(p);
	if (!inside || p->quote > 255 - PATH_READ)
		return reason;
	want = p->quote + PATH_READ;
	want = p->length < want ? p->length : want;
	if ((long)skb->data + want > (long)skb->data_end && bpf_skb_pull_data(skb, want))
		return reason;
	if (bpf_skb_load_bytes(skb, p->transport, &h, sizeof(h)))
		return reason;
	forward = p->protocol == IPPROTO_UDP ? PERCH_GUE : PERCH_IPIP;
	p->client_address = p->destination;
	p->new_address = p->source;
	p->quote = inside;
	if (path_read((void *)(long)skb->data, (void *)(long)skb->data_end, p) != PARSED)
		return PERCH_R_TUNNEL_DOUBT;
	k = path_backend(p, forward);
	if (!k)
		return PERCH_R_TUNNEL_DOUBT;
	if (p->v6 ? h.type != ICMPV6_PKT_TOOBIG : h.type != ICMP_DEST_UNREACH || h.code != ICMP_FRAG_NEEDED)
		return PERCH_R_TUNNEL_ERROR;
	want = path_said(&h, p->v6);
	if (!want)
		return PERCH_R_TUNNEL_DOUBT;
	path_keep(k, want);
	return PERCH_R_PATH_MTU;
}

#endif
