/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Health checks: every backend that a placed service names is asked each
 * interval whether it serves.  `fall` failures in a row take it out of its
 * version's choice, `rise` successes bring it back.  What was found so far is
 * in the kernel's maps (PERCH_HELD_HEALTH), where the next agent finds it.
 */
#ifndef PERCH_AGENT_HEALTH_H
#define PERCH_AGENT_HEALTH_H

#include <jansson.h>

#include "../agent.h"

/* Before any service is placed.  0 or -errno. */
int health_start(struct agent *a);
/* Checks as the service's configuration and versions ask for: after each time
 * it was placed. */
void health_follow(struct agent *a, struct service *s);
/* They end with it. */
void health_forget(struct agent *a, struct service *s);
/* All of them, before the loop turns for the last time. */
void health_stop(struct agent *a);
/* Every second: alarms, and drains that have ended. */
void health_look(struct agent *a);
/* What the checks of a backend say; null when there are none. */
json_t *health_view(const struct agent *a, const struct service *s, __u32 backend);
/* How many checks of a backend said what; false when there are none. */
bool health_counts(const struct agent *a, const struct service *s, __u32 backend, __u64 *ret_passed, __u64 *ret_failed);
/* Why a check of the service could not be made some times in a row; NULL when
 * all could. */
const char *health_unable(const struct service *s);

#endif
