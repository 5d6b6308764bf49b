/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a packet is carried to its backend once its next hop is known, by the
 * way its service forwards: nat and replies are translated (rewrite.h), ipip
 * and gue are wrapped (tunnel.h); dsr changes the MACs and, as every router
 * does, the hop count.
 */
#ifndef PERCH_BPF_CARRY_H
#define PERCH_BPF_CARRY_H

#include "tunnel.h"

/* To the backend's MAC as it is, without tags; d NULL: the kernel resolves who
 * that is. */
static __always_inline bool direct_write(void *data, void *end, const struct packet *p, const struct perch_device *d)
{
	void *eth = header_at(data, (p->ip - ETH_HLEN) & 0xff);

	if (eth + ETH_HLEN > end || !inner_write(data, end, p))
		return false;
	if (d)
		via_write(eth, p->via, d);
	return true;
}

/* d NULL: it goes up the stack. */
static __always_inline bool carry_xdp(struct xdp_md *ctx, struct packet *p, struct perch_device *d)
{
	if (!perch_one_sided(p->forward))
		return rewrite_xdp(ctx, p, d);
	/* the backend is this host, and the listener's address its own */
	if (!d)
		return true;
	if (perch_tunnels(p->forward))
		return tunnel_xdp(ctx, p, d);
	if (!direct_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, d))
		return false;
	return likely(p->ip == ETH_HLEN) || !bpf_xdp_adjust_head(ctx, p->ip - ETH_HLEN);
}

/* d NULL: up the stack, or by a neighbour that the kernel resolves. */
static __always_inline bool carry_tc(struct __sk_buff *skb, struct packet *p, struct perch_device *d)
{
	if (!perch_one_sided(p->forward))
		return rewrite_tc(skb, p, d, !via_up(p->via));
	if (via_up(p->via))
		return true;
	if (unlikely(p->tags) && !untag_tc(skb, p))
		return false;
	if (perch_tunnels(p->forward))
		return tunnel_tc(skb, p, d);
	if (p->v6)
		sum_tc_hop(skb, p);
	return direct_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, d);
}

#endif
