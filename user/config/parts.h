/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How the parts of a configuration are read; one file each. */
#ifndef PERCH_CONFIG_PARTS_H
#define PERCH_CONFIG_PARTS_H

#include "../core/model.h"
#include "schema.h"

/* agent.c: into struct model_agent. */
int agent_set_defaults(struct model_agent *a);
void agent_free(struct model_agent *a);
extern const struct schema agent_schema;

/* service.c: an element of services, into struct model_service. */
schema_reader service_read;
void service_free(struct model_service *s);

/* policy.c: a service's rollout, into struct model_rollout. */
void policy_set_defaults(struct model_rollout *p);
schema_reader policy_read;

/* check.c: what holds between the parts.  0 or -EINVAL, said. */
int check_config(struct reader *r, const struct model_config *c);

#endif
