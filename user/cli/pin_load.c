// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch pin load: a file of pins, "IP VERSION [DURATION]" a line, `#` begins a
 * comment.  All of it is read and checked before anything is sent, so that a
 * mistake in a line changes nothing; then it goes in bulks, each whole or not
 * at all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../config/config.h"
#include "../core/address.h"
#include "client.h"
#include "output.h"
#include "pin.h"
#include "text.h"

#define BULK 10000		/* perchd's most */
#define LINE_EMPTY (-1)
#define TELL 100000		/* pins between two words of progress */

struct pin_line {
	const char *client, *version;
	__u64 ttl;		/* ns */
	unsigned line;
};

struct pin_file {
	const char *name;
	char *text;		/* lines point into it */
	struct pin_line *pin;
	size_t n;
};

bool pin_client_ok(const char *text)
{
	const char *slash = strchr(text, '/');
	char head[ADDRESS_TEXT];
	struct perch_address a;

	if (slash && strcmp(slash, "/64"))
		return false;
	if (snprintf(head, sizeof(head), "%.*s", slash ? (int)(slash - text) : (int)strlen(text), text) >= (int)sizeof(head))
		return false;
	return !address_parse(head, &a) && !(slash && address_is_v4(&a));
}

/* The whole file, with a final 0; NULL with errno. */
static char *file_read(const char *name)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
	size_t size = 0, n = 0;
	char *text = NULL;

	while (f) {
		char *more = text;

		if (n + 1 >= size) {
			size = size ? 2 * size : 65536;
			more = realloc(text, size);
		}
		if (!more)
			break;
		text = more;
		n += fread(text + n, 1, size - n - 1, f);
		if (feof(f) || ferror(f))
			break;
	}
	if (f && text && !ferror(f) && feof(f)) {
		text[n] = 0;
	} else {
		free(text);
		text = NULL;
	}
	if (f && f != stdin)
		fclose(f);
	return text;
}

/* The words of one line: 0, LINE_EMPTY, or an exit code. */
static int line_read(const struct cli *cli, const struct pin_file *f, char *line, struct pin_line *ret)
{
	char *place, *ttl, *more;

	line[strcspn(line, "#\r")] = 0;
	ret->client = strtok_r(line, " \t", &place);
	if (!ret->client)
		return LINE_EMPTY;
	ret->version = strtok_r(NULL, " \t", &place);
	ttl = strtok_r(NULL, " \t", &place);
	more = strtok_r(NULL, " \t", &place);
	ret->ttl = 0;
	if (!pin_client_ok(ret->client))
		return cli_error(cli, "%s:%u: '%s' is not an IP address; nothing was changed", f->name, ret->line, ret->client);
	if (!ret->version)
		return cli_error(cli, "%s:%u: a version is missing: IP VERSION [DURATION]; nothing was changed", f->name,
				 ret->line);
	if (ttl && (config_duration(ttl, &ret->ttl) || !ret->ttl))
		return cli_error(cli, "%s:%u: '%s' is not a duration above 0: 30s, 5m, 2h; nothing was changed", f->name,
				 ret->line, ttl);
	if (more)
		return cli_error(cli, "%s:%u: '%s' is too much: IP VERSION [DURATION]; nothing was changed", f->name,
				 ret->line, more);
	return 0;
}

static int file_parse(const struct cli *cli, struct pin_file *f)
{
	struct pin_line at = { .line = 0 }, *more;
	char *next = f->text, *line;
	int ret;

	while ((line = strsep(&next, "\n"))) {
		at.line++;
		ret = line_read(cli, f, line, &at);
		if (ret == LINE_EMPTY)
			continue;
		if (ret)
			return ret;
		/* room grows at the powers of two */
		more = f->pin;
		if (!(f->n & (f->n - 1)))
			more = realloc(f->pin, (f->n ? 2 * f->n : 1) * sizeof(*more));
		if (!more)
			return cli_error(cli, "%s: %s", f->name, strerror(ENOMEM));
		f->pin = more;
		f->pin[f->n++] = at;
	}
	return 0;
}

static json_t *bulk_body(const struct pin_line *pin, size_t n, const char *comment)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_pack("{s:s, s:s}", "client", pin[i].client, "version", pin[i].version);

		if (pin[i].ttl)
			json_object_set_new(o, "ttl", json_real(pin[i].ttl / 1e9));
		if (json_array_append_new(list, o)) {
			json_decref(list);
			return NULL;	/* not UTF-8 */
		}
	}
	return json_pack("{s:o, s:s*}", "pins", list, "comment", comment);
}

/* One bulk; the error names the lines it came from and what is set by then. */
static int bulk_send(const struct cli *cli, const struct pin_file *f, const char *path, size_t first, size_t n,
		     const char *comment)
{
	json_t *body = bulk_body(f->pin + first, n, comment), *doc = NULL;
	const char *error = "versions and comments are UTF-8 text";
	char silence[512];
	int status = 0, err = 0;

	if (body) {
		err = client_call(cli, "PUT", path, body, CLIENT_MS, &status, &doc);
		error = err ? client_silence(cli, err, silence, sizeof(silence)) :
			      json_string_value(json_object_get(doc, "error"));
	}
	if (!body || err || status >= 300)
		err = cli_error(cli, "%s:%u-%u: %s; %zu pins of the lines before are set", f->name, f->pin[first].line,
				f->pin[first + n - 1].line, error ? error : "perchd refused", first);
	json_decref(body);
	json_decref(doc);
	return err;
}

static int file_send(const struct cli *cli, const struct pin_file *f, const char *service, const char *comment)
{
	char done[TEXT_NUMBER], all[TEXT_NUMBER];
	struct client_path path;
	int ret = 0;

	client_path(&path, "/v1/services/", service, "/pins");
	for (size_t i = 0; i < f->n && !ret; i += BULK) {
		ret = bulk_send(cli, f, path.text, i, f->n - i < BULK ? f->n - i : BULK, comment);
		if (!ret && i && i % TELL == 0)
			cli_note(cli, "%s of %s pins set", text_count(i, done), text_count(f->n, all));
	}
	return ret;
}

static void loaded_text(const json_t *doc)
{
	char set[TEXT_NUMBER], seconds[TEXT_NUMBER];

	printf("%s: %s pins set in %s\n", field_line(doc, "service"), text_count(field_number(doc, "set"), set),
	       text_seconds(field_number(doc, "seconds"), seconds));
}

int do_pin_load(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *file = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service),
				      { .key = "file", .what = "FILE|-", .value = &file, .needed = true },
				      WORD("comment", "TEXT", &comment), {} };
	struct timespec began, ended;
	struct pin_file f = { 0 };
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret || !file)
		return ret;
	clock_gettime(CLOCK_MONOTONIC, &began);
	f.name = strcmp(file, "-") ? file : "stdin";
	f.text = file_read(file);
	ret = f.text ? file_parse(cli, &f) : cli_error(cli, "%s: %s", f.name, strerror(errno));
	if (!ret && !f.n)
		ret = cli_error(cli, "%s: no pins in it: a line is IP VERSION [DURATION]", f.name);
	if (!ret)
		ret = file_send(cli, &f, service, comment);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	if (!ret)
		ret = cli_print(cli, json_pack("{s:s, s:I, s:f}", "service", service, "set", (json_int_t)f.n, "seconds",
					       ended.tv_sec - began.tv_sec + (ended.tv_nsec - began.tv_nsec) / 1e9),
				loaded_text);
	free(f.pin);
	free(f.text);
	return ret;
}
