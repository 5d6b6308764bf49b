/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The end of severed flows that send nothing: walks of the flow table right
 * after a sever, and when a drain falls due. */
#ifndef PERCH_AGENT_SEVERS_H
#define PERCH_AGENT_SEVERS_H

#include "agent.h"

void severs_start(struct agent *a);
/* A sever or drain was written: walk now if anything is due, and again a few
 * times over the next 2 s for flows that were under way. */
void severs_begin(struct agent *a);
/* The same for a service that nobody names any more. */
void severs_begin_gone(struct agent *a);

#endif
