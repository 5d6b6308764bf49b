/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Secrets in files: read when they are needed, so that a rotated one counts
 * at once, and never printed. */
#ifndef PERCH_AGENT_TOKEN_H
#define PERCH_AGENT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#define TOKEN_BYTES 4096

/* The file's text without blanks around it.  0, -ENODATA for an empty one,
 * -EFBIG for more than fits, -EINVAL for one with control characters inside,
 * or another -errno. */
int token_read(const char *path, char out[TOKEN_BYTES]);
/* Are they the same?  Takes as long for a near miss as for a far one. */
bool token_equal(const char *a, const char *b);
/* A whole Authorization header: "Bearer TOKEN" with this token? */
bool token_authorizes(const char *header, const char *token);

#endif
