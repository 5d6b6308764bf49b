/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns how the next hop towards an address is asked for and used. */
#include "hops.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "../core/address.h"

struct answer {
	struct hop *hop;
	__u8 type;
};

static int hop_answer(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct answer *answer = arg;
	struct hop *hop = answer->hop;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	answer->type = m->rtm_type;
	if (answer->type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		const struct rtvia *via = mnl_attr_get_payload(a);

		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			hop->ifindex = mnl_attr_get_u32(a);
			break;
		case RTA_GATEWAY:
			netlink_address(a, &hop->address);
			break;
		case RTA_VIA:	/* an IPv4 route by an IPv6 gateway */
			if (mnl_attr_get_payload_len(a) == sizeof(*via) + sizeof(hop->address))
				memcpy(&hop->address, via->rtvia_addr, sizeof(hop->address));
			break;
		}
	}
	return MNL_CB_OK;
}

int hop_ask(struct netlink *n, const struct perch_address *a, struct hop *ret, __u8 *ret_type)
{
	struct answer answer = { .hop = ret, .type = RTN_UNSPEC };
	bool v4 = address_is_v4(a);
	struct netlink_request q;
	struct rtmsg *m;
	int err;

	*ret = (struct hop){ .address = *a };
	m = netlink_begin(&q, RTM_GETROUTE, 0, sizeof(*m));
	m->rtm_family = v4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = v4 ? 32 : 128;
	netlink_put_address(q.header, RTA_DST, a);
	err = netlink_ask(n, &q, hop_answer, &answer);
	*ret_type = answer.type;
	return err;
}

static struct ndmsg *hop_begin(struct netlink_request *q, __u16 type, __u16 flags, const struct hop *hop)
{
	struct ndmsg *m = netlink_begin(q, type, flags, sizeof(*m));

	m->ndm_family = address_is_v4(&hop->address) ? AF_INET : AF_INET6;
	m->ndm_ifindex = hop->ifindex;
	netlink_put_address(q->header, NDA_DST, &hop->address);
	return m;
}

static int managed_answer(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	bool *managed = arg;

	*managed = m->ndm_state & (NUD_PERMANENT | NUD_NOARP) || m->ndm_flags & NTF_EXT_LEARNED;
	return MNL_CB_OK;
}

void hop_use(struct netlink *n, const struct hop *hop)
{
	struct netlink_request q;
	bool managed = false;
	struct ndmsg *m;

	hop_begin(&q, RTM_GETNEIGH, 0, hop);
	netlink_ask(n, &q, managed_answer, &managed);
	if (managed)
		return;
	m = hop_begin(&q, RTM_NEWNEIGH, NLM_F_CREATE, hop);
	m->ndm_flags = NTF_USE;
	netlink_ask(n, &q, NULL, NULL);
}
