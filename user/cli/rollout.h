/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A rollout's document as text, and the commands that follow one. */
#ifndef PERCH_CLI_ROLLOUT_H
#define PERCH_CLI_ROLLOUT_H

#include <jansson.h>

#include "cli.h"
#include "client.h"

#define ROLLOUT_LINE 512

/* "  v2 against v1"; "  v2" when nothing is beside it, and nothing without one. */
void rollout_arms(const json_t *doc);
void rollout_text(const json_t *rollout);
void rollout_gates(const json_t *rollout);
void rollout_compared(const json_t *rollout);
void rollout_outside(const json_t *rollout);	/* rollout_outside.c */
/* "Progressing, step 2 of 6 at 5 %: 17 connections (30 at least), the next …" */
void rollout_line(const json_t *rollout, char out[ROLLOUT_LINE]);
bool rollout_under_way(const json_t *rollout);
/* Is there more to watch?  `seen`: it was under way before. */
bool rollout_goes_on(const json_t *rollout, bool seen);
/* /v1/services/NAME/rollout + rest */
void rollout_path(struct client_path *path, const char *service, const char *rest);

int do_rollout_wait(struct cli *cli, int argc, char **argv);
int do_rollout_watch(struct cli *cli, int argc, char **argv);
int do_rollout_why(struct cli *cli, int argc, char **argv);
int do_rollout_plan(struct cli *cli, int argc, char **argv);

#endif
