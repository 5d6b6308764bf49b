/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* `OBJECT show` where it is one question to the API, printed as it comes. */
#ifndef PERCH_CLI_SHOW_H
#define PERCH_CLI_SHOW_H

#include <jansson.h>

#include "cli.h"

/* `show`: GET path. */
int show(struct cli *cli, int argc, char **argv, const char *path, void (*text)(const json_t *doc));
/* `show [service NAME]`: GET path, with ?service=NAME. */
int show_of_service(struct cli *cli, int argc, char **argv, const char *path, void (*text)(const json_t *doc));
/* `show [NAME]`: GET all, or /v1/services/NAME + end; *ret_one: a name was
 * given.  For the caller to print. */
int show_one_or_all(struct cli *cli, int argc, char **argv, const char *all, const char *end, json_t **ret,
		    bool *ret_one);

#endif
