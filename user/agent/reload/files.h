/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Files read whole, and replaced whole: whoever reads one, or wakes up after
 * the power went, sees the old text or the new one. */
#ifndef PERCH_AGENT_FILES_H
#define PERCH_AGENT_FILES_H

#include <stddef.h>

#define FILE_PATH 512
#define FILE_MOST (16u << 20)

/* The whole of a regular file of at most FILE_MOST bytes, 0-terminated, to be
 * freed.  0 or -errno. */
int file_read(const char *path, char **ret_text, size_t *ret_length);

/* A new text for a file, on the disk beside it: 0 with its path in tmp, or
 * -errno.  Mode and owner are the file's; 0600 and ours without one. */
int file_prepare(const char *path, const char *text, size_t length, char tmp[FILE_PATH]);
/* It takes the file's place.  On -errno it is gone. */
int file_commit(const char *tmp, const char *path);
/* What was prepared and never took its place goes. */
void file_discard(const char *path);
/* Prepare and commit. */
int file_replace(const char *path, const char *text, size_t length);

/* "/etc/perch" of "/etc/perch/perch.yaml", "." of "perch.yaml". */
void file_folder(const char *path, char out[FILE_PATH]);

#endif
