/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * HTTP requests that wait for nobody: libcurl's multi interface in the loop.
 * Answers are bounded, redirects are not followed (a header with a secret
 * would go along), and names are resolved in a thread of libcurl's.
 */
#ifndef PERCH_AGENT_FETCH_H
#define PERCH_AGENT_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define FETCH_BODY 1048576	/* of an answer, bytes */

struct fetcher;
struct fetch;

struct fetch_ask {
	const char *url;
	const char *body;	/* NULL: GET, else POST */
	const char *ca_file;	/* NULL: the host's */
	const char *const *headers;	/* "Name: value", NULL ends them; may be NULL */
	unsigned timeout_ms;
};

struct fetch_answer {
	const char *error;	/* NULL: there is an answer */
	long status;
	const char *body;	/* 0-terminated */
	size_t length;
};
typedef void fetch_done(void *arg, const struct fetch_answer *answer);

/* 0 or -errno. */
int fetcher_open(struct fetcher **ret, uv_loop_t *loop);
/* Those under way end with an error.  Before the loop's handles are walked. */
void fetcher_close(struct fetcher *f);
/* `done` is called once, from the loop, unless it is cancelled before; the ask
 * is copied.  NULL: no memory. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_ask *ask, fetch_done *done, void *arg);
void fetch_cancel(struct fetch *fetch);

#endif
