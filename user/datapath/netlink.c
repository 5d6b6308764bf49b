/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns how we talk netlink: sequence numbers, acknowledgements, patience. */
#include "netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../core/address.h"

/* What one datagram of a dump or a burst of notifications may fill. */
#define NETLINK_BUFFER 32768
#define NETLINK_QUEUE (1 << 20)
#define NETLINK_DUMP_TRIES 4

int netlink_open(struct netlink *n, int bus)
{
	const struct timeval patience = { .tv_sec = 1 };
	int err;

	n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!n->socket)
		return -errno;
	n->sequence = time(NULL);
	setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		netlink_close(n);
		return err;
	}
	return 0;
}

void netlink_put_address(struct nlmsghdr *h, __u16 type, const struct perch_address *a)
{
	if (address_is_v4(a))
		mnl_attr_put(h, type, 4, &a->word[3]);
	else
		mnl_attr_put(h, type, sizeof(*a), a);
}

int netlink_address(const struct nlattr *attr, struct perch_address *ret)
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

void netlink_close(struct netlink *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	n->socket = NULL;
}

void *netlink_begin(struct netlink_request *q, __u16 type, __u16 flags, size_t size)
{
	q->header = mnl_nlmsg_put_header(q->buffer);
	q->header->nlmsg_type = type;
	q->header->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(q->header, size);
}

/* Answers to one request until its end.  Datagrams of an earlier one, given up
 * for lack of time, are passed over. */
static int netlink_answers(struct netlink *n, unsigned sequence, mnl_cb_t fn, void *arg)
{
	char *buffer = malloc(NETLINK_BUFFER);
	ssize_t size;
	int more = 1;

	if (!buffer)
		return -ENOMEM;
	while (more > 0) {
		size = mnl_socket_recvfrom(n->socket, buffer, NETLINK_BUFFER);
		if (size < 0) {
			more = -errno;
			break;
		}
		if (!mnl_nlmsg_ok((struct nlmsghdr *)buffer, size) ||
		    ((struct nlmsghdr *)buffer)->nlmsg_seq != sequence)
			continue;
		more = mnl_cb_run(buffer, size, sequence, mnl_socket_get_portid(n->socket), fn, arg);
		if (more < 0)
			more = -errno;
	}
	free(buffer);
	return more;
}

int netlink_ask(struct netlink *n, struct netlink_request *q, mnl_cb_t fn, void *arg)
{
	int err = -EINTR;

	/* A single answer is followed by its acknowledgement, a dump by its end. */
	if (!(q->header->nlmsg_flags & NLM_F_DUMP))
		q->header->nlmsg_flags |= NLM_F_ACK;
	for (int i = 0; i < NETLINK_DUMP_TRIES && err == -EINTR; i++) {
		q->header->nlmsg_seq = ++n->sequence;
		if (mnl_socket_sendto(n->socket, q->header, q->header->nlmsg_len) < 0)
			return -errno;
		err = netlink_answers(n, n->sequence, fn, arg);
	}
	return err;
}

int netlink_ask_once(struct netlink_request *q, mnl_cb_t fn, void *arg)
{
	struct netlink n;
	int err = netlink_open(&n, NETLINK_ROUTE);

	if (err)
		return err;
	err = netlink_ask(&n, q, fn, arg);
	netlink_close(&n);
	return err;
}

int netlink_listen(struct netlink *n, int bus, const unsigned *groups, size_t n_groups)
{
	int queue = NETLINK_QUEUE, err;

	n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!n->socket)
		return -errno;
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		goto fail;
	/* Beyond the limit where we may; a short queue only costs re-reading. */
	if (setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)))
		setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	for (size_t i = 0; i < n_groups; i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(n->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			goto fail;
	}
	return 0;
fail:
	err = -errno;
	netlink_close(n);
	return err;
}

int netlink_read(struct netlink *n, mnl_cb_t fn, void *arg)
{
	char *buffer = malloc(NETLINK_BUFFER);
	ssize_t size;
	int err = 0;

	if (!buffer)
		return -ENOMEM;
	for (;;) {
		size = mnl_socket_recvfrom(n->socket, buffer, NETLINK_BUFFER);
		if (size >= 0)
			mnl_cb_run(buffer, size, 0, 0, fn, arg);
		else if (errno == EAGAIN)
			break;
		else if (errno == ENOBUFS || errno == ENOSPC)
			err = -ENOBUFS;
		else if (errno != EINTR) {
			err = -errno;
			break;
		}
	}
	free(buffer);
	return err;
}

struct family {
	const char *group;
	__u16 id;
	unsigned group_id;
};

static int family_group(const struct nlattr *attr, void *arg)
{
	struct family *f = arg;
	const struct nlattr *a;
	const char *name = "";
	unsigned id = 0;

	mnl_attr_for_each_nested(a, attr) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_NAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
			id = mnl_attr_get_u32(a);
	}
	if (!strcmp(name, f->group))
		f->group_id = id;
	return MNL_CB_OK;
}

static int family_answer(const struct nlmsghdr *h, void *arg)
{
	struct family *f = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, GENL_HDRLEN) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			f->id = mnl_attr_get_u16(a);
		else if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GROUPS)
			mnl_attr_parse_nested(a, family_group, f);
	}
	return MNL_CB_OK;
}

int netlink_family(struct netlink *n, const char *family, const char *group, __u16 *ret_family, unsigned *ret_group)
{
	struct family f = { .group = group };
	struct netlink_request q;
	struct genlmsghdr *g;
	int err;

	g = netlink_begin(&q, GENL_ID_CTRL, 0, sizeof(*g));
	g->cmd = CTRL_CMD_GETFAMILY;
	g->version = 1;
	mnl_attr_put_strz(q.header, CTRL_ATTR_FAMILY_NAME, family);
	err = netlink_ask(n, &q, family_answer, &f);
	if (err)
		return err;
	if (!f.id || !f.group_id)
		return -ENOENT;
	*ret_family = f.id;
	*ret_group = f.group_id;
	return 0;
}
