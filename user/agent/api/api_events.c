// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/events, at once or followed.  A follower that does not read is ended
 * when it is too far behind: no event is left out in the middle. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "stream.h"

#define LAST 100
#define BEAT_S 15

struct event_stream {
	struct follower follower;	/* first: events.c hands it back */
	struct stream stream;
	struct agent *agent;
	char service[PERCH_NAME_LEN];	/* "": all */
};

static void events_tell(struct follower *f, const json_t *event)
{
	struct event_stream *s = (struct event_stream *)f;
	const char *service = json_string_value(json_object_get(event, "service"));

	if (s->service[0] && (!service || strcmp(service, s->service)))
		return;
	if (!s->stream.ended && stream_send(&s->stream, event))
		stream_end(&s->stream);
}

static void events_gone(struct stream *stream)
{
	struct event_stream *s = (struct event_stream *)((char *)stream - offsetof(struct event_stream, stream));

	events_unfollow(s->agent->events, &s->follower);
	free(s);
}

static void events_beat(struct follower *f)
{
	stream_beat(&((struct event_stream *)f)->stream, BEAT_S);
}

void api_events_beat(struct agent *a)
{
	events_each_follower(a->events, events_beat);
}

static void events_end(struct follower *f)
{
	stream_end(&((struct event_stream *)f)->stream);
}

void api_events_end(struct agent *a)
{
	events_each_follower(a->events, events_end);
}

static void events_stream(struct request *q, const json_t *last, const char *service)
{
	struct event_stream *s = calloc(1, sizeof(*s));
	json_t *event;
	size_t i;

	if (!s) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	if (stream_open(&s->stream, q, events_gone)) {
		free(s);
		return;
	}
	s->agent = q->agent;
	snprintf(s->service, sizeof(s->service), "%s", service ? service : "");
	s->follower.fn = events_tell;
	json_array_foreach(last, i, event)
		events_tell(&s->follower, event);
	events_follow(q->agent->events, &s->follower);
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
