/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this host must be like for a configuration to work. */
#ifndef PERCH_AGENT_HOSTCHECK_H
#define PERCH_AGENT_HOSTCHECK_H

#include "../agent.h"

/* What can't work on a host with these addresses: -EINVAL with file, line and
 * remedy. */
int hostcheck_config(const struct model_config *c, char why[CONFIG_ERROR]);
/* Every ten seconds, and after a change: an alarm while forwarding of a family
 * is off that backends on other hosts need, and while strict reverse path
 * filters drop what comes in. */
void hostcheck_watch(struct agent *a);
/* The first of the two, at once. */
void hostcheck_forwarding(struct agent *a);

#endif
