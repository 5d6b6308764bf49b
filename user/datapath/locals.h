/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Addresses of this host, where tunnels may end.  Private to this folder. */
#ifndef PERCH_LOCALS_H
#define PERCH_LOCALS_H

#include <stdbool.h>

#include "netlink.h"
#include "datapath.h"

/* Bring the map `locals` and the filter to what this host has now; to nothing
 * when no interface unpacks.  0 or -errno. */
int locals_sync(const struct maps *m, struct netlink *asks, bool unpacks);

#endif
