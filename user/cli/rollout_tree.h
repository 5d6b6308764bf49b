/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A rollout as a live tree. */
#ifndef PERCH_CLI_ROLLOUT_TREE_H
#define PERCH_CLI_ROLLOUT_TREE_H

#include <stdio.h>

#include "output.h"

/* The tree as text: a rollout's document, its service's, and events. */
void rollout_tree(FILE *to, const json_t *rollout, const json_t *service, const json_t *events);
/* Drawn on the terminal each second, until it is over or q is pressed. */
int rollout_tree_watch(const struct cli *cli, const char *service);

#endif
