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

static void table_add(struct table *t, const char *text)
{
	size_t column = t->n % t->columns;
	int width;

	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = realloc(t->cells, t->room * sizeof(*t->cells));
		if (!t->cells)
			abort();
	}
	t->cells[t->n] = strdup(text);
	if (!t->cells[t->n])
		abort();
	text_printable(t->cells[t->n]);
	width = text_width(t->cells[t->n]);
	if (width > t->width[column])
		t->width[column] = width;
	t->n++;
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

static void table_pad(int n)
{
	printf("%*s", n, "");
}

static void table_row(const struct table *t, size_t first)
{
	fputs(t->indent, stdout);
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell = t->cells[first + i];
		int room = t->width[i] - text_width(cell);
		bool last = i + 1 == t->columns;

		if (t->right[i])
			table_pad(room);
		fputs(cell, stdout);
		if (!t->right[i] && !last)
			table_pad(room);
		fputs(last ? "\n" : "  ", stdout);
	}
}

void table_print(struct table *t)
{
	if (t->n > t->columns)
		for (size_t first = 0; first + t->columns <= t->n; first += t->columns)
			table_row(t, first);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
