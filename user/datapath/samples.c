/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rings read: each record goes to the handler of its kind.  Records that
 * are shorter than their kind, or of a kind unknown, are passed over. */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "samples.h"

struct samples {
	struct ring_buffer *rings;
	struct sample_handlers handlers;
	void *arg;
};

#define HANDLE(field, type)                                                    \
	do {                                                                   \
		if (size >= sizeof(struct type) && s->handlers.field)          \
			s->handlers.field(s->arg, data);                       \
	} while (0)

static int take_sample(void *context, void *data, size_t size)
{
	const struct perch_sample_head *head = data;
	struct samples *s = context;

	if (size < sizeof(*head))
		return 0;
	switch (head->kind) {
	case PERCH_SAMPLE_BACKEND:
		HANDLE(backend, perch_sample_backend);
		break;
	case PERCH_SAMPLE_VERSION:
		HANDLE(version, perch_sample_version);
		break;
	case PERCH_SAMPLE_SERVICE:
		HANDLE(service, perch_sample_service);
		break;
	case PERCH_SAMPLE_HOST:
		HANDLE(host, perch_sample_host);
		break;
	}
	return 0;
}

static int take_event(void *context, void *data, size_t size)
{
	struct samples *s = context;

	HANDLE(event, perch_event);
	return 0;
}

int samples_open(struct samples **ret, const struct maps *m, const struct sample_handlers *h, void *arg)
{
	struct samples *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->handlers = *h;
	s->arg = arg;
	s->rings = ring_buffer__new(m->samples_fd, take_sample, s, NULL);
	err = s->rings ? ring_buffer__add(s->rings, m->events_fd, take_event, s) : -errno;
	if (err) {
		samples_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void samples_close(struct samples *s)
{
	if (!s)
		return;
	ring_buffer__free(s->rings);
	free(s);
}

int samples_fd(const struct samples *s)
{
	return ring_buffer__epoll_fd(s->rings);
}

int samples_read(struct samples *s)
{
	return ring_buffer__consume(s->rings);
}
