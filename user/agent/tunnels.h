/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where tunnels to backends begin: the outer source address. */
#ifndef PERCH_AGENT_TUNNELS_H
#define PERCH_AGENT_TUNNELS_H

#include "agent.h"

/* The sources of a service's tunnels, by the backend's family: as configured,
 * else this host's address towards the first of its backends; none: 0. */
void tunnels_sources(const struct service *s, struct perch_address ret[PERCH_FAMILIES]);
/* Every second: bring the kernel to it when routes have moved. */
void tunnels_follow(struct agent *a);

#endif
