/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs of others on an interface: on the XDP hook, by TCX, and as filters
 * below clsact.  Ours are told by the pinned links, not by their names. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "attach.h"
#include "host.h"
#include "internal.h"
#include "netlink.h"

#define OURS 64
#define TCX_PROGRAMS 64
/* Linux 6.6; the headers of older distributions do not know them. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

struct search {
	int ifindex;
	struct attach_info ours;
	const char *hook;	/* of what is listed now */
	struct host_program *out;
	size_t room, n;
};

static void stranger_add(struct search *s, const char *hook, bool filter, __u32 id)
{
	struct host_program p = { .hook = hook, .filter = filter, .id = id };

	if (!id || id == s->ours.xdp_id || id == s->ours.tc_in_id || id == s->ours.tc_out_id)
		return;
	program_name(id, p.name);
	if (s->n < s->room)
		s->out[s->n] = p;
	s->n++;
}

static void search_xdp(struct search *s)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(s->ifindex, 0, &query))
		return;
	stranger_add(s, "xdp", false, query.drv_prog_id);
	stranger_add(s, "xdp-generic", false, query.skb_prog_id);
	stranger_add(s, "xdp", false, query.hw_prog_id);
}

static void search_tcx(struct search *s, const char *hook, int type)
{
	__u32 ids[TCX_PROGRAMS] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids, .prog_cnt = TCX_PROGRAMS);

	/* a kernel without TCX has none */
	if (bpf_prog_query_opts(s->ifindex, type, &query))
		return;
	for (__u32 i = 0; i < query.prog_cnt; i++)
		stranger_add(s, hook, false, ids[i]);
}

static int filter_program(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *a, *inner;
	struct search *s = arg;

	mnl_attr_for_each(a, message, sizeof(struct tcmsg)) {
		if (mnl_attr_get_type(a) != TCA_OPTIONS)
			continue;
		mnl_attr_for_each_nested(inner, a)
			if (mnl_attr_get_type(inner) == TCA_BPF_ID)
				stranger_add(s, s->hook, true, mnl_attr_get_u32(inner));
	}
	return MNL_CB_OK;
}

static int search_filters(struct search *s, const char *hook, __u32 parent)
{
	struct netlink_request q;
	struct tcmsg *tc = netlink_begin(&q, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*tc));
	struct netlink n;
	int err;

	s->hook = hook;
	tc->tcm_ifindex = s->ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, parent);
	err = netlink_open(&n, NETLINK_ROUTE);
	if (err)
		return err;
	err = netlink_ask(&n, &q, filter_program, s);
	netlink_close(&n);
	return err;
}

static struct attach_info ours_on(const char *pin_path, const char *ifname)
{
	struct attach_info info[OURS];
	int n = attach_list(pin_path, info, OURS);

	for (int i = 0; i < n && i < OURS; i++)
		if (!strcmp(info[i].ifname, ifname))
			return info[i];
	return (struct attach_info){ 0 };
}

int host_strangers(const char *pin_path, const char *ifname, struct host_program *out, size_t n)
{
	struct search s = { .ifindex = if_nametoindex(ifname), .out = out, .room = n };
	int err;

	if (!s.ifindex)
		return -ENODEV;
	s.ours = ours_on(pin_path, ifname);
	search_xdp(&s);
	search_tcx(&s, "tc in", TCX_INGRESS);
	search_tcx(&s, "tc out", TCX_EGRESS);
	err = search_filters(&s, "tc in", TC_H_MIN_INGRESS) ?: search_filters(&s, "tc out", TC_H_MIN_EGRESS);
	return err ?: (int)s.n;
}
