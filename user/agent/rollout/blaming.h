/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Is it the canary that is worse, or one of its hosts?  A comparison that fails by
 * one backend alone drains that one and holds the rollout.
 */
#ifndef PERCH_AGENT_BLAMING_H
#define PERCH_AGENT_BLAMING_H

#include <jansson.h>

#include "../agent.h"

/* After the comparison's look: s->one_backend says whose fault it is, or nothing.
 * Where the rollout acts that backend is drained. */
void blaming_look(struct agent *a, struct service *s);
/* The rollout is over. */
void blaming_end(struct agent *a, struct service *s);
/* Of a comparison that fails, the worst backend; null: it does not, or nobody. */
json_t *blaming_json(const struct agent *a, const struct service *s);

#endif
