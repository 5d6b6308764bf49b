/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* TCP resets in the name of others, from raw sockets. */
#ifndef PERCH_RESET_H
#define PERCH_RESET_H

#include <perch/abi.h>

struct reset_end {
	struct perch_address address;
	__be16 port;
};

struct reset {
	int v4, v6;		/* raw sockets; v6 < 0: no IPv6 here */
};

int reset_open(struct reset *r);
/* A RST from one end to the other that the receiver takes for the next
 * segment: seq is what it expects, ack what it has sent.  0 or -errno. */
int reset_send(const struct reset *r, const struct reset_end *from, const struct reset_end *to, __u32 seq, __u32 ack);
void reset_close(struct reset *r);

#endif
