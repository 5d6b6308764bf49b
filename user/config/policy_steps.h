/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The steps of a rollout: written, or made of stepWeight or the strategy. */
#ifndef PERCH_CONFIG_POLICY_STEPS_H
#define PERCH_CONFIG_POLICY_STEPS_H

#include "reader.h"
#include "../core/model.h"

void policy_steps_default(struct model_rollout *p);
/* Make steps that are not written; `before` is the strategy that the service
 * began with (defaults).  0 or -EINVAL, said. */
int policy_steps_make(struct reader *r, yaml_node_t *node, struct model_rollout *p, enum model_strategy before);
/* Do they only grow, and fit each other's times?  0 or -EINVAL, said. */
int policy_steps_check(struct reader *r, yaml_node_t *node, const struct model_rollout *p);

#endif
