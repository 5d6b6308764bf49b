/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rows of a comparison's ledger, kept in the store and told from it. */
#ifndef PERCH_AGENT_LEDGER_H
#define PERCH_AGENT_LEDGER_H

#include <jansson.h>

#include "../agent.h"

/* What the block under way has so far. */
void ledger_keep(struct agent *a, const struct service *s);
/* Another rollout's are those of the past. */
void ledger_forget(struct agent *a, const struct service *s);
/* All that the evidence was made of, of a service with a comparison.  0 or
 * -errno: the store could not be read, and rows are missing. */
int ledger_json(struct agent *a, const struct service *s, json_t **ret);

#endif
