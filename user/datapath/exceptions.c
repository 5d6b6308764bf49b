/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the exceptions in `addresses`: endpoints with the value 0, which a
 * listener with port 0 leaves to the stack (`exclude`).  A listener of that
 * very port stands in the place of an exception and gives it back when it
 * goes, so the list here holds more than the map shows.
 */
#include "elements.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

static bool same(const struct perch_endpoint *a, const struct perch_endpoint *b)
{
	return a->port == b->port && a->protocol == b->protocol && !memcmp(&a->address, &b->address, sizeof(a->address));
}

static struct exception *exception_find(const struct tables *t, const struct perch_endpoint *at)
{
	for (size_t i = 0; i < t->n_exceptions; i++)
		if (same(&t->exceptions[i].at, at))
			return &t->exceptions[i];
	return NULL;
}

bool exceptions_have(const struct tables *t, const struct perch_endpoint *at)
{
	return exception_find(t, at);
}

int exceptions_note(struct tables *t, unsigned service, const struct perch_endpoint *at)
{
	struct exception *e = exception_find(t, at);

	if (!e) {
		e = realloc(t->exceptions, (t->n_exceptions + 1) * sizeof(*e));
		if (!e)
			return -ENOMEM;
		t->exceptions = e;
		e += t->n_exceptions++;
	}
	*e = (struct exception){ .at = *at, .service = service };
	return 0;
}

static int exception_publish(struct tables *t, unsigned service, const struct perch_endpoint *at)
{
	__u32 none = 0, there;
	int err = exceptions_note(t, service, at);

	if (err || listeners_find(t, at))
		return err;
	if (!bpf_map_lookup_elem(t->m->addresses_fd, at, &there) && !there)
		return 0;
	return bpf_map_update_elem(t->m->addresses_fd, at, &none, BPF_ANY);
}

int exceptions_publish(struct tables *t, const struct placed_service *s)
{
	for (size_t i = 0; i < s->n_listen; i++) {
		struct perch_endpoint at = s->listen[i];

		for (size_t k = 0; !s->listen[i].port && k < s->n_exclude; k++) {
			int err;

			at.port = htons(s->exclude[k]);
			err = exception_publish(t, s->id, &at);
			if (err)
				return err;
		}
	}
	return 0;
}

static bool names_exception(const struct placed_service *s, const struct perch_endpoint *at)
{
	for (size_t i = 0; s && i < s->n_listen; i++) {
		struct perch_endpoint any = *at;

		any.port = 0;
		for (size_t k = 0; same(&s->listen[i], &any) && k < s->n_exclude; k++)
			if (htons(s->exclude[k]) == at->port)
				return true;
	}
	return false;
}

void exceptions_prune(struct tables *t, unsigned service, const struct placed_service *s)
{
	__u32 there;
	size_t kept = 0;

	for (size_t i = 0; i < t->n_exceptions; i++) {
		const struct exception e = t->exceptions[i];

		if (e.service != service || names_exception(s, &e.at))
			t->exceptions[kept++] = e;
		else if (!bpf_map_lookup_elem(t->m->addresses_fd, &e.at, &there) && !there)
			bpf_map_delete_elem(t->m->addresses_fd, &e.at);
	}
	t->n_exceptions = kept;
}

size_t tables_excluded(const struct tables *t, unsigned service, __u16 *ports, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_exceptions && n < max; i++) {
		__u16 port = ntohs(t->exceptions[i].at.port);
		bool there = t->exceptions[i].service != service;

		for (size_t k = 0; k < n && !there; k++)	/* one for each of its listeners */
			there = ports[k] == port;
		if (!there)
			ports[n++] = port;
	}
	return n;
}

void exceptions_close(struct tables *t)
{
	free(t->exceptions);
	t->exceptions = NULL;
	t->n_exceptions = 0;
}
