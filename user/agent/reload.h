/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The configuration file read, at start and when it changes. */
#ifndef PERCH_AGENT_RELOAD_H
#define PERCH_AGENT_RELOAD_H

#include "agent.h"

/* Read and check the file: a->config, a->config_text.  0 or -errno with the
 * line in why; touches neither state nor kernel. */
int reload_first(struct agent *a, char why[CONFIG_ERROR]);
/* Watch the file's directory; changes reload after a moment of quiet. */
void reload_watch(struct agent *a);
/* Load again, whole or not at all. */
void reload_now(struct agent *a);

#endif
