/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the user sees: one JSON document with -j or -p, or text made from the
 * same document; errors; tables.
 */
#ifndef PERCH_CLI_OUTPUT_H
#define PERCH_CLI_OUTPUT_H

#include <stdio.h>

#include <jansson.h>

#include "cli.h"

/* One sentence, without full stop: to stderr, or {"error":"…"} to stdout with
 * -j.  Return CLI_FAILED and CLI_USAGE. */
int cli_error(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Beside an answer: only for people, to stderr. */
void cli_note(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print doc and free it.  Returns CLI_OK. */
int cli_print(const struct cli *cli, json_t *doc, void (*text)(const json_t *doc));

/* Fields of a document; NULL stands for a document without fields. */
const char *field_text(const json_t *object, const char *key);	/* "-" without */
double field_number(const json_t *object, const char *key);	/* NAN without */
/* The same, fit to be printed; good until the eighth call after it. */
const char *field_line(const json_t *object, const char *key);
bool field_is(const json_t *object, const char *key);
/* The element of a list whose member `key` is this text, or NULL. */
const json_t *field_find(const json_t *list, const char *key, const char *text);	/* a text that is not empty */
bool field_true(const json_t *object, const char *key);
const json_t *field_list(const json_t *object, const char *key);	/* never NULL */
/* ["a","b"] as "a b" */
const char *field_words(const json_t *object, const char *key, char *out, size_t size);

/* A table: titles first, then cells from left to right.  A title that begins
 * with '>' aligns its column to the right. */
struct table;
struct table *table_make(const char *indent, const char *const *titles);
#define table_new(indent, ...) table_make(indent, (const char *const[]){ __VA_ARGS__, NULL })
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_text(struct table *t, const json_t *object, const char *key);
void table_count(struct table *t, const json_t *object, const char *key);
void table_percent(struct table *t, const json_t *object, const char *key);
void table_seconds(struct table *t, const json_t *object, const char *key);
/* A line of its own between the rows; it makes no column wider. */
void table_span(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print and free; nothing when there are no rows. */
void table_print(struct table *t);
void table_write(struct table *t, FILE *to);

#endif
