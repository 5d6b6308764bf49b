/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The configuration read, from its files and the services that the API owns:
 * at start, when anything of it changes, and on request. */
#ifndef PERCH_AGENT_RELOAD_H
#define PERCH_AGENT_RELOAD_H

#include "../agent.h"
#include "apply.h"

/* Read and check the file: a->config, a->config_text.  0 or -errno with the
 * line in why; touches neither state nor kernel. */
int reload_first(struct agent *a, char why[CONFIG_ERROR]);
/* Once more, with the services in a->applied. */
int reload_with_applied(struct agent *a, char why[CONFIG_ERROR]);
/* Watch the files; changes reload after a moment of quiet. */
void reload_watch(struct agent *a);
/* Load again, whole or not at all, because somebody asked. */
void reload_now(struct agent *a);

/* `text` as though it were the file, with what it includes and the services in
 * a->applied: checked, not in force. */
int reload_parse(struct agent *a, const char *text, size_t length, struct model_config **ret, char why[CONFIG_ERROR]);
/* In force, with everything that depends on it; config is taken on success and
 * freed on failure, text is copied.  As apply_config. */
int reload_adopt(struct agent *a, struct model_config *config, const char *text, const struct apply *how,
		 char why[AGENT_WHY]);
/* The file was written to say what is in force: no news. */
void reload_written(struct agent *a);
/* The file as it is now with a->applied, for a change of a->applied: checked,
 * and its text, which the caller frees. */
int reload_read(struct agent *a, struct model_config **ret, char **ret_text, char why[AGENT_WHY]);
/* The same in force. */
int reload_applied(struct agent *a, const struct apply *how, char why[AGENT_WHY]);

#endif
