/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who follows packets, from the agent's start to its stop. */
#ifndef PERCH_AGENT_API_TRACE_H
#define PERCH_AGENT_API_TRACE_H

#include "../agent.h"

/* Without it (it is logged why) the agent goes on, and /v1/trace answers 503. */
void tracing_start(struct agent *a);
/* Every second. */
void tracing_beat(struct agent *a);
/* Before the servers stop: all followers get what they were sent. */
void tracing_end(struct agent *a);
/* After the loop was closed. */
void tracing_stop(struct agent *a);

#endif
