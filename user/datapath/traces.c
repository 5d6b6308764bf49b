/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns control.tracing and the ring `traces`. */
#include "traces.h"

#include <errno.h>
#include <stdlib.h>

#include "internal.h"

struct traces {
	const struct maps *m;
	struct ring_buffer *ring;
	void (*fn)(void *arg, const struct perch_trace *t);
	void *arg;
	bool deaf;		/* what is read was asked by somebody before us */
};

static int take_trace(void *context, void *data, size_t size)
{
	struct traces *t = context;

	if (size >= sizeof(struct perch_trace) && !t->deaf)
		t->fn(t->arg, data);
	return 0;
}

int traces_open(struct traces **ret, const struct maps *m, void (*fn)(void *arg, const struct perch_trace *t),
		void *arg)
{
	struct traces *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	*t = (struct traces){ .m = m, .fn = fn, .arg = arg };
	traces_ask(t, NULL);
	t->ring = ring_buffer__new(m->traces_fd, take_trace, t, NULL);
	if (!t->ring) {
		err = -errno;
		free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void traces_close(struct traces *t)
{
	if (!t)
		return;
	traces_ask(t, NULL);
	ring_buffer__free(t->ring);
	free(t);
}

void traces_ask(struct traces *t, const struct traces_filter *f)
{
	__u32 flags = PERCH_TRACE_ON, service = 0, client = 0, before;

	before = __atomic_load_n(&t->m->control->tracing, __ATOMIC_RELAXED);
	/* what lies in the ring is of an earlier time */
	if (f && !before && t->ring) {
		t->deaf = true;
		ring_buffer__consume(t->ring);
		t->deaf = false;
	}
	if (f && f->service >= 0) {
		flags |= PERCH_TRACE_SERVICE;
		service = f->service;
	}
	if (f && f->client) {
		flags |= PERCH_TRACE_CLIENT;
		client = perch_trace_client(f->client->word);
	}
	__atomic_store_n(&t->m->control->tracing, f ? perch_tracing(flags, service, client) : 0, __ATOMIC_RELEASE);
}

int traces_fd(const struct traces *t)
{
	return ring_buffer__epoll_fd(t->ring);
}

int traces_read(struct traces *t)
{
	return ring_buffer__consume(t->ring);
}

__u64 traces_lost(const struct traces *t)
{
	return __atomic_load_n(&t->m->control->traces_lost, __ATOMIC_RELAXED);
}
