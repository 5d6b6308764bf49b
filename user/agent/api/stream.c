// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The buffer between who tells and libmicrohttpd, which asks for bytes. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define BUFFER_MOST (1u << 20)

static void stream_resume(struct stream *s)
{
	if (!s->suspended)
		return;
	s->suspended = false;
	MHD_resume_connection(s->connection);
	http_kick(s->http);
}

static int stream_append(struct stream *s, const char *text, size_t length)
{
	char *buffer;

	if (s->at) {
		memmove(s->buffer, s->buffer + s->at, s->length - s->at);
		s->length -= s->at;
		s->at = 0;
	}
	if (s->ended || s->length + length > BUFFER_MOST)
		return -ENOBUFS;
	buffer = realloc(s->buffer, s->length + length);
	if (!buffer)
		return -ENOMEM;
	s->buffer = buffer;
	memcpy(buffer + s->length, text, length);
	s->length += length;
	s->idle_s = 0;
	stream_resume(s);
	return 0;
}

int stream_send(struct stream *s, const json_t *doc)
{
	char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15)), *line;
	int err;

	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (!line) {
		free(text);
		return -ENOMEM;
	}
	strcat(line, "\n");
	err = stream_append(s, line, strlen(line));
	free(line);
	return err;
}

void stream_beat(struct stream *s, unsigned silence)
{
	if (++s->idle_s >= silence)
		stream_append(s, "\n", 1);
}

void stream_end(struct stream *s)
{
	s->ended = true;
	stream_resume(s);
}

static ssize_t stream_read(void *arg, uint64_t position, char *out, size_t most)
{
	struct stream *s = arg;
	size_t n = s->length - s->at;

	if (!n && s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!n) {
		s->suspended = true;
		MHD_suspend_connection(s->connection);
		return 0;
	}
	if (n > most)
		n = most;
	memcpy(out, s->buffer + s->at, n);
	s->at += n;
	return n;
}

static void stream_free(void *arg)
{
	struct stream *s = arg;

	free(s->buffer);
	s->gone(s);
}

int stream_open(struct stream *s, struct request *q, void (*gone)(struct stream *s))
{
	*s = (struct stream){ .http = q->http, .connection = q->connection, .gone = gone };
	q->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, s, stream_free);
	if (!q->response) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return -ENOMEM;
	}
	MHD_add_response_header(q->response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson");
	return 0;
}
