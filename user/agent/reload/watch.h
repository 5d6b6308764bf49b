/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which directories are watched for the files of the configuration. */
#ifndef PERCH_AGENT_WATCH_H
#define PERCH_AGENT_WATCH_H

#include "../agent.h"

typedef void watch_changed(struct agent *a);

/*
 * Watch what may change the files that a->config was read from, and those that
 * its includes may find: fn is called, often more than once, when something
 * moved.  To be called again when files or links may be others.
 */
void watch_files(struct agent *a, watch_changed *fn);
/* After the loop was closed. */
void watch_free(struct agent *a);

/* Every directory in which a rename or a write can change what `path` leads to:
 * its own, and for each symbolic link on the way the one that holds it. */
void watch_each_folder(const char *path, void (*fn)(void *arg, const char *folder), void *arg);

#endif
