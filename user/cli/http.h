/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * HTTP/1.1 over a unix socket (RFC 9112), one request at a time: as much of it
 * as an API on the same host needs, and no library to load before a rollback
 * can begin.
 */
#ifndef PERCH_CLI_HTTP_H
#define PERCH_CLI_HTTP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct http {
	int fd;
	long long deadline;	/* ms on the monotonic clock; -1: none */
	const volatile sig_atomic_t *stop;	/* not NULL: give up when set */
	int status;		/* of the answer */
	bool chunked, until_close, ended;
	bool inside;		/* a chunk was read whose end is still to come */
	bool keep;		/* ask for more requests on this connection */
	bool last;		/* the server will take none */
	unsigned long long left;	/* of the body, or of this chunk */
	size_t used, have;
	char buffer[16384];
};

/* Each returns 0 or -errno: -ETIMEDOUT after timeout_ms, -EPROTO for what is
 * not HTTP, -ECONNRESET for an answer that ends early, -EINTR when stopped. */
int http_open(struct http *h, const char *socket_path, int timeout_ms);
void http_start(struct http *h, int fd, int timeout_ms);	/* on a connection that is there */
void http_close(struct http *h);
int http_request(struct http *h, const char *method, const char *path, const char *body, size_t length);
/* Reads up to the body. */
int http_answer(struct http *h);
/* Bytes of the body, 0 at its end, or -errno. */
ssize_t http_read(struct http *h, char *to, size_t size);
/* Is the connection fit for one more request?  Then begin that one. */
bool http_again(struct http *h, int timeout_ms);
/* 1 when there is something to read, 0 after ms (-1: never), or -errno. */
int http_idle(const struct http *h, int ms);
/* No more deadline: for answers that go on. */
void http_patient(struct http *h, const volatile sig_atomic_t *stop);

#endif
