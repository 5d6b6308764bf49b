/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is kept of each version over time: a sample every 10 s while its
 * service is in a rollout, else one a minute, for 7 days. */
#ifndef PERCH_AGENT_HISTORY_H
#define PERCH_AGENT_HISTORY_H

#include "../agent.h"

/* Once a second: takes the samples of the services whose turn it is, and
 * deletes some that are too old. */
void history_tick(struct agent *a);

#endif
