/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rings read: records to the evidence of services, backends and host. */
#ifndef PERCH_AGENT_COLLECT_H
#define PERCH_AGENT_COLLECT_H

#include "agent.h"

int collect_start(struct agent *a);
void collect_stop(struct agent *a);
/* Connections of a backend that are alive, for tables_reap. */
__u64 collect_active(void *agent, __u32 backend);
/* Votes of a slot up to now, without waiting for the kernel's record. */
void collect_votes(struct agent *a, struct service *s, int slot);
/* A slot got another version: its sums begin anew. */
void collect_forget(struct service *s, int slot);

#endif
