/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One service as text, for `service show NAME` and `status`. */
#ifndef PERCH_CLI_SERVICE_H
#define PERCH_CLI_SERVICE_H

#include <jansson.h>

/* rollout may be NULL. */
void service_text(const json_t *service, const json_t *rollout);
/* "2 up", "1 up, 1 down" */
void service_backends(const json_t *version, char *out, size_t size);

#endif
