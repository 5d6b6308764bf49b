/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One number out of the answers of Prometheus and of others. */
#ifndef PERCH_AGENT_ANSWER_H
#define PERCH_AGENT_ANSWER_H

#include <stddef.h>

#define ANSWER_WHY 128

/* Of /api/v1/query: the one sample of a vector, or a scalar; it may be NaN or
 * infinite.  0 or -EINVAL with what is wrong. */
int answer_prometheus(const char *text, size_t length, double *ret, char why[ANSWER_WHY]);
/* The number (also as a string) that a JSON pointer (RFC 6901) leads to; "" is
 * the whole document. */
int answer_pointer(const char *text, size_t length, const char *pointer, double *ret, char why[ANSWER_WHY]);

#endif
