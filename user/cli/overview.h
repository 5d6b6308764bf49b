/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Services in little room, for `status` and `top`. */
#ifndef PERCH_CLI_OVERVIEW_H
#define PERCH_CLI_OVERVIEW_H

#include <stddef.h>

#include <jansson.h>

/* "web  Progressing, step 2 of 6  192.0.2.10:80/tcp +1"; rollout may be NULL. */
void overview_line(const json_t *service, const json_t *rollout, char *out, size_t size);
/* All of them as one table, to stdout. */
void overview_services(const json_t *services, const json_t *rollouts);

#endif
