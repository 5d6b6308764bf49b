/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sentences for the caller's log, and libbpf's words made into one. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static __thread char libbpf_noted[WHY];
static __thread libbpf_print_fn_t libbpf_before;

int why_set(char *why, int err, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	va_start(args, format);
	vsnprintf(why, WHY, format, args);
	va_end(args);
	return err;
}

/* In a verifier log the line above the last instruction count says what was
 * wrong; elsewhere the first line does. */
static const char *telling_line(char *text)
{
	char *end = strstr(text, "\nprocessed "), *line;

	if (!end) {
		text[strcspn(text, "\n")] = '\0';
		return text;
	}
	*end = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

static int note(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text;

	if (getenv("PERCH_BPF_LOG"))
		return vfprintf(stderr, format, args);
	if (level != LIBBPF_WARN || vasprintf(&text, format, args) < 0)
		return 0;
	if (strstr(text, "PROG LOAD LOG") || (!libbpf_noted[0] && !strstr(text, "Retrying")))
		snprintf(libbpf_noted, WHY, "%.200s", telling_line(text));
	free(text);
	return 0;
}

void why_libbpf_begin(void)
{
	libbpf_noted[0] = '\0';
	libbpf_before = libbpf_set_print(note);
}

void why_libbpf_end(char noted[WHY])
{
	libbpf_set_print(libbpf_before);
	if (noted)
		memcpy(noted, libbpf_noted, WHY);
}
