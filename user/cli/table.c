// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Tables: cells are kept until all are known, then each column is as wide as
 * its widest.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

#define COLUMNS 16
#define CELL 1024

#define SPAN '\n'		/* begins the first cell of a row that spans all */

struct table {
	const char *indent;
	size_t columns;
	bool right[COLUMNS];
	int width[COLUMNS];
	char **cells;		/* titles first */
	size_t n, room;
};

/* Columns that a terminal gives it: bytes that begin a character. */
static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static char *table_keep(struct table *t, const char *text)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = realloc(t->cells, t->room * sizeof(*t->cells));
		if (!t->cells)
			abort();
	}
	t->cells[t->n] = strdup(text);
	if (!t->cells[t->n])
		abort();
	return t->cells[t->n++];
}

static void table_add(struct table *t, const char *text)
{
	size_t column = t->n % t->columns;
	char *cell = table_keep(t, text);
	int width;

	text_printable(cell);
	width = text_width(cell);
	if (width > t->width[column])
		t->width[column] = width;
}

struct table *table_make(const char *indent, const char *const *titles)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->indent = indent;
	while (t->columns < COLUMNS && titles[t->columns])
		t->columns++;
	for (size_t i = 0; i < t->columns; i++) {
		t->right[i] = titles[i][0] == '>';
		table_add(t, titles[i] + t->right[i]);
	}
	return t;
}

void table_cell(struct table *t, const char *format, ...)
{
	char cell[CELL];
	va_list args;

	va_start(args, format);
	vsnprintf(cell, sizeof(cell), format, args);
	va_end(args);
	table_add(t, cell);
}

void table_text(struct table *t, const json_t *object, const char *key)
{
	table_add(t, field_text(object, key));
}

void table_count(struct table *t, const json_t *object, const char *key)
{
	char number[TEXT_NUMBER];

	table_add(t, text_count(field_number(object, key), number));
}

void table_percent(struct table *t, const json_t *object, const char *key)
{
	char number[TEXT_NUMBER];

	table_add(t, text_percent(field_number(object, key), number));
}

void table_seconds(struct table *t, const json_t *object, const char *key)
{
	char number[TEXT_NUMBER];

	table_add(t, text_seconds(field_number(object, key), number));
}

void table_span(struct table *t, const char *format, ...)
{
	char text[CELL] = { SPAN };
	va_list args;

	va_start(args, format);
	vsnprintf(text + 1, sizeof(text) - 1, format, args);
	va_end(args);
	text_printable(text + 1);
	table_keep(t, text);
	while (t->n % t->columns)
		table_keep(t, "");
}

static void table_row(const struct table *t, size_t first, FILE *to)
{
	if (t->cells[first][0] == SPAN) {
		fprintf(to, "%s\n", t->cells[first] + 1);
		return;
	}
	fputs(t->indent, to);
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell = t->cells[first + i];
		int room = t->width[i] - text_width(cell);
		bool last = i + 1 == t->columns;

		if (t->right[i])
			fprintf(to, "%*s", room, "");
		fputs(cell, to);
		if (!t->right[i] && !last)
			fprintf(to, "%*s", room, "");
		fputs(last ? "\n" : "  ", to);
	}
}

void table_print(struct table *t)
{
	table_write(t, stdout);
}

void table_write(struct table *t, FILE *to)
{
	if (t->n > t->columns)
		for (size_t first = 0; first + t->columns <= t->n; first += t->columns)
			table_row(t, first, to);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
