/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a packet is carried to its backend once its next hop is known, by the
 * way its service forwards: nat and replies are translated (rewrite.h); dsr
 * changes the MACs and, as every router does, the hop count.
 */
#ifndef PERCH_BPF_CARRY_H
#define PERCH_BPF_CARRY_H

#include "rewrite.h"

/* One hop less, and IPv4's checksum with it. */
static __always_inline void write_hop(void *at, bool v6)
{
	if (v6) {
		struct ipv6hdr *ip = at;

		ip->hop_limit--;
	} else {
		struct iphdr *ip = at;
		u16 *life = (u16 *)&ip->ttl, old = *life;

		ip->ttl--;
		ip->check = ~sum_fold((u64)(u16)~ip->check + (u16)~old + *life);
	}
}

/* To the backend's MAC as it is; d NULL: the kernel resolves who that is. */
static __always_inline bool direct_write(void *data, void *end, const struct packet *p, const struct perch_device *d)
{
	void *ip = header_at(data, p->ip);
	bool v6 = p->v6;

	if (!ip_whole(ip, end, v6) || data + ETH_HLEN > end)
		return false;
	write_hop(ip, v6);
	if (d)
		via_write(data, p->via, d);
	return true;
}

/* d NULL: it goes up the stack. */
static __always_inline bool carry_xdp(struct xdp_md *ctx, const struct packet *p, const struct perch_device *d)
{
	if (!perch_one_sided(p->forward))
		return rewrite_xdp(ctx, p, d);
	/* the backend is this host, and the listener's address its own */
	if (!d)
		return true;
	return direct_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, d);
}

/* d NULL: up the stack, or by a neighbour that the kernel resolves. */
static __always_inline bool carry_tc(struct __sk_buff *skb, const struct packet *p, const struct perch_device *d)
{
	if (!perch_one_sided(p->forward))
		return rewrite_tc(skb, p, d, !via_up(p->via));
	if (via_up(p->via))
		return true;
	if (p->v6)
		sum_tc_hop(skb, p);
	return direct_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, d);
}

#endif
