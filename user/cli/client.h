/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* perchd's API (docs/api.md) as the objects use it: paths, one document out,
 * one document in, and what to say when nobody answers. */
#ifndef PERCH_CLI_CLIENT_H
#define PERCH_CLI_CLIENT_H

#include <signal.h>

#include <jansson.h>

#include "cli.h"

#define CLIENT_MS 10000
#define CLIENT_STATUS_MS 5000	/* of thousands of services; then the pinned maps are read */
#define CLIENT_ROLLBACK_MS 1000	/* then the pinned map is written directly */

struct client_path {
	char text[1024];
};

/* "/v1/services/" + NAME (escaped) + "/weights"; rest may be "". */
void client_path(struct client_path *p, const char *front, const char *name, const char *rest);
/* ?key=value; value may be NULL: nothing. */
void client_query(struct client_path *p, const char *key, const char *value);

/*
 * One request.  0 and the document, and the HTTP status of it, or -errno when
 * there was no answer in time or none that is one.  body may be NULL.
 */
int client_call(const struct cli *cli, const char *method, const char *path, const json_t *body, int timeout_ms,
		int *ret_status, json_t **ret);
/* The sentence for client_call's -errno. */
const char *client_silence(const struct cli *cli, int err, char *out, size_t size);

/* The same with every failure said; return an exit code. */
int client_get(const struct cli *cli, const char *path, json_t **ret);
int client_send(const struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret);
/* With a body that is no JSON. */
int client_send_text(const struct cli *cli, const char *method, const char *path, const char *body, size_t length,
		     json_t **ret);

/* The whole of FILE, - is stdin, to be freed; a failure is said.  Returns an
 * exit code. */
int client_file(const struct cli *cli, const char *file, char **ret_text, size_t *ret_length);

/* An answer that goes on, document by document. */
struct follow {
	bool (*fn)(void *arg, json_t *doc);	/* false: enough */
	/* NULL, or called when the answer has begun and when nothing has come
	 * for as long as it said: ms, or FOLLOW_ENOUGH */
	int (*idle)(void *arg);
	void *arg;
	const volatile sig_atomic_t *stop;	/* ends it when set */
};
#define FOLLOW_ENOUGH (-2)

/* 0 when fn or idle had enough or stop was set, CLI_FAILED when it was refused
 * (and that was said), or -errno when the connection ended. */
int client_listen(const struct cli *cli, const char *path, const struct follow *f);
/* The same with every failure said; returns an exit code. */
int client_follow(const struct cli *cli, const char *path, const struct follow *f);

#endif
