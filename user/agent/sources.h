/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Fullnat: which addresses and ports of this host its clients become, and
 * whether replies to these come back here and to nobody else. */
#ifndef PERCH_AGENT_SOURCES_H
#define PERCH_AGENT_SOURCES_H

#include "agent.h"

/* As configured, else this host's addresses towards the backends, and ports
 * outside its ephemeral range.  What is not to be found is left out. */
void sources_find(const struct service *s, struct perch_sources *ret);
/* Follow what this host's addresses, routes and interfaces have become, and
 * raise or clear an alarm for each service; every ten seconds or so. */
void sources_watch(struct agent *a);

#endif
