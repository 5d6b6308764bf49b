/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns control.route_generation: listens to what the kernel tells of routes,
 * neighbours and devices, and moves the generation when a cached next hop may
 * be wrong.  What was merely confirmed moves nothing.
 */
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>

#include "clock.h"
#include "devices.h"
#include "hops.h"
#include "locals.h"
#include "internal.h"
#include "neighbours.h"

#define BUMP_EVERY_NS 100000000ull
#define RESYNC_AFTER_MS 1000
/* Bounds of one routes_refresh. */
#define REFRESH_BACKENDS 512
#define REFRESH_HOPS 128

#define NUD_GOOD (NUD_PERMANENT | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

struct routes {
	const struct maps *m;
	struct netlink events;		/* rtnetlink groups */
	struct netlink feature_events;	/* generic; as devices.features */
	int epoll;
	struct devices devices;
	struct neighbours neighbours;
	bool addresses;		/* of this host changed */
	bool changed;		/* since the last bump */
	bool lost;		/* notifications were; everything is to be read again */
	__u64 bumped_at;	/* ns */
	__u32 next_backend;	/* to be refreshed */
};

/* True when it changes a next hop that may be cached.  One that is new is in
 * no cache: the programs keep no failed look-ups. */
static bool neighbour_message(struct routes *r, const struct nlmsghdr *h)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	struct neighbour n = { .ifindex = m->ndm_ifindex };
	bool known = false, good = h->nlmsg_type == RTM_NEWNEIGH && m->ndm_state & NUD_GOOD;
	const struct nlattr *a;

	if ((m->ndm_family != AF_INET && m->ndm_family != AF_INET6) || m->ndm_flags & NTF_PROXY)
		return false;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) == NDA_DST)
			known = !netlink_address(a, &n.address);
		if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == sizeof(n.mac))
			memcpy(n.mac, mnl_attr_get_payload(a), sizeof(n.mac));
	}
	if (!known || !n.ifindex)
		return false;
	if (!good)
		return neighbours_remove(&r->neighbours, n.ifindex, &n.address);
	/* Without memory to compare with, it counts as changed. */
	return neighbours_set(&r->neighbours, &n) != 0;
}

/* Each device that comes has an address and routes of its own link, which are
 * no backend's. */
static bool route_is_of_link(const struct nlmsghdr *h)
{
	struct perch_address to = { 0 };
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct rtmsg))
		if (mnl_attr_get_type(a) == RTA_DST)
			netlink_address(a, &to);
	return (to.word[0] & htonl(0xffc00000)) == htonl(0xfe800000);	/* RFC 4291, 2.5.6 */
}

static void route_message(struct routes *r, const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);

	/* Clones are the answers to somebody's look-up. */
	if (m->rtm_flags & RTM_F_CLONED)
		return;
	r->changed = true;
	r->addresses |= m->rtm_type == RTN_LOCAL && !route_is_of_link(h);
}

static void address_message(struct routes *r, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);

	r->addresses |= m->ifa_scope < RT_SCOPE_LINK;
	/* IPv4 routes go along without a word */
	r->changed |= h->nlmsg_type == RTM_DELADDR;
}

static int route_event(const struct nlmsghdr *h, void *arg)
{
	struct routes *r = arg;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		devices_link_message(&r->devices, h);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		r->changed |= neighbour_message(r, h);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		route_message(r, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		address_message(r, h);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
	case RTM_NEWRULE:
	case RTM_DELRULE:
		r->changed = true;
		break;
	}
	return MNL_CB_OK;
}

static int neighbour_dumped(const struct nlmsghdr *h, void *arg)
{
	neighbour_message(arg, h);
	return MNL_CB_OK;
}

static int routes_resync(struct routes *r)
{
	struct netlink_request q;
	int err;

	err = devices_resync(&r->devices);
	if (err)
		return err;
	neighbours_clear(&r->neighbours);
	netlink_begin(&q, RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg));
	err = netlink_ask(&r->devices.asks, &q, neighbour_dumped, r);
	if (err)
		return err;
	r->lost = false;
	r->addresses = r->changed = true;
	return 0;
}

static void locals_follow(struct routes *r)
{
	/* everything is read again in a while, this too */
	if (locals_sync(r->m, &r->devices.asks, devices_any_unpacks(&r->devices)))
		r->lost = true;
}

static void routes_bump(struct routes *r)
{
	__atomic_fetch_add(&r->m->control->route_generation, 1, __ATOMIC_RELEASE);
	r->bumped_at = clock_ns();
	r->changed = r->devices.changed = false;
}

static int routes_watch(struct routes *r, const struct netlink *n)
{
	struct epoll_event e = { .events = EPOLLIN };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, mnl_socket_get_fd(n->socket), &e) ? -errno : 0;
}

static int routes_listen(struct routes *r)
{
	static const unsigned groups[] = {
		RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
	};
	int err;

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		return -errno;
	err = netlink_listen(&r->events, NETLINK_ROUTE, groups, sizeof(groups) / sizeof(groups[0]));
	err = err ?: routes_watch(r, &r->events);
	if (err || !r->devices.features.socket)
		return err;
	err = netlink_listen(&r->feature_events, NETLINK_GENERIC, &r->devices.group, 1);
	return err ?: routes_watch(r, &r->feature_events);
}

int routes_open(struct routes **ret, const struct maps *m, char why[WHY])
{
	struct routes *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->m = m;
	r->epoll = -1;
	r->next_backend = 1;
	/* Listen first, then read: what changes in between is told. */
	err = devices_open(&r->devices, m);
	err = err ?: routes_listen(r);
	err = err ?: routes_resync(r);
	if (err) {
		routes_close(r);
		return why_set(why, err, "netlink: %s", strerror(-err));
	}
	/* Whatever moved while nobody listened. */
	routes_bump(r);
	*ret = r;
	return 0;
}

void routes_close(struct routes *r)
{
	if (!r)
		return;
	netlink_close(&r->events);
	netlink_close(&r->feature_events);
	devices_close(&r->devices);
	neighbours_clear(&r->neighbours);
	if (r->epoll >= 0)
		close(r->epoll);
	free(r);
}

int routes_fd(const struct routes *r)
{
	return r->epoll;
}

void routes_on_link(struct routes *r, void (*fn)(void *arg, const char *ifname, bool present), void *arg)
{
	r->devices.fn = fn;
	r->devices.arg = arg;
	for (size_t i = 0; fn && i < r->devices.n; i++) {
		char name[IF_NAMESIZE];

		memcpy(name, r->devices.link[i].name, sizeof(name));
		fn(arg, name, true);
	}
}

void routes_attached(struct routes *r, const char *ifname, bool attached)
{
	devices_attached(&r->devices, ifname, attached);
}

void routes_unpack(struct routes *r, const char *ifname, bool unpacks)
{
	bool any = devices_any_unpacks(&r->devices);

	devices_unpack(&r->devices, ifname, unpacks);
	if (devices_any_unpacks(&r->devices) != any)
		locals_follow(r);
}

bool routes_is_ethernet(const struct routes *r, const char *ifname)
{
	for (size_t i = 0; i < r->devices.n; i++)
		if (!strcmp(r->devices.link[i].name, ifname))
			return r->devices.link[i].ethernet && !(r->devices.link[i].flags & IFF_LOOPBACK);
	return false;
}

static int routes_take_in(struct routes *r)
{
	int err = netlink_read(&r->events, route_event, r);

	r->lost |= err == -ENOBUFS;
	if (err && err != -ENOBUFS)
		return err;
	if (!r->feature_events.socket)
		return 0;
	err = netlink_read(&r->feature_events, devices_feature_message, &r->devices);
	r->lost |= err == -ENOBUFS;
	return err == -ENOBUFS ? 0 : err;
}

bool routes_is_local(const struct perch_address *a)
{
	struct netlink n;
	struct hop hop;
	__u8 type = RTN_UNSPEC;
	int err = netlink_open(&n, NETLINK_ROUTE);

	if (err)
		return false;
	err = hop_ask(&n, a, &hop, &type);
	netlink_close(&n);
	return !err && type == RTN_LOCAL;
}

/* Which backends are this host's own now. */
static void locals_mark(struct routes *r)
{
	for (__u32 id = 1; id < r->m->control->backends_n; id++) {
		struct perch_backend *b = &r->m->backends[id];
		struct hop hop;
		bool local;
		__u8 type;

		if (b->state == PERCH_BACKEND_NONE)
			continue;
		local = !hop_ask(&r->devices.asks, &b->address, &hop, &type) && type == RTN_LOCAL;
		if (b->local == local)
			continue;
		__atomic_store_n(&b->local, local, __ATOMIC_RELAXED);
		r->changed = true;
	}
	r->addresses = false;
}

int routes_read(struct routes *r, int *ret_wait_ms)
{
	__u64 since;
	int err;

	*ret_wait_ms = -1;
	err = routes_take_in(r);
	if (err)
		return err;
	if (r->lost && routes_resync(r))
		*ret_wait_ms = RESYNC_AFTER_MS;
	if (r->addresses) {
		locals_follow(r);
		locals_mark(r);
	}
	if (!r->changed && !r->devices.changed)
		return 0;
	since = clock_ns() - r->bumped_at;
	if (since >= BUMP_EVERY_NS)
		routes_bump(r);
	else
		*ret_wait_ms = (BUMP_EVERY_NS - since) / 1000000 + 1;
	return 0;
}

static bool hop_in(const struct hop *list, size_t n, const struct hop *hop)
{
	for (size_t i = 0; i < n; i++)
		if (!memcmp(&list[i], hop, sizeof(*hop)))
			return true;
	return false;
}

void routes_refresh(struct routes *r)
{
	__u32 n = r->m->control->backends_n, asked = 0;
	struct hop hops[REFRESH_HOPS], hop;
	size_t n_hops = 0;
	__u8 type;

	devices_check_attached(&r->devices);
	/* Nobody tells of a changed XDP program before Linux 6.3. */
	if (!r->devices.features.socket)
		devices_resync(&r->devices);
	for (__u32 i = 0; i < n && asked < REFRESH_BACKENDS && n_hops < REFRESH_HOPS; i++) {
		const struct perch_backend *b = &r->m->backends[r->next_backend % n];

		r->next_backend = r->next_backend % n + 1;
		if (b->state == PERCH_BACKEND_NONE)
			continue;
		asked++;
		if (hop_ask(&r->devices.asks, &b->address, &hop, &type) || !hop.ifindex || hop_in(hops, n_hops, &hop))
			continue;
		hops[n_hops++] = hop;
		hop_use(&r->devices.asks, &hop);
	}
}
