/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Questions to rtnetlink and ethtool about this host. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../core/address.h"
#include "internal.h"
#include "netlink.h"

static int route_answer(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct host_route *r = arg;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	if (m->rtm_type == RTN_LOCAL)
		r->way = HOST_LOCAL;
	else if (m->rtm_type == RTN_UNICAST)
		r->way = HOST_ON_LINK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			r->ifindex = mnl_attr_get_u32(a);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
			if (r->way == HOST_ON_LINK)
				r->way = HOST_GATEWAY;
			break;
		case RTA_PREFSRC:
			r->has_source = !netlink_address(a, &r->source);
			break;
		}
	}
	return MNL_CB_OK;
}

int host_route(const struct perch_address *a, struct host_route *ret)
{
	struct netlink_request q;
	struct rtmsg *m = netlink_begin(&q, RTM_GETROUTE, 0, sizeof(*m));
	int err;

	*ret = (struct host_route){ .way = HOST_UNREACHABLE };
	m->rtm_family = address_is_v4(a) ? AF_INET : AF_INET6;
	m->rtm_dst_len = address_is_v4(a) ? 32 : 128;
	netlink_put_address(q.header, RTA_DST, a);
	err = netlink_ask_once(&q, route_answer, ret);
	return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EACCES || err == -EINVAL ? 0 : err;
}

struct proxy {
	const struct perch_address *address;
	__u32 ifindex;
	bool found;
};

static int proxy_answer(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	struct perch_address address;
	struct proxy *p = arg;
	const struct nlattr *a;

	if (!(m->ndm_flags & NTF_PROXY) || (m->ndm_ifindex && (__u32)m->ndm_ifindex != p->ifindex))
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m))
		if (mnl_attr_get_type(a) == NDA_DST && !netlink_address(a, &address) &&
		    !memcmp(&address, p->address, sizeof(address)))
			p->found = true;
	return MNL_CB_OK;
}

int host_proxies(const struct perch_address *a, __u32 ifindex)
{
	struct proxy p = { .address = a, .ifindex = ifindex };
	struct netlink_request q;
	struct ndmsg *m = netlink_begin(&q, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*m));
	int err;

	m->ndm_family = address_is_v4(a) ? AF_INET : AF_INET6;
	m->ndm_flags = NTF_PROXY;
	err = netlink_ask_once(&q, proxy_answer, &p);
	return err ?: p.found;
}

static int interface_ask(const char *ifname, unsigned long request, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", ifname);
	if (ioctl(fd, request, r))
		err = -errno;
	close(fd);
	return err;
}

int host_lro(const char *ifname)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq r = { .ifr_data = (void *)&flags };
	int err = interface_ask(ifname, SIOCETHTOOL, &r);

	return err ?: !!(flags.data & ETH_FLAG_LRO);
}

int host_mtu(const char *ifname)
{
	struct ifreq r = { .ifr_mtu = 0 };
	int err = interface_ask(ifname, SIOCGIFMTU, &r);

	return err ?: r.ifr_mtu;
}

int host_is_virtual(const char *ifname)
{
	int ifindex = if_nametoindex(ifname);

	return ifindex ? device_is_virtual(ifindex) : -ENODEV;
}
