/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's next hop: the host's routes and neighbours as a list, and what
 * is cached of them under a route generation.  What goes out by a device where
 * the programs are not attached goes up the stack, because its replies will
 * come back that way.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

static bool has_prefix(const struct perch_address *a, const struct perch_address *prefix, __u32 bits)
{
	for (__u32 bit = 0; bit < bits; bit++)
		if ((((const __u8 *)a)[bit / 8] ^ ((const __u8 *)prefix)[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static const struct model_route *route_of(const struct model_world *w, const struct perch_address *to)
{
	const struct model_route *best = NULL;

	for (unsigned i = 0; i < w->routes; i++)
		if ((!best || w->route[i].bits > best->bits) && has_prefix(to, &w->route[i].to, w->route[i].bits))
			best = &w->route[i];
	return best && best->ifindex ? best : NULL;
}

static const __u8 *mac_of(const struct model_world *w, const struct perch_address *a)
{
	for (unsigned i = 0; i < w->neighbours; i++)
		if (same_address(&w->neighbour[i].address, a))
			return w->neighbour[i].mac;
	return NULL;
}

static __u32 device_of(const struct model *m, __u32 ifindex)
{
	for (__u32 i = 1; i < PERCH_DEVICES; i++)
		if (m->t.device[i].in_use && m->t.device[i].ifindex == ifindex)
			return i;
	return 0;
}

__u64 hop_cached(const struct model *m, __u64 via)
{
	return perch_via_device(via) && perch_via_generation(via) == (m->t.control.route_generation & 0xff) ? via : 0;
}

static __u64 hop_pack(const struct model *m, const __u8 *mac, __u32 device)
{
	__u64 via = (__u64)(m->t.control.route_generation & 0xff) << 56 | (__u64)device << 48;

	for (unsigned i = 0; mac && i < ETH_ALEN; i++)
		via |= (__u64)mac[i] << 8 * i;
	return via;
}

/* Has this host an address to begin the tunnel at? */
static bool has_source(const struct model *m, const struct seen *p)
{
	const struct perch_service *s = &m->t.service[m->t.backend[p->flow.backend].service];
	const __u32 *w = s->tunnel6.word;

	return is_v4(&p->new_address) ? s->tunnel4 : w[0] | w[1] | w[2] | w[3];
}

/* What fits, if a router on the way of a tunnel has said less; every host takes
 * 576 and 1280 bytes. */
static __u32 hop_mtu(const struct model *m, const struct seen *p, __u32 mtu)
{
	__u64 path = p->overhead ? m->t.backend[p->flow.backend].path : 0;
	__u32 least = (p->v6 ? 1280 : 576) + p->overhead, said = perch_path_mtu(path);

	if (!path)
		return mtu;
	said = said < least ? least : said;
	return said < mtu ? said : mtu;
}

/* A look-up: p->via stays 0 when the neighbour is for the stack to find. */
static int hop_look_up(struct model *m, struct seen *p)
{
	const struct perch_address *to = !p->reply ? &p->new_address : p->both ? &p->client_address : &p->destination;
	const struct model_route *r = route_of(&m->world, to);
	static const struct perch_address none;
	__u32 device, size = p->ip_length + p->overhead;
	const __u8 *mac;
	bool leaves;

	if (!r || (perch_tunnels(p->forward) && !has_source(m, p)))
		return PERCH_R_NO_ROUTE;
	mac = mac_of(&m->world, same_address(&r->gateway, &none) ? to : &r->gateway);
	/* TC asks about the whole frame, with room for a tag, once it knows whom */
	if (m->run->hook == PERCH_HOOK_XDP && size > m->world.mtu)
		return PERCH_R_TOO_BIG;
	p->fits = hop_mtu(m, p, mac ? m->world.mtu : ~0u);
	if (m->run->hook != PERCH_HOOK_XDP && mac && !m->run->gso_size && p->length > m->world.mtu + ETH_HLEN + 4)
		return PERCH_R_TOO_BIG;
	/* a MAC leads no further than the link */
	if (p->forward == PERCH_DSR && !same_address(&r->gateway, &none))
		return PERCH_R_NOT_ON_LINK;
	device = device_of(m, r->ifindex);
	leaves = p->reply || p->both || perch_one_sided(p->forward) || (device && m->t.device[device].attached);
	if (leaves && (!device || !mac))
		return ON;
	p->via = hop_pack(m, mac, leaves ? device : PERCH_VIA_STACK);
	if (!p->reply)
		m->t.backend[p->flow.backend].via = p->via;
	return ON;
}

static int hop_fits(const struct model *m, const struct seen *p)
{
	__u32 size = p->length - p->ip;

	if (m->run->gso_size)	/* of one segment */
		size = p->ip_length - p->payload + m->run->gso_size;
	if (size + p->overhead <= p->fits)
		return ON;
	/* segments of TCP are cut smaller to make room */
	return m->run->gso_size > 2 * p->overhead && is_tcp(p) && size <= p->fits ? ON : PERCH_R_TOO_BIG;
}

/* May it leave by this device as it is? */
static int hop_device(const struct model *m, struct seen *p)
{
	const struct perch_device *d = &m->t.device[perch_via_device(p->via)];

	p->fits = hop_mtu(m, p, d->mtu);
	if (!d->in_use || (m->run->hook == PERCH_HOOK_XDP && !d->xmit))
		return PERCH_R_NO_XMIT;
	return hop_fits(m, p);
}

int hop_find(struct model *m, struct seen *p)
{
	bool xdp = m->run->hook == PERCH_HOOK_XDP;

	if (p->answer) {
		__u32 device = device_of(m, m->run->ifindex);

		return !xdp || (device && m->t.device[device].xmit) ? ON : PERCH_R_NO_XMIT;
	}
	return xdp && !p->first && !p->later && write_sum_is_pseudo(m, p) ? PERCH_R_NO_CHECKSUM : hop_way(m, p);
}

/* As it is, whole. */
static int hop_whole(struct model *m, struct seen *p)
{
	int r = p->via ? ON : hop_look_up(m, p);

	if (r != ON || hop_up(p->via))
		return r;
	if (p->via)
		return hop_device(m, p);
	return m->run->hook == PERCH_HOOK_XDP ? PERCH_R_NO_NEIGHBOUR : hop_fits(m, p);
}

int hop_way(struct model *m, struct seen *p)
{
	int r = m->run->hook == PERCH_HOOK_TC_OUT ? ON : hop_whole(m, p);

	if (r != PERCH_R_TOO_BIG || !toobig_splits(m, p))
		return r;
	p->via = VIA_UP;
	return ON;
}
