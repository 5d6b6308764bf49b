/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The next hop: looked up once per route generation, then one cached word in
 * the backend (towards it) or in the flow (towards its client).  What is not
 * translated goes out by itself: the stack has no use for it. */
#ifndef PERCH_BPF_FORWARD_H
#define PERCH_BPF_FORWARD_H

#include "maps.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

static __always_inline u64 via_pack(const u8 *mac, u32 device, u32 generation)
{
	u64 low = (u64)mac[0] | (u64)mac[1] << 8 | (u64)mac[2] << 16 | (u64)mac[3] << 24 | (u64)mac[4] << 32 |
		  (u64)mac[5] << 40;

	return low | (u64)device << 48 | (u64)(generation & 0xff) << 56;
}

static __always_inline void via_write(struct ethhdr *eth, u64 via, const struct perch_device *d)
{
	u16 *to = (u16 *)eth->h_dest, *from = (u16 *)eth->h_source;
	const u16 *mac = (const u16 *)d->mac;

	to[0] = via;
	to[1] = via >> 16;
	to[2] = via >> 32;
	from[0] = mac[0];
	from[1] = mac[1];
	from[2] = mac[2];
}

/* Can XDP send p by this device? */
static __always_inline bool via_takes(const struct perch_device *d, const struct packet *p)
{
	_Static_assert(PERCH_XMIT << 1 == PERCH_XMIT_SCATTERED, "xmit");
	return d->xmit & PERCH_XMIT << p->scattered;
}

/* May TCP's segments be cut smaller, to make room for what goes in front? */
static __always_inline bool via_shrinks(const struct packet *p)
{
	return p->gso && p->protocol == IPPROTO_TCP && p->gso_size > 2 * p->overhead;
}

/* Does p fit, with what goes in front? */
static __always_inline bool via_fits(struct packet *p, u32 mtu)
{
	u32 size = p->length - p->ip;

	if (p->gso)
		size = p->ip_length - p->payload + p->gso_size;
	if (likely(size + p->overhead <= mtu))
		return true;
	p->shrinks = via_shrinks(p) && size <= mtu;
	return p->shrinks;
}

/* The smaller of `mtu`, of a device, and of what a router has said of the path,
 * which holds for a time and is never believed below what every host takes, so
 * that nobody is told of less. */
GLOBAL u32 via_path_mtu(struct packet *p, u32 mtu)
{
	u32 least, path;

	if (!p || p->path < bpf_ktime_get_ns())
		return mtu;
	least = (p->v6 ? IPV6_MTU_LEAST : IPV4_MTU_LEAST) + p->overhead;
	path = perch_path_mtu(p->path);
	path = path < least ? least : path;
	return path < mtu ? path : mtu;
}

static __always_inline u32 via_mtu(struct packet *p, u32 mtu)
{
	return likely(!p->path) ? mtu : via_path_mtu(p, mtu);
}

/* Device of a via, if XDP (or TC) can send p by it: NULL with the reason. */
static __always_inline struct perch_device *via_device(struct packet *p, u32 *reason)
{
	struct perch_device *d = element(devices, perch_via_device(p->via));

	*reason = PERCH_R_NO_XMIT;
	if (!d || !d->in_use || (p->hook == PERCH_HOOK_XDP && !via_takes(d, p)))
		return NULL;
	*reason = PERCH_R_TOO_BIG;
	return via_fits(p, via_mtu(p, d->mtu)) ? d : NULL;
}

static __always_inline struct perch_device *device_by_index(u32 ifindex)
{
	u32 *id = bpf_map_lookup_elem(&device_ids, &ifindex);

	return id ? element(devices, *id) : NULL;
}

/* Can p go out by this device at once?  Where the programs are not attached
 * the replies will go through the stack, so it is to see the requests, unless
 * replies come back another way altogether, or the packets come from this host
 * now, which would take those for forged. */
static __always_inline bool via_leaves(const struct packet *p, u32 device)
{
	struct perch_device *d = element(devices, device);

	return p->way == WAY_REPLY || perch_one_sided(p->forward) || p->both || (d && d->attached);
}

/* Did the route lead to p's backend itself, not to a router? */
static __always_inline bool via_on_link(const struct packet *p, const struct bpf_fib_lookup *f)
{
	return p->v6 ? address_equal((const struct perch_address *)f->ipv6_dst, &p->new_address) :
		       f->ipv4_dst == p->new_address.word[3];
}

/* From where to where, for the routes: of a tunnel its own ends.  False: this
 * host has no address to begin one at. */
static __always_inline bool via_ends(const struct packet *p, struct bpf_fib_lookup *f)
{
	bool reply = p->way == WAY_REPLY, tunnel = perch_tunnels(p->forward);
	const struct perch_address *client = p->both ? &p->client_address : reply ? &p->destination : &p->source;
	const struct perch_address *to = reply ? client : &p->new_address;
	struct perch_address from = reply ? p->new_address : *client;
	struct perch_service *sv = tunnel ? element(services, p->service) : NULL;

	if (tunnel ? !address_mapped(to) : p->v6) {
		if (sv)
			from = sv->tunnel6;
		f->family = AF_INET6;
		__builtin_memcpy(f->ipv6_src, &from, 16);
		__builtin_memcpy(f->ipv6_dst, to, 16);
		return !tunnel || from.word[0] | from.word[1] | from.word[2] | from.word[3];
	}
	f->family = AF_INET;
	f->ipv4_src = sv ? sv->tunnel4 : from.word[3];
	f->ipv4_dst = to->word[3];
	return !tunnel || f->ipv4_src;
}

/*
 * Look the next hop of p up.  0: p->via holds it (and the backend's cache).
 * BPF_FIB_LKUP_RET_NO_NEIGH: the route is in p->fib, the neighbour has to be
 * resolved by who can.  Else the reason to pass it, negated.
 */
static __always_inline int via_look_up(void *ctx, struct packet *p)
{
	struct perch_control *c = element(control, 0);
	u32 generation = c ? READ(c->route_generation) : 0, *device;
	struct bpf_fib_lookup *f = &p->fib;
	struct perch_backend *k;
	bool leaves;
	int r;

	*f = (struct bpf_fib_lookup){};
	f->ifindex = p->ifindex;
	f->l4_protocol = p->protocol;
	if (p->hook == PERCH_HOOK_XDP)
		f->tot_len = p->ip_length + p->overhead;
	if (!via_ends(p, f))
		return -PERCH_R_NO_ROUTE;
	r = bpf_fib_lookup(ctx, f, sizeof(*f), 0);
	if (r == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return -PERCH_R_TOO_BIG;
	if (r != BPF_FIB_LKUP_RET_SUCCESS && r != BPF_FIB_LKUP_RET_NO_NEIGH)
		return -PERCH_R_NO_ROUTE;
	if (p->forward == PERCH_DSR && !via_on_link(p, f))
		return -PERCH_R_NOT_ON_LINK;
	device = bpf_map_lookup_elem(&device_ids, &f->ifindex);
	leaves = via_leaves(p, device ? *device : 0);
	if (leaves && (!device || r == BPF_FIB_LKUP_RET_NO_NEIGH))
		return BPF_FIB_LKUP_RET_NO_NEIGH;
	/* the stack finds the neighbour itself, and a device that we don't know */
	p->via = via_pack(f->dmac, leaves && device ? *device : PERCH_VIA_STACK, generation);
	k = element(backends, p->flow.backend);
	if (k && p->way == WAY_FORWARD)
		WRITE(k->via, p->via);
	return 0;
}

#endif
