/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Findings: what health checks made of backends, on its way into the tables.
 * They are gathered for a moment, so that a rack that dies is one change of a
 * table and one event, not hundreds of each.
 */
#ifndef PERCH_AGENT_FINDINGS_H
#define PERCH_AGENT_FINDINGS_H

#include "../agent.h"

#define FINDINGS_MS 20

int findings_start(struct agent *a);
/* After the loop was closed. */
void findings_free(struct agent *a);
/* This backend (by element) is down, or no longer, because of `reason`. */
void findings_add(struct agent *a, __u32 backend, bool down, const char *reason);

#endif
