/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Gates from outside of services in a rollout: asks for their values, and
 * tells the machine what they say. */
#ifndef PERCH_AGENT_OUTSIDE_GATES_H
#define PERCH_AGENT_OUTSIDE_GATES_H

#include <jansson.h>

#include "../agent.h"

struct outside;

/* At each look: begin the checks that are due. */
void outside_look(struct agent *a, struct service *s);
/* What they say together, into what the machine is fed. */
void outside_input(struct service *s, struct rollout_input *in);
/* An array, an element for each gate. */
json_t *outside_json(const struct service *s);
void outside_free(struct outside *o);

#endif
