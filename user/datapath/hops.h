/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Next hops of this host, asked of rtnetlink and kept alive.  Private to this
 * folder. */
#ifndef PERCH_HOPS_H
#define PERCH_HOPS_H

#include <perch/abi.h>

#include "netlink.h"

struct hop {
	__u32 ifindex;		/* 0: no other host's */
	struct perch_address address;
};

/* The next hop towards an address, as the routes are now, and the type of the
 * route: RTN_UNICAST, RTN_LOCAL, ...  0 or -errno: there is none. */
int hop_ask(struct netlink *n, const struct perch_address *a, struct hop *ret, __u8 *ret_type);
/* As if a packet had been sent to it: resolved when it is not, probed when its
 * address is old.  An entry that somebody else looks after (static, learned
 * outside) would lose that standing by it, and needs it not. */
void hop_use(struct netlink *n, const struct hop *hop);

#endif
