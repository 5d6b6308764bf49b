/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Next hops kept fresh: listens to rtnetlink and keeps `devices` (ifindex,
 * MAC, MTU, may XDP redirect to it, are our programs on it).  When a route, a neighbour's address or
 * a device changed, control.route_generation is bumped, at most ten times a
 * second; the kernel then looks its next hops up again.  Backends' neighbours
 * are kept alive (NTF_USE), because frames that XDP redirects confirm nobody.
 */
#ifndef PERCH_ROUTES_H
#define PERCH_ROUTES_H

#include "datapath.h"

struct routes;
int routes_open(struct routes **ret, const struct maps *m, char why[WHY]);
void routes_close(struct routes *r);
int routes_fd(const struct routes *r);
/* Take in what came; 0 or -errno (an overrun is handled: everything is read
 * again).  *ret_wait_ms: call again then even without input, -1: no need. */
int routes_read(struct routes *r, int *ret_wait_ms);
/* Every few seconds: keep the next hops of live backends alive. */
void routes_refresh(struct routes *r);
/* Programs were attached to an interface, or are about to be taken off it: what
 * goes out by it takes another way from now on.  Call routes_read after it. */
void routes_attached(struct routes *r, const char *ifname, bool attached);
/* Tunnelled packets that come in by an interface, and are for an address of
 * this host, are unpacked from now on, or no more. */
void routes_unpack(struct routes *r, const char *ifname, bool unpacks);
/* Is it an Ethernet device that packets of other hosts come in by? */
bool routes_is_ethernet(const struct routes *r, const char *ifname);
/* Is this an address of this host, as its routes are now?  False when it can't
 * be told. */
bool routes_is_local(const struct perch_address *a);
/* Called for each interface that appears or goes, for globs; at once for those
 * that are there. */
void routes_on_link(struct routes *r, void (*fn)(void *arg, const char *ifname, bool present), void *arg);

#endif
