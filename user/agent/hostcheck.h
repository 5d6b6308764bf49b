/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this host must be like for a configuration to work. */
#ifndef PERCH_AGENT_HOSTCHECK_H
#define PERCH_AGENT_HOSTCHECK_H

#include "agent.h"

/* Backends at this host's own addresses are refused: -EINVAL with file, line
 * and remedy. */
int hostcheck_backends(const struct model_config *c, char why[CONFIG_ERROR]);
/* Forwarding of the families in use: an alarm each while it is off. */
void hostcheck_forwarding(struct agent *a);

#endif
