/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the map `locals`: every address of this host but those of loopback and
 * of a link.  It is filled only while an interface unpacks tunnels, because
 * the filter then lets all that comes to these addresses be looked at.
 */
#include "locals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "filter.h"

struct locals {
	struct perch_address *address;
	size_t n;
};

static bool address_in(const struct perch_address *list, size_t n, const struct perch_address *a)
{
	for (size_t i = 0; i < n; i++)
		if (!memcmp(&list[i], a, sizeof(*a)))
			return true;
	return false;
}

/* IFA_LOCAL is the host's own end of a link that has two. */
static int address_dumped(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct perch_address own = { 0 };
	struct locals *l = arg;
	bool local = false;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWADDR || m->ifa_scope >= RT_SCOPE_LINK)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) != IFA_LOCAL && (mnl_attr_get_type(a) != IFA_ADDRESS || local))
			continue;
		if (!netlink_address(a, &own))
			local = mnl_attr_get_type(a) == IFA_LOCAL;
	}
	if (l->n < PERCH_LOCALS && !address_in(l->address, l->n, &own))
		l->address[l->n++] = own;
	return MNL_CB_OK;
}

static int locals_read(struct netlink *asks, struct locals *l)
{
	struct netlink_request q;

	netlink_begin(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	return netlink_ask(asks, &q, address_dumped, l);
}

/* New ones first, the bit of the filter last: until then nothing is asked. */
static int locals_add(const struct maps *m, const struct locals *l)
{
	__u32 yes = 1;

	for (size_t i = 0; i < l->n; i++) {
		if (bpf_map_update_elem(m->locals_fd, &l->address[i], &yes, BPF_ANY))
			return -errno;
		filter_set_destination(m, &l->address[i]);
	}
	return 0;
}

static void locals_prune(const struct maps *m, const struct locals *l)
{
	struct perch_address *stale = calloc(PERCH_LOCALS, sizeof(*stale)), key, *at = NULL;
	size_t n = 0;

	/* without memory they stay: an address that is not here gets no packet */
	if (!stale)
		return;
	while (n < PERCH_LOCALS && !bpf_map_get_next_key(m->locals_fd, at, &key)) {
		if (!address_in(l->address, l->n, &key))
			stale[n++] = key;
		at = &key;
	}
	for (size_t i = 0; i < n; i++)
		bpf_map_delete_elem(m->locals_fd, &stale[i]);
	free(stale);
	if (n)
		filter_sweep(m);
}

int locals_sync(const struct maps *m, struct netlink *asks, bool unpacks)
{
	struct locals l = { .address = calloc(PERCH_LOCALS, sizeof(*l.address)) };
	int err = l.address ? 0 : -ENOMEM;

	if (!err && unpacks)
		err = locals_read(asks, &l) ?: locals_add(m, &l);
	if (!err)
		locals_prune(m, &l);
	free(l.address);
	return err;
}
