/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the maps `devices` and `device_ids`: every Ethernet interface that is
 * up, but loopback, has an index that a next hop can name, and says whether our
 * programs are on it.  Their pins are the truth about that, after a restart
 * too.
 *
 * May XDP redirect frames to it?  The netdev family says so since Linux 6.3
 * (for a veth the answer follows what its peer does).  Before, only a device
 * with a native XDP program is trusted, and never a veth, whose peer decides:
 * a wrong yes loses packets without a trace, a wrong no sends them through TC.
 */
#include "devices.h"
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/genetlink.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

/* linux/netdev.h, which Debian 12's headers lack. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_GROUP "mgmt"
enum { NETDEV_CMD_GET = 1, NETDEV_CMD_ADDED, NETDEV_CMD_GONE, NETDEV_CMD_CHANGED };
enum { NETDEV_ATTR_IFINDEX = 1, NETDEV_ATTR_XDP_FEATURES = 3 };
#define NETDEV_FEATURE_NDO_XMIT (1ull << 2)
#define NETDEV_FEATURE_NDO_XMIT_SG (1ull << 6)

static bool link_up(const struct device_link *l)
{
	return l->flags & IFF_UP && l->ethernet && !(l->flags & IFF_LOOPBACK);
}

/* Kernels that do not tell take no frame in several buffers either. */
static __u8 link_takes_redirects(const struct device_link *l)
{
	if (!l->features_known)
		return l->native_xdp && !l->veth ? PERCH_XMIT : 0;
	if (!(l->features & NETDEV_FEATURE_NDO_XMIT))
		return 0;
	return PERCH_XMIT | (l->features & NETDEV_FEATURE_NDO_XMIT_SG ? PERCH_XMIT_SCATTERED : 0);
}

static __u32 device_index(const struct devices *d, __u32 ifindex)
{
	for (__u32 i = 1; i < PERCH_DEVICES; i++)
		if (d->m->devices[i].in_use && d->m->devices[i].ifindex == ifindex)
			return i;
	return 0;
}

/* An index rests as long as possible: next hops that name it may be cached. */
static __u32 device_free_index(struct devices *d)
{
	for (__u32 i = 0; i < PERCH_DEVICES; i++) {
		__u32 index = (d->next + i) % PERCH_DEVICES;

		if (index && index != PERCH_VIA_STACK && !d->m->devices[index].in_use) {
			d->next = index + 1;
			return index;
		}
	}
	return 0;
}

static void device_remove(struct devices *d, __u32 index)
{
	struct perch_device *e = &d->m->devices[index];
	__u32 ifindex = e->ifindex;

	bpf_map_delete_elem(d->m->device_ids_fd, &ifindex);
	__atomic_store_n(&e->in_use, 0, __ATOMIC_RELEASE);
	d->changed = true;
}

/* An element is three words: ifindex and MTU, then MAC, xmit and in_use, then
 * attached and decap.  in_use makes it known, so its word is written last. */
static void device_write(struct devices *d, __u32 index, const struct device_link *l)
{
	struct perch_device e = {
		.ifindex = l->ifindex, .mtu = l->mtu, .xmit = link_takes_redirects(l), .in_use = 1,
		.attached = l->attached, .decap = l->unpacks,
	};
	__u64 *to = (__u64 *)&d->m->devices[index], word[3];

	memcpy(e.mac, l->mac, sizeof(e.mac));
	memcpy(word, &e, sizeof(word));
	if (!memcmp(to, word, sizeof(word)))
		return;
	__atomic_store_n(&to[0], word[0], __ATOMIC_RELAXED);
	__atomic_store_n(&to[2], word[2], __ATOMIC_RELAXED);
	__atomic_store_n(&to[1], word[1], __ATOMIC_RELEASE);
	d->changed = true;
}

/* Bring the maps to what is known of one link. */
static void link_settle(struct devices *d, const struct device_link *l)
{
	__u32 index = device_index(d, l->ifindex), named;

	if (!link_up(l)) {
		if (index)
			device_remove(d, index);
		return;
	}
	if (!index)
		index = device_free_index(d);
	/* With 254 devices in use the others are left to the stack. */
	if (!index)
		return;
	device_write(d, index, l);
	if (bpf_map_lookup_elem(d->m->device_ids_fd, &l->ifindex, &named) || named != index)
		bpf_map_update_elem(d->m->device_ids_fd, &l->ifindex, &index, BPF_ANY);
}

static struct device_link *link_find(struct devices *d, __u32 ifindex)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->link[i].ifindex == ifindex)
			return &d->link[i];
	return NULL;
}

static void link_tell(const struct devices *d, const char *name, bool present)
{
	if (d->fn && name[0])
		d->fn(d->arg, name, present);
}

static void link_gone(struct devices *d, struct device_link *l)
{
	struct device_link gone = *l;

	*l = d->link[--d->n];
	gone.flags = 0;
	link_settle(d, &gone);
	link_tell(d, gone.name, false);
}

static struct device_link *link_add(struct devices *d, __u32 ifindex)
{
	size_t room = d->room ? 2 * d->room : 32;
	struct device_link *l;

	if (d->n == d->room) {
		l = reallocarray(d->link, room, sizeof(*l));
		if (!l)
			return NULL;
		d->link = l;
		d->room = room;
	}
	l = &d->link[d->n++];
	*l = (struct device_link){ .ifindex = ifindex };
	/* what an agent before this one said, until this one says it */
	l->unpacks = d->m->devices[device_index(d, ifindex)].decap;
	return l;
}

static void link_xdp(struct device_link *l, const struct nlattr *attr)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, attr)
		if (mnl_attr_get_type(a) == IFLA_XDP_ATTACHED)
			l->native_xdp = mnl_attr_get_u8(a) == XDP_ATTACHED_DRV ||
					mnl_attr_get_u8(a) == XDP_ATTACHED_MULTI;
}

static void link_kind(struct device_link *l, const struct nlattr *attr)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, attr)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			l->veth = !strcmp(mnl_attr_get_str(a), "veth");
}

/* Some messages carry a part of a link only: what is not in them stays. */
static void link_attributes(struct device_link *l, const struct nlmsghdr *h, char name[IF_NAMESIZE])
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	l->flags = i->ifi_flags & (IFF_UP | IFF_LOOPBACK | 1u << 16 /* IFF_LOWER_UP */);
	l->ethernet = i->ifi_type == ARPHRD_ETHER;
	mnl_attr_for_each(a, h, sizeof(*i)) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(name, mnl_attr_get_str(a), IF_NAMESIZE - 1);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == sizeof(l->mac))
				memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
			break;
		case IFLA_MTU:
			l->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_LINKINFO:
			link_kind(l, a);
			break;
		case IFLA_XDP:
			link_xdp(l, a);
			break;
		}
	}
}

static int features_ask(struct devices *d, __u32 ifindex)
{
	struct netlink_request q;
	struct genlmsghdr *g;

	if (!d->features.socket)
		return 0;
	g = netlink_begin(&q, d->family, ifindex ? 0 : NLM_F_DUMP, sizeof(*g));
	g->cmd = NETDEV_CMD_GET;
	g->version = 1;
	if (ifindex)
		mnl_attr_put_u32(q.header, NETDEV_ATTR_IFINDEX, ifindex);
	return netlink_ask(&d->features, &q, devices_feature_message, d);
}

int devices_feature_message(const struct nlmsghdr *h, void *devices)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);
	struct devices *d = devices;
	struct device_link *l;
	const struct nlattr *a;
	__u32 ifindex = 0;
	__u64 features = 0;

	if (h->nlmsg_type != d->family || g->cmd == NETDEV_CMD_GONE || g->cmd > NETDEV_CMD_CHANGED)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, GENL_HDRLEN) {
		if (mnl_attr_get_type(a) == NETDEV_ATTR_IFINDEX)
			ifindex = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == NETDEV_ATTR_XDP_FEATURES)
			features = mnl_attr_get_u64(a);
	}
	l = link_find(d, ifindex);
	if (!l)
		return MNL_CB_OK;
	l->features_known = true;
	l->features = features;
	link_settle(d, l);
	return MNL_CB_OK;
}

static void link_changed(struct devices *d, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct device_link *l = link_find(d, i->ifi_index), before;
	char name[IF_NAMESIZE] = "";
	bool added = !l;

	if (added)
		l = link_add(d, i->ifi_index);
	if (!l)
		return;
	before = *l;
	link_attributes(l, h, name);
	l->seen = true;
	/* Routes may lead elsewhere without a carrier. */
	if (link_up(l) && (before.flags ^ l->flags))
		d->changed = true;
	if (name[0])
		memcpy(l->name, name, sizeof(l->name));
	if (added || strcmp(before.name, l->name))
		l->attached = links_attached(d->m->pin_path, l->name, l->ifindex);
	link_settle(d, l);
	if (added)
		features_ask(d, l->ifindex);
	if (!strcmp(before.name, l->name))
		return;
	link_tell(d, before.name, false);
	link_tell(d, l->name, true);
}

void devices_link_message(struct devices *d, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct device_link *l;

	/* A bridge tells of its ports by the same messages; a port that leaves
	 * it is still a device. */
	if (i->ifi_family != AF_UNSPEC)
		return;
	if (h->nlmsg_type == RTM_NEWLINK) {
		link_changed(d, h);
		return;
	}
	l = link_find(d, i->ifi_index);
	if (l)
		link_gone(d, l);
}

void devices_attached(struct devices *d, const char *ifname, bool attached)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->link[i].name, ifname))
			continue;
		d->link[i].attached = attached;
		link_settle(d, &d->link[i]);
	}
}

void devices_unpack(struct devices *d, const char *ifname, bool unpacks)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->link[i].name, ifname))
			continue;
		d->link[i].unpacks = unpacks;
		link_settle(d, &d->link[i]);
	}
}

bool devices_any_unpacks(const struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->link[i].unpacks)
			return true;
	return false;
}

void devices_check_attached(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct device_link *l = &d->link[i];

		if (!l->attached || links_attached(d->m->pin_path, l->name, l->ifindex))
			continue;
		l->attached = false;
		link_settle(d, l);
	}
}

static int link_dumped(const struct nlmsghdr *h, void *arg)
{
	devices_link_message(arg, h);
	return MNL_CB_OK;
}

/* Elements that no link stands behind: an agent was away when they went. */
static void devices_sweep(struct devices *d)
{
	__u32 *at = NULL, key, stale[PERCH_DEVICES];
	size_t n = 0;

	for (__u32 i = 1; i < PERCH_DEVICES; i++) {
		const struct device_link *l = link_find(d, d->m->devices[i].ifindex);

		if (d->m->devices[i].in_use && (!l || !link_up(l)))
			device_remove(d, i);
	}
	while (n < PERCH_DEVICES && !bpf_map_get_next_key(d->m->device_ids_fd, at, &key)) {
		if (!device_index(d, key))
			stale[n++] = key;
		at = &key;
	}
	while (n)
		bpf_map_delete_elem(d->m->device_ids_fd, &stale[--n]);
}

int devices_resync(struct devices *d)
{
	struct netlink_request q;
	int err;

	for (size_t i = 0; i < d->n; i++)
		d->link[i].seen = false;
	netlink_begin(&q, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	err = netlink_ask(&d->asks, &q, link_dumped, d);
	if (err)
		return err;
	for (size_t i = d->n; i-- > 0;)
		if (!d->link[i].seen)
			link_gone(d, &d->link[i]);
	devices_sweep(d);
	return features_ask(d, 0);
}

int devices_open(struct devices *d, const struct maps *m)
{
	int err;

	*d = (struct devices){ .m = m, .next = 1 };
	err = netlink_open(&d->asks, NETLINK_ROUTE);
	if (err)
		return err;
	err = netlink_open(&d->features, NETLINK_GENERIC);
	if (err)
		return err;
	if (netlink_family(&d->features, NETDEV_FAMILY, NETDEV_GROUP, &d->family, &d->group))
		netlink_close(&d->features);
	return 0;
}

void devices_close(struct devices *d)
{
	netlink_close(&d->asks);
	netlink_close(&d->features);
	free(d->link);
}
