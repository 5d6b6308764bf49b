// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * /v1/events, at once or followed.  A follower has a buffer; while it is empty
 * the connection is suspended and costs nothing.  One that does not read is
 * ended when its buffer is full.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "http.h"

#define LAST 100
#define BUFFER_MOST (1u << 20)
#define BEAT_S 15

struct stream {
	struct follower follower;	/* first: events.c hands it back */
	struct agent *agent;
	struct http *http;
	struct MHD_Connection *connection;
	char service[PERCH_NAME_LEN];	/* "": all */
	char *buffer;
	size_t at, length;
	unsigned idle_s;
	bool suspended, ended;
};

static void stream_resume(struct stream *s)
{
	if (!s->suspended)
		return;
	s->suspended = false;
	MHD_resume_connection(s->connection);
	http_kick(s->http);
}

static void stream_append(struct stream *s, const char *text, size_t length)
{
	char *buffer;

	if (s->ended)
		return;
	if (s->at) {
		memmove(s->buffer, s->buffer + s->at, s->length - s->at);
		s->length -= s->at;
		s->at = 0;
	}
	buffer = s->length + length <= BUFFER_MOST ? realloc(s->buffer, s->length + length) : NULL;
	if (buffer) {
		s->buffer = buffer;
		memcpy(buffer + s->length, text, length);
		s->length += length;
	} else {
		s->ended = true;
	}
	s->idle_s = 0;
	stream_resume(s);
}

static void stream_event(struct follower *f, const json_t *event)
{
	struct stream *s = (struct stream *)f;
	const char *service = json_string_value(json_object_get(event, "service"));
	char *text, *line;

	if (s->service[0] && (!service || strcmp(service, s->service)))
		return;
	text = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15));
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (!line) {
		free(text);
		return;
	}
	strcat(line, "\n");
	stream_append(s, line, strlen(line));
	free(line);
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

	events_unfollow(s->agent->events, &s->follower);
	free(s->buffer);
	free(s);
}

static void stream_beat(struct follower *f)
{
	struct stream *s = (struct stream *)f;

	if (++s->idle_s >= BEAT_S)
		stream_append(s, "\n", 1);
}

void api_events_beat(struct agent *a)
{
	events_each_follower(a->events, stream_beat);
}

static void stream_end(struct follower *f)
{
	struct stream *s = (struct stream *)f;

	s->ended = true;
	stream_resume(s);
}

void api_events_end(struct agent *a)
{
	events_each_follower(a->events, stream_end);
}

static void events_stream(struct request *q, const json_t *last, const char *service)
{
	struct stream *s = calloc(1, sizeof(*s));
	json_t *event;
	size_t i;

	if (!s) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	q->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, s, stream_free);
	if (!q->response) {
		free(s);
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	s->agent = q->agent;
	s->http = q->http;
	s->connection = q->connection;
	snprintf(s->service, sizeof(s->service), "%s", service ? service : "");
	s->follower.fn = stream_event;
	json_array_foreach(last, i, event)
		stream_event(&s->follower, event);
	events_follow(q->agent->events, &s->follower);
	MHD_add_response_header(q->response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson");
}

void api_events(struct request *q)
{
	const char *follow = request_query(q, "follow"), *service = request_query(q, "service");
	bool stream = follow && strcmp(follow, "0");
	json_t *last;
	__u64 limit;

	if (!request_query_number(q, "limit", stream ? 0 : LAST, EVENTS_KEPT, &limit))
		return;
	last = events_last(q->agent->events, limit, service);
	if (!stream) {
		q->json = last;
		return;
	}
	events_stream(q, last, service);
	json_decref(last);
}
