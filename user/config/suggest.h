/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What an unknown key was perhaps meant to be, and what may stand there. */
#ifndef PERCH_CONFIG_SUGGEST_H
#define PERCH_CONFIG_SUGGEST_H

#include "schema.h"

#define SUGGEST_TEXT 384

/* "did you mean 'affinity'? keys here: name, listen, ..." */
const char *suggest_key(const struct schema *s, const char *unknown, char out[SUGGEST_TEXT]);

/* "keep, drain or sever": the choices that are built, one at least. */
const char *suggest_choices(const struct schema_choice *c, char out[SUGGEST_TEXT]);

#endif
