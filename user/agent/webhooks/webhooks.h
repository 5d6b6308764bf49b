/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Webhooks: tells others of events, and asks them before a step.  Nothing here
 * waits: a message that is not taken is tried again later, and is counted when
 * it was tried often enough. */
#ifndef PERCH_AGENT_WEBHOOKS_H
#define PERCH_AGENT_WEBHOOKS_H

#include "../agent.h"

struct webhooks;
struct step_gate;

int webhooks_start(struct agent *a);
/* Before the loop is left; what is under way is lost. */
void webhooks_stop(struct agent *a);

/* May the rollout take the share that it is about to ask for?  NULL, or why
 * not yet; then those who have `gate: step` are being asked. */
const char *step_gate_closed(struct agent *a, struct service *s);
void step_gate_free(struct step_gate *g);

#endif
