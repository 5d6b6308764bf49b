// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how a line of a batch is cut into words: as a shell would, without
 * anything that a shell would put in. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "batch_words.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What is between quotes, to *to; in points behind the first one.  NULL: it
 * does not end. */
static char *quoted(char *in, char **to)
{
	char quote = in[-1];

	for (; *in && *in != quote; in++) {
		if (quote == '"' && *in == '\\' && (in[1] == '"' || in[1] == '\\'))
			in++;
		*(*to)++ = *in;
	}
	return *in ? in + 1 : NULL;
}

/* One word, cut off; where to read on, or NULL with why. */
static char *word(char *in, const char **ret_why)
{
	char *to = in, *end;

	while (*in && !is_blank(*in)) {
		if (*in == '\'' || *in == '"') {
			*ret_why = *in == '"' ? "a \" that does not end" : "a ' that does not end";
			in = quoted(in + 1, &to);
			if (!in)
				return NULL;
			continue;
		}
		if (*in == '\\' && !*++in) {
			*ret_why = "a \\ with nothing after it";
			return NULL;
		}
		*to++ = *in++;
	}
	end = *in ? in + 1 : in;
	*to = 0;
	return end;
}

int batch_words(char *line, char *argv[BATCH_WORDS + 1], const char **ret_why)
{
	int n = 0;

	for (;;) {
		while (is_blank(*line))
			line++;
		if (!*line || *line == '#')
			break;
		if (n == BATCH_WORDS) {
			*ret_why = "too many words";
			return -1;
		}
		argv[n++] = line;
		line = word(line, ret_why);
		if (!line)
			return -1;
	}
	argv[n] = NULL;
	return n;
}
