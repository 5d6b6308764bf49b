/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A YAML file as a tree of plain nodes. */
#ifndef PERCH_CONFIG_DOCUMENT_H
#define PERCH_CONFIG_DOCUMENT_H

#include "schema.h"

#define DOCUMENT_BYTES (16u << 20)
#define DOCUMENT_DEPTH 16
#define DOCUMENT_NODES (1u << 20)

/* The whole of a file of at most DOCUMENT_BYTES, to be freed.  0, or -errno
 * with the line in error (CONFIG_ERROR bytes). */
int document_read(const char *path, char **ret_text, size_t *ret_length, char *error);

/*
 * One YAML document without anchors, aliases, tags and NULs, within the
 * limits above, read from its root: NULL when nothing is written there.  What
 * `read` returned, or -EINVAL or -ENOMEM, said.
 */
int document_walk(struct reader *r, const char *text, size_t length, schema_reader *read, void *field);

#endif
