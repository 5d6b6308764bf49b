/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Netlink sockets: ask and get every answer, or listen to groups. */
#ifndef PERCH_NETLINK_H
#define PERCH_NETLINK_H

#include <stddef.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <perch/abi.h>

struct netlink {
	struct mnl_socket *socket;	/* NULL: not open */
	unsigned sequence;
};

/* A request as it is being written; header points into buffer. */
struct netlink_request {
	struct nlmsghdr *header;
	char buffer[512] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/* For asking. */
int netlink_open(struct netlink *n, int bus);
void netlink_close(struct netlink *n);
/* The header, and zeroed room of `size` behind it. */
void *netlink_begin(struct netlink_request *q, __u16 type, __u16 flags, size_t size);
/* An address as netlink has it: 4 bytes or 16.  0 or -EINVAL. */
void netlink_put_address(struct nlmsghdr *h, __u16 type, const struct perch_address *a);
int netlink_address(const struct nlattr *attr, struct perch_address *ret);
/* Send and hand every answer to fn (may be NULL).  0 or the kernel's -errno;
 * a dump that the kernel had to interrupt is asked for again: fn sees some
 * answers twice then. */
int netlink_ask(struct netlink *n, struct netlink_request *q, mnl_cb_t fn, void *arg);
/* The same of rtnetlink, for who asks now and then. */
int netlink_ask_once(struct netlink_request *q, mnl_cb_t fn, void *arg);

/* For listening: does not block. */
int netlink_listen(struct netlink *n, int bus, const unsigned *groups, size_t n_groups);
/* All that is queued.  0, or -ENOBUFS: something was lost. */
int netlink_read(struct netlink *n, mnl_cb_t fn, void *arg);

/* Number of a generic netlink family and of one of its groups; -ENOENT. */
int netlink_family(struct netlink *n, const char *family, const char *group, __u16 *ret_family, unsigned *ret_group);

#endif
