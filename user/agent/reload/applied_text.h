/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The text of a service with one version more or less: pure, and of what the
 * text means it knows no more than "versions" and "name". */
#ifndef PERCH_AGENT_APPLIED_TEXT_H
#define PERCH_AGENT_APPLIED_TEXT_H

#include <jansson.h>

/* New texts, to be freed; comments and layout are lost.  0, -EEXIST, -ENOENT
 * (no such version), -EINVAL (no service in the text), -ENOMEM. */
int applied_text_add(const char *text, const json_t *version, char **ret);
int applied_text_remove(const char *text, const char *version, char **ret);

#endif
