/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What was there before this agent: services in the pinned maps, which are
 * the truth, and in the store, which counts when the pins are gone.
 */
#ifndef PERCH_AGENT_TAKEOVER_H
#define PERCH_AGENT_TAKEOVER_H

#include "agent.h"

/* Services of the pinned maps into a->services, without their configuration
 * (model is NULL until the file was merged).  0 or -ENOMEM. */
int takeover_registry(struct agent *a);
/* A service as the store remembers it, not placed: roles, weights, rollout.
 * -ENOENT when it does not know the name. */
int takeover_store(struct agent *a, const char *name, struct service **ret);
/* After s was placed: its rollout goes on, and a rollback or promotion that
 * nobody took in is taken in. */
void takeover_finish(struct agent *a, struct service *s);

#endif
