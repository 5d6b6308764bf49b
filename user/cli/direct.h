/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What works without perchd: the rollback of a service by its pinned split
 * word, and what the pinned maps tell about services.  Documents have the
 * API's fields (docs/api.md); what only the agent knows is null.
 */
#ifndef PERCH_CLI_DIRECT_H
#define PERCH_CLI_DIRECT_H

#include <jansson.h>

#include "../datapath/datapath.h"

/* mode: enum perch_established, or -1 as the service says.  0, -ENOENT (no
 * such service), or -errno of the write; nothing is rolled back then. */
int direct_rollback(const struct maps *m, const char *service, int mode, const char *comment, json_t **ret);
/* Array of the names of all services. */
json_t *direct_names(const struct maps *m);
/* Array of services; needs all maps. */
json_t *direct_services(const struct maps *m);

#endif
