// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Documents and errors on their way out: JSON as it is, or text that is made
 * from the same document, field by field.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

#define LINE 2048

static void cli_json(const struct cli *cli, const json_t *doc)
{
	size_t layout = cli->pretty ? JSON_INDENT(2) : JSON_COMPACT;

	if (cli->answers) {
		json_array_append(cli->answers, (json_t *)doc);
		return;
	}
	json_dumpf(doc, stdout, layout | JSON_REAL_PRECISION(15));
	putchar('\n');
}

static int cli_say(const struct cli *cli, int exit_code, const char *format, va_list args)
{
	char line[LINE] = "";

	if (cli->at)
		text_append(line, sizeof(line), "%s: ", cli->at);
	vsnprintf(line + strlen(line), sizeof(line) - strlen(line), format, args);
	if (cli->json) {
		json_t *doc = json_pack("{s:s}", "error", line);

		if (!doc)	/* not UTF-8 */
			doc = json_pack("{s:s}", "error", "unprintable");
		cli_json(cli, doc);
		json_decref(doc);
	} else {
		text_printable(line);
		fprintf(stderr, "perch: %s\n", line);
	}
	return exit_code;
}

int cli_error(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	cli_say(cli, CLI_FAILED, format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	cli_say(cli, CLI_USAGE, format, args);
	va_end(args);
	return CLI_USAGE;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!cli->json)
		cli_say(cli, CLI_OK, format, args);
	va_end(args);
}

int cli_print(const struct cli *cli, json_t *doc, void (*text)(const json_t *doc))
{
	if (cli->json)
		cli_json(cli, doc);
	else
		text(doc);
	json_decref(doc);
	return CLI_OK;
}

const char *field_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "-";
}

const char *field_line(const json_t *object, const char *key)
{
	static char lines[8][LINE];
	static unsigned at;
	char *line = lines[at++ % 8];

	snprintf(line, LINE, "%s", field_text(object, key));
	text_printable(line);
	return line;
}

/* Who asks for one after the other has both lists in the same order: the search
 * goes on behind the last one found, in whatever list that was. */
const json_t *field_find(const json_t *list, const char *key, const char *text)
{
	size_t n = json_array_size(list);
	static size_t next;

	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(list, (next + i) % n);

		if (strcmp(field_text(one, key), text))
			continue;
		next = (next + i) % n + 1;
		return one;
	}
	return NULL;
}

bool field_is(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text;
}

double field_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

bool field_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const json_t *field_list(const json_t *object, const char *key)
{
	static json_t *none;
	const json_t *value = json_object_get(object, key);

	if (value)
		return value;
	if (!none)
		none = json_null();
	return none;
}

const char *field_words(const json_t *object, const char *key, char *out, size_t size)
{
	const json_t *list = field_list(object, key), *item;
	size_t i;

	*out = 0;
	json_array_foreach(list, i, item)
		text_append(out, size, "%s%s", i ? " " : "", json_string_value(item) ?: "-");
	text_printable(out);
	return out;
}
