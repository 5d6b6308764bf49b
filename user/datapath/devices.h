/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Interfaces of this network namespace, and the maps `devices` and
 * `device_ids` that follow from them.  Private to this folder. */
#ifndef PERCH_DEVICES_H
#define PERCH_DEVICES_H

#include <net/if.h>

#include "netlink.h"
#include "datapath.h"

struct device_link {
	__u32 ifindex;
	char name[IF_NAMESIZE];
	__u32 mtu;
	__u32 flags;		/* IFF_UP, IFF_LOWER_UP, IFF_LOOPBACK */
	__u8 mac[6];
	bool ethernet;
	bool veth;
	bool native_xdp;
	bool features_known;
	__u64 features;		/* XDP features of the netdev family */
	bool attached;		/* our programs are on it */
	bool unpacks;		/* tunnelled packets that come in */
	bool seen;		/* in the dump under way */
};

struct devices {
	const struct maps *m;
	struct netlink asks;		/* rtnetlink */
	struct netlink features;	/* generic; not open before Linux 6.3 */
	__u16 family;
	unsigned group;			/* that tells of changed features */
	struct device_link *link;
	size_t n, room;
	__u32 next;		/* where the search for a free index begins */
	bool changed;		/* a device came, went or is another */
	void (*fn)(void *arg, const char *ifname, bool present);
	void *arg;
};

int devices_open(struct devices *d, const struct maps *m);
void devices_close(struct devices *d);
/* Read everything again. */
int devices_resync(struct devices *d);
/* RTM_NEWLINK and RTM_DELLINK. */
void devices_link_message(struct devices *d, const struct nlmsghdr *h);
/* Our programs are on the interface now, or are about to leave it. */
void devices_attached(struct devices *d, const char *ifname, bool attached);
/* Tunnelled packets that come in are unpacked from now on, or no more. */
void devices_unpack(struct devices *d, const char *ifname, bool unpacks);
bool devices_any_unpacks(const struct devices *d);
/* See whether they are still there: nobody tells when somebody takes them. */
void devices_check_attached(struct devices *d);
/* Notifications of the netdev family. */
int devices_feature_message(const struct nlmsghdr *h, void *devices);

#endif
