/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What rtnetlink and the kernel's ids say about devices, the filters on them
 * and programs.  sysfs is no help: it may show another network namespace. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "internal.h"

/* Send one request and hand every answer to fn. */
static int ask(struct nlmsghdr *request, mnl_cb_t fn, void *arg)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768];	/* a part of a dump */
	ssize_t n;
	int more = MNL_CB_OK, err = 0;

	if (!s)
		return -errno;
	request->nlmsg_seq = 1;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		err = -errno;
	while (!err && more > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
		more = n < 0 ? n : mnl_cb_run(buffer, n, 1, mnl_socket_get_portid(s), fn, arg);
		if (more < 0)
			err = -errno;
	}
	mnl_socket_close(s);
	return err;
}

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
	return MNL_CB_STOP;
}

/* Devices made by software have a kind; hardware and paravirtual ones none. */
int device_is_virtual(int ifindex)
{
	char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;
	bool is_virtual = false;
	int err;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST;
	link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = ifindex;
	err = ask(request, note_kind, &is_virtual);
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
	char buffer[256];
	int n = 0, err = 0;

	for (size_t i = 0; !err && i < sizeof(parents) / sizeof(parents[0]); i++) {
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
		struct tcmsg *tc;

		request->nlmsg_type = RTM_GETTFILTER;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
		tc->tcm_family = AF_UNSPEC;
		tc->tcm_ifindex = ifindex;
		tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, parents[i]);
		err = ask(request, count_filter, &n);
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
		strcpy(ret, info.name);
	close(fd);
}
