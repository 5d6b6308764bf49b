// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perchd's API as the objects use it.  Documents come in whole; only events
 * are followed line by line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "../config/document.h"
#include "client.h"
#include "http.h"
#include "output.h"
#include "text.h"

#define ANSWER_MAX (512u << 20)
#define EVENT_MAX 65536

static void escape(struct client_path *p, const char *word)
{
	for (; *word; word++) {
		unsigned char c = *word;

		if (isalnum(c) || strchr("-._~", c))
			text_append(p->text, sizeof(p->text), "%c", c);
		else
			text_append(p->text, sizeof(p->text), "%%%02X", c);
	}
}

void client_path(struct client_path *p, const char *front, const char *name, const char *rest)
{
	p->text[0] = 0;
	text_append(p->text, sizeof(p->text), "%s", front);
	escape(p, name);
	text_append(p->text, sizeof(p->text), "%s", rest);
}

void client_query(struct client_path *p, const char *key, const char *value)
{
	if (!value)
		return;
	text_append(p->text, sizeof(p->text), "%c%s=", strchr(p->text, '?') ? '&' : '?', key);
	escape(p, value);
}

/* The body as a string that ends with 0. */
static int read_all(struct http *h, char **ret, size_t *ret_length)
{
	size_t length = 0, room = 16384;
	char *body = malloc(room);
	ssize_t n;

	while (body && (n = http_read(h, body + length, room - length - 1)) > 0) {
		char *more;

		length += n;
		if (length + 1 < room)
			continue;
		room *= 2;
		more = room <= ANSWER_MAX ? realloc(body, room) : NULL;
		if (!more)
			free(body);
		body = more;
	}
	if (!body)
		return -ENOMEM;
	if (n < 0) {
		free(body);
		return n;
	}
	body[length] = 0;
	*ret = body;
	*ret_length = length;
	return 0;
}

static int request(struct http *h, const char *method, const char *path, const char *body, size_t length)
{
	int err;

	if (strlen(path) + 1 >= sizeof(struct client_path))
		return -ENAMETOOLONG;
	err = http_request(h, method, path, body, length);
	return err ?: http_answer(h);
}

static int call(const struct cli *cli, const char *method, const char *path, const char *body, size_t length,
		int timeout_ms, int *ret_status, json_t **ret)
{
	struct http own, *h = cli->kept;
	bool again = h && http_again(h, timeout_ms);
	char *text = NULL;
	int err;

	if (!h)
		h = &own;
	else if (!again)
		http_close(h);
	err = again ? 0 : http_open(h, cli->socket, timeout_ms);
	if (err)
		return err;
	h->keep = cli->kept;
	err = request(h, method, path, body, length);
	if (!err)
		err = read_all(h, &text, &length);
	if (!cli->kept || err)
		http_close(h);
	if (err)
		return err;
	*ret = json_loadb(text, length, JSON_DECODE_ANY, NULL);
	free(text);
	if (!*ret)
		return -EPROTO;
	*ret_status = h->status;
	return 0;
}

int client_call(const struct cli *cli, const char *method, const char *path, const json_t *body, int timeout_ms,
		int *ret_status, json_t **ret)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int err;

	if (body && !text)
		return -ENOMEM;
	err = call(cli, method, path, text ?: "", text ? strlen(text) : 0, timeout_ms, ret_status, ret);
	free(text);
	return err;
}

const char *client_silence(const struct cli *cli, int err, char *out, size_t size)
{
	const char *why = strerror(-err);

	if (err == -ENOENT)
		why = "it is not running, or has another --socket";
	else if (err == -ECONNREFUSED)
		why = "it is not running";
	else if (err == -ETIMEDOUT)
		why = "it is there, but silent";
	else if (err == -ECONNRESET)
		why = "it hung up in the middle";
	else if (err == -EPROTO)
		why = "what answers there is not perchd";
	snprintf(out, size, "perchd does not answer at %s: %s", cli->socket, why);
	return out;
}

static int client_refused(const struct cli *cli, int status, json_t *doc)
{
	const char *error = json_string_value(json_object_get(doc, "error"));

	if (error)
		cli_error(cli, "%s", error);
	else
		cli_error(cli, "perchd answered %d", status);
	json_decref(doc);
	return CLI_FAILED;
}

/* Of a call: the document, or what went wrong, said. */
static int answered(const struct cli *cli, int err, int status, json_t *doc, json_t **ret)
{
	char why[512];

	if (err)
		return cli_error(cli, "%s", client_silence(cli, err, why, sizeof(why)));
	if (status >= 300)
		return client_refused(cli, status, doc);
	*ret = doc;
	return CLI_OK;
}

int client_send(const struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret)
{
	json_t *doc = NULL;
	int status = 0, err = client_call(cli, method, path, body, CLIENT_MS, &status, &doc);

	return answered(cli, err, status, doc, ret);
}

int client_send_text(const struct cli *cli, const char *method, const char *path, const char *body, size_t length,
		     json_t **ret)
{
	json_t *doc = NULL;
	int status = 0, err = call(cli, method, path, body, length, CLIENT_MS, &status, &doc);

	return answered(cli, err, status, doc, ret);
}

int client_get(const struct cli *cli, const char *path, json_t **ret)
{
	return client_send(cli, "GET", path, NULL, ret);
}

int client_file(const struct cli *cli, const char *file, char **ret_text, size_t *ret_length)
{
	char error[CONFIG_ERROR];

	if (file && !strcmp(file, "-"))
		file = "/dev/stdin";
	if (document_read(file, ret_text, ret_length, error))
		return cli_error(cli, "%s", error);
	return CLI_OK;
}

/* Each whole line in text is a document; what is left of the last one moves
 * to the front.  0, 1 when fn had enough, or -EPROTO. */
static int documents(char *text, size_t *length, const struct follow *f)
{
	char *line = text, *end;
	int done = 0;

	while (!done && (end = memchr(line, '\n', text + *length - line))) {
		json_t *doc;

		if (end > line) {
			doc = json_loadb(line, end - line, 0, NULL);
			if (!doc)
				return -EPROTO;
			done = !f->fn(f->arg, doc);
			json_decref(doc);
		}
		line = end + 1;
	}
	*length -= line - text;
	memmove(text, line, *length);
	return done ?: *length == EVENT_MAX ? -EPROTO : 0;
}

/* Until there is something to read: 0, 1 when idle had enough, or -errno. */
static int follow_wait(const struct http *h, const struct follow *f, int *ms)
{
	for (;;) {
		int n = http_idle(h, *ms);

		if (n)
			return n < 0 ? n : 0;
		*ms = f->idle ? f->idle(f->arg) : -1;
		if (*ms == FOLLOW_ENOUGH)
			return 1;
	}
}

static int follow_body(struct http *h, const struct follow *f)
{
	int ms = f->idle ? f->idle(f->arg) : -1, err = ms == FOLLOW_ENOUGH;
	char *text = malloc(EVENT_MAX);
	size_t length = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (!err) {
		err = follow_wait(h, f, &ms);
		if (err)
			break;
		n = http_read(h, text + length, EVENT_MAX - length);
		if (n > 0)
			length += n;
		err = n < 0 ? n : n == 0 ? -ECONNRESET : documents(text, &length, f);
	}
	free(text);
	return err;
}

/* The document that came instead of documents. */
static int follow_refused(const struct cli *cli, struct http *h)
{
	json_t *doc = NULL;
	size_t length;
	char *text;

	if (read_all(h, &text, &length) == 0) {
		doc = json_loadb(text, length, 0, NULL);
		free(text);
	}
	return client_refused(cli, h->status, doc);
}

int client_listen(const struct cli *cli, const char *path, const struct follow *f)
{
	struct http h;
	int err;

	err = http_open(&h, cli->socket, CLIENT_MS);
	if (!err)
		err = request(&h, "GET", path, "", 0);
	if (!err && h.status != 200)
		err = follow_refused(cli, &h);
	else if (!err) {
		http_patient(&h, f->stop);
		err = follow_body(&h, f);
		err = err > 0 || err == -EINTR ? 0 : err;
	}
	http_close(&h);
	return err;
}

int client_follow(const struct cli *cli, const char *path, const struct follow *f)
{
	char why[512];
	int err = client_listen(cli, path, f);

	return err < 0 ? cli_error(cli, "%s", client_silence(cli, err, why, sizeof(why))) : err;
}
