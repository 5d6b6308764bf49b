// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the help that an unknown word gets: the nearest known one by edit
 * distance (case, '_' and '-' aside), and the list of what is built.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "suggest.h"

#define WORD 48			/* longer words get no suggestion */

static size_t plain(const char *word, char out[WORD])
{
	size_t n = 0;

	for (; *word && n < WORD - 1; word++)
		if (*word != '_' && *word != '-')
			out[n++] = tolower((unsigned char)*word);
	out[n] = 0;
	return n;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance, one row at a time. */
static unsigned distance(const char *a, const char *b)
{
	char x[WORD], y[WORD];
	size_t n = plain(a, x), m = plain(b, y);
	unsigned row[WORD];

	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			unsigned above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1, diagonal + (x[i - 1] != y[j - 1]));
			diagonal = above;
		}
	}
	return row[m];
}

static const char *nearest(const struct schema *s, const char *unknown)
{
	unsigned best = strlen(unknown) / 3 + 1;
	const char *found = NULL;

	if (strlen(unknown) >= WORD)
		return NULL;
	for (const struct schema_key *k = s->keys; k->name; k++) {
		unsigned d = distance(unknown, k->name);

		if (d <= best) {
			best = d ? d - 1 : 0;
			found = k->name;
		}
	}
	return found;
}

static void append(char out[SUGGEST_TEXT], const char *separator, const char *word)
{
	size_t at = strlen(out);

	snprintf(out + at, SUGGEST_TEXT - at, "%s%s", separator, word);
}

const char *suggest_key(const struct schema *s, const char *unknown, char out[SUGGEST_TEXT])
{
	const char *word = nearest(s, unknown), *separator = "";

	*out = 0;
	if (word)
		snprintf(out, SUGGEST_TEXT, "did you mean '%s'? ", word);
	append(out, "keys here: ", "");
	for (const struct schema_key *k = s->keys; k->name; k++) {
		if (k->type == SCHEMA_LATER || k->type == SCHEMA_ELSEWHERE)
			continue;
		append(out, separator, k->name);
		separator = ", ";
	}
	return out;
}

const char *suggest_choices(const struct schema_choice *c, char out[SUGGEST_TEXT])
{
	const char *last = NULL;

	*out = 0;
	for (; c->name; c++) {
		if (last)
			append(out, *out ? ", " : "", last);
		last = c->name;
	}
	append(out, *out ? " or " : "", last);
	return out;
}
