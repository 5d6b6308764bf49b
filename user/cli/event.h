/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One event as a line of text. */
#ifndef PERCH_CLI_EVENT_H
#define PERCH_CLI_EVENT_H

#include <jansson.h>

void event_line(const json_t *event);

#endif
