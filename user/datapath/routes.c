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

#include "../core/address.h"
#include "clock.h"
#include "devices.h"
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

static int address_of(const struct nlattr *attr, struct perch_address *ret)
{
	*ret = (struct perch_address){ .word = { 0, 0, htonl(0xffff) } };
	if (mnl_attr_get_payload_len(attr) == 4)
		memcpy(&ret->word[3], mnl_attr_get_payload(attr), 4);
	else if (mnl_attr_get_payload_len(attr) == sizeof(*ret))
		memcpy(ret, mnl_attr_get_payload(attr), sizeof(*ret));
	else
		return -EINVAL;
	return 0;
}

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
			known = !address_of(a, &n.address);
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
		/* Clones are the answers to somebody's look-up. */
		if (!(((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_flags & RTM_F_CLONED))
			r->changed = true;
		break;
	case RTM_NEWADDR:
		r->addresses = true;
		break;
	case RTM_DELADDR:	/* takes IPv4 routes along without a word */
		r->addresses = r->changed = true;
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

static void locals_mark(struct routes *r);

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
	if (r->addresses)
		locals_mark(r);
	if (!r->changed && !r->devices.changed)
		return 0;
	since = clock_ns() - r->bumped_at;
	if (since >= BUMP_EVERY_NS)
		routes_bump(r);
	else
		*ret_wait_ms = (BUMP_EVERY_NS - since) / 1000000 + 1;
	return 0;
}

struct hop {
	__u32 ifindex;
	struct perch_address address;
};

struct hop_asked {
	struct hop hop;
	__u8 type;		/* of the route: RTN_UNICAST, RTN_LOCAL, … */
};

static int hop_answer(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct hop_asked *asked = arg;
	struct hop *hop = &asked->hop;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	asked->type = m->rtm_type;
	if (asked->type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		const struct rtvia *via = mnl_attr_get_payload(a);

		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			hop->ifindex = mnl_attr_get_u32(a);
			break;
		case RTA_GATEWAY:
			address_of(a, &hop->address);
			break;
		case RTA_VIA:	/* an IPv4 route by an IPv6 gateway */
			if (mnl_attr_get_payload_len(a) == sizeof(*via) + sizeof(hop->address))
				memcpy(&hop->address, via->rtvia_addr, sizeof(hop->address));
			break;
		}
	}
	return MNL_CB_OK;
}

static void address_put(struct nlmsghdr *h, __u16 type, const struct perch_address *a)
{
	if (address_is_v4(a))
		mnl_attr_put(h, type, 4, &a->word[3]);
	else
		mnl_attr_put(h, type, sizeof(*a), a);
}

/* The route towards an address, as it is now. */
static int hop_ask(struct netlink *n, const struct perch_address *a, struct hop_asked *ret)
{
	bool v4 = address_is_v4(a);
	struct netlink_request q;
	struct rtmsg *m;

	*ret = (struct hop_asked){ .hop.address = *a };
	m = netlink_begin(&q, RTM_GETROUTE, 0, sizeof(*m));
	m->rtm_family = v4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = v4 ? 32 : 128;
	address_put(q.header, RTA_DST, a);
	return netlink_ask(n, &q, hop_answer, ret);
}

/* The next hop towards an address of another host. */
static int hop_find(struct routes *r, const struct perch_address *a, struct hop *ret)
{
	struct hop_asked asked;
	int err = hop_ask(&r->devices.asks, a, &asked);

	*ret = asked.hop;
	return err ?: ret->ifindex ? 0 : -ENOENT;
}

bool routes_is_local(const struct perch_address *a)
{
	struct hop_asked asked;
	struct netlink n;
	int err = netlink_open(&n, NETLINK_ROUTE);

	if (err)
		return false;
	err = hop_ask(&n, a, &asked);
	netlink_close(&n);
	return !err && asked.type == RTN_LOCAL;
}

/* Which backends are this host's own now. */
static void locals_mark(struct routes *r)
{
	for (__u32 id = 1; id < r->m->control->backends_n; id++) {
		struct perch_backend *b = &r->m->backends[id];
		struct hop_asked asked;

		if (b->state == PERCH_BACKEND_NONE || hop_ask(&r->devices.asks, &b->address, &asked) ||
		    b->local == (asked.type == RTN_LOCAL))
			continue;
		__atomic_store_n(&b->local, asked.type == RTN_LOCAL, __ATOMIC_RELAXED);
		r->changed = true;
	}
	r->addresses = false;
}

static struct ndmsg *hop_begin(struct netlink_request *q, __u16 type, __u16 flags, const struct hop *hop)
{
	struct ndmsg *m = netlink_begin(q, type, flags, sizeof(*m));

	m->ndm_family = address_is_v4(&hop->address) ? AF_INET : AF_INET6;
	m->ndm_ifindex = hop->ifindex;
	address_put(q->header, NDA_DST, &hop->address);
	return m;
}

static int managed_answer(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	bool *managed = arg;

	*managed = m->ndm_state & (NUD_PERMANENT | NUD_NOARP) || m->ndm_flags & NTF_EXT_LEARNED;
	return MNL_CB_OK;
}

/* As if a packet had been sent to it: resolved when it is not, probed when its
 * address is old.  An entry that somebody else looks after (static, learned
 * outside) would lose that standing by it, and needs it not. */
static void hop_use(struct routes *r, const struct hop *hop)
{
	struct netlink_request q;
	bool managed = false;
	struct ndmsg *m;

	hop_begin(&q, RTM_GETNEIGH, 0, hop);
	netlink_ask(&r->devices.asks, &q, managed_answer, &managed);
	if (managed)
		return;
	m = hop_begin(&q, RTM_NEWNEIGH, NLM_F_CREATE, hop);
	m->ndm_flags = NTF_USE;
	netlink_ask(&r->devices.asks, &q, NULL, NULL);
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
		if (hop_find(r, &b->address, &hop) || hop_in(hops, n_hops, &hop))
			continue;
		hops[n_hops++] = hop;
		hop_use(r, &hop);
	}
}
