/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Text for people: numbers, shares, times and lists, in little room. */
#ifndef PERCH_CLI_TEXT_H
#define PERCH_CLI_TEXT_H

#include <stddef.h>

#define TEXT_NUMBER 32		/* room for any of the numbers below */

/* Append to the string in text; what has no room is cut off. */
void text_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Control characters become '?', so that no name or comment moves the
 * cursor of who reads it. */
void text_printable(char *text);

/* Each writes into out and returns it; NAN is "-". */
const char *text_count(double n, char out[TEXT_NUMBER]);	/* "1,234,567" */
const char *text_percent(double percent, char out[TEXT_NUMBER]);	/* "5 %", "12.34 %" */
const char *text_seconds(double s, char out[TEXT_NUMBER]);	/* "350us", "2.1ms", "4.2s", "1h05m" */
const char *text_bytes(double n, char out[TEXT_NUMBER]);	/* "1.2 MiB" */
const char *text_clock(double since_1970, char out[TEXT_NUMBER]);	/* "2024-06-10 07:46:40", local time */

#endif
