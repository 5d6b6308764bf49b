/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The dead-man from the agent's side.  The kernel takes the canary of an armed
 * service back when no agent's heart beat for agent.deadman.  A service is
 * armed (PERCH_ARMED in its split word) exactly while its rollout goes on by
 * itself, Progressing or Watching: a pause, a hold and a stop that was asked
 * for leave the weights where they are.
 */
#ifndef PERCH_AGENT_DEADMAN_H
#define PERCH_AGENT_DEADMAN_H

#include "../agent.h"

/* With every look at the rollouts, and before anything is armed.  Also from
 * what blocks the loop for long. */
void deadman_beat(struct agent *a);
/* agent.deadman of the configuration in force, to the kernel. */
void deadman_set(struct agent *a);
/* What the phase of s says: PERCH_ARMED, PERCH_PAUSED or none. */
__u32 deadman_flags(const struct service *s);
/* Bring the word of s to that; one that moved meanwhile is followed. */
void deadman_follow(struct agent *a, struct service *s);
/* The agent leaves by request: no service is armed until the next one goes on. */
void deadman_disarm(struct agent *a);

#endif
