/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What rtnetlink and the kernel's ids say about devices, the filters on them
 * and programs.  sysfs is no help: it may show another network namespace. */
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "internal.h"
#include "netlink.h"

static int note_kind(const struct nlmsghdr *message, void *arg)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	const struct nlattr *a, *inner;
	bool *is_virtual = arg;

	*is_virtual = link->ifi_flags & IFF_LOOPBACK;
	mnl_attr_for_each(a, message, sizeof(*link)) {
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(inner, a)
			if (mnl_attr_get_type(inner) == IFLA_INFO_KIND)
				*is_virtual = true;
	}
	return MNL_CB_OK;
}

/* Devices made by software have a kind; hardware and paravirtual ones none. */
int device_is_virtual(int ifindex)
{
	struct netlink_request q;
	struct ifinfomsg *link = netlink_begin(&q, RTM_GETLINK, 0, sizeof(*link));
	bool is_virtual = false;
	int err;

	link->ifi_index = ifindex;
	err = netlink_ask_once(&q, note_kind, &is_virtual);
	return err ?: is_virtual;
}

static int count_filter(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *a;

	/* a filter, not the chain or block that it hangs on */
	mnl_attr_for_each(a, message, sizeof(struct tcmsg))
		if (mnl_attr_get_type(a) == TCA_OPTIONS)
			++*(int *)arg;
	return MNL_CB_OK;
}

int device_filters(int ifindex)
{
	static const __u32 parents[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	int n = 0, err = 0;

	for (size_t i = 0; !err && i < sizeof(parents) / sizeof(parents[0]); i++) {
		struct netlink_request q;
		struct tcmsg *tc = netlink_begin(&q, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*tc));

		tc->tcm_ifindex = ifindex;
		tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, parents[i]);
		err = netlink_ask_once(&q, count_filter, &n);
	}
	return err ?: n;
}

void program_name(__u32 id, char ret[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	__u32 length = sizeof(info);
	int fd = id ? bpf_prog_get_fd_by_id(id) : -1;

	ret[0] = '\0';
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &length))
		memcpy(ret, info.name, BPF_OBJ_NAME_LEN);
	close(fd);
}
