/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the maps `listeners` and `addresses`: where clients connect to.  An
 * element is filled first and known to packets once `addresses` names it.
 *
 * Flows name their listener by id.  An id that was given back keeps its
 * content and is only taken again when every fresh one is used up and no flow
 * names it, so that a connection is never taken for one of another listener.
 */
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "filter.h"
#include "flows.h"
#include "internal.h"

static struct perch_endpoint listener_endpoint(const struct perch_listener *l)
{
	return (struct perch_endpoint){ .address = l->address, .port = l->port, .protocol = l->protocol };
}

static bool listener_at(const struct perch_listener *l, const struct perch_endpoint *e)
{
	return l->in_use && l->port == e->port && l->protocol == e->protocol &&
	       !memcmp(&l->address, &e->address, sizeof(e->address));
}

static __u32 listener_find(const struct tables *t, const struct perch_endpoint *e)
{
	for (__u32 id = 1; id < t->m->control->listeners_n; id++)
		if (listener_at(&t->m->listeners[id], e))
			return id;
	return 0;
}

/* Endpoint i of a service: its own first, then the doors of its versions.
 * NULL behind the last. */
static const struct perch_endpoint *endpoint_get(const struct placed_service *s, size_t i, __u8 *ret_door)
{
	*ret_door = 0;
	if (i < s->n_listen)
		return &s->listen[i];
	i -= s->n_listen;
	for (size_t v = 0; v < s->n_versions; v++) {
		if (i < s->version[v].n_doors) {
			*ret_door = s->version[v].slot + 1;
			return &s->version[v].doors[i];
		}
		i -= s->version[v].n_doors;
	}
	return NULL;
}

/* Entries of `addresses` whose listener is not there: left by a process that
 * ended between two writes. */
int listeners_open(struct tables *t)
{
	struct perch_endpoint key, *at = NULL, *stale;
	__u32 n = t->m->control->listeners_n, id;
	size_t n_stale = 0;

	stale = calloc(n, sizeof(*stale));
	if (!stale)
		return -ENOMEM;
	while (n_stale < n && !bpf_map_get_next_key(t->m->addresses_fd, at, &key)) {
		if (!bpf_map_lookup_elem(t->m->addresses_fd, &key, &id) &&
		    (!id || id >= n || !listener_at(&t->m->listeners[id], &key)))
			stale[n_stale++] = key;
		at = &key;
	}
	while (n_stale)
		bpf_map_delete_elem(t->m->addresses_fd, &stale[--n_stale]);
	free(stale);
	return 0;
}

static bool flow_marks_listener(void *arg, const struct flow_copy *f)
{
	__u8 *named = arg;

	named[f->flow.key.listener] = 1;
	return true;
}

static __u32 listener_free_id(const struct tables *t, struct listeners_change *c)
{
	__u32 n = t->m->control->listeners_n;

	for (__u32 id = 1; id < n; id++)
		if (!t->m->listeners[id].protocol)
			return id;
	if (!c->named) {
		c->named = calloc(1 << 16, 1);
		if (!c->named)
			return 0;
		flows_walk(t->m, flow_marks_listener, c->named);
	}
	for (__u32 id = 1; id < n; id++)
		if (!t->m->listeners[id].in_use && !c->named[id])
			return id;
	return 0;
}

static __u32 listener_take(struct tables *t, unsigned service, const struct perch_endpoint *e, __u8 door,
			   struct listeners_change *c)
{
	__u32 id = listener_free_id(t, c);
	struct perch_listener *l = &t->m->listeners[id];

	if (!id)
		return 0;
	l->address = e->address;
	l->port = e->port;
	l->protocol = e->protocol;
	l->door = door;
	l->service = service;
	publish(l->in_use, 1);
	return id;
}

static int endpoint_refuse(const struct perch_endpoint *e, char why[WHY], int err, const char *reason)
{
	char text[ADDRESS_TEXT];

	return why_set(why, err, "%s: %s", endpoint_format(e, text), reason);
}

static int listener_prepare(struct tables *t, const struct placed_service *s, const struct perch_endpoint *e, __u8 door,
			    struct listeners_change *c, char why[WHY])
{
	__u32 id = listener_find(t, e);

	for (size_t i = 0; id && i < c->n; i++)
		if (c->id[i] == id)
			return endpoint_refuse(e, why, -EADDRINUSE, "stands twice in this service");
	if (id && t->m->listeners[id].service != s->id)
		return endpoint_refuse(e, why, -EADDRINUSE, "is a listener of another service");
	c->fresh[c->n] = !id;
	if (!id)
		id = listener_take(t, s->id, e, door, c);
	if (!id)
		return endpoint_refuse(e, why, -ENOSPC, "no element of `listeners` is free");
	c->id[c->n++] = id;
	return 0;
}

int listeners_prepare(struct tables *t, const struct placed_service *s, struct listeners_change *c, char why[WHY])
{
	const struct perch_endpoint *e;
	size_t n = 0;
	__u8 door;
	int err;

	while (endpoint_get(s, n, &door))
		n++;
	c->n = 0;
	c->id = calloc(n + 1, sizeof(*c->id));
	c->fresh = calloc(n + 1, sizeof(*c->fresh));
	if (!c->id || !c->fresh)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		e = endpoint_get(s, i, &door);
		err = listener_prepare(t, s, e, door, c, why);
		if (err)
			return err;
	}
	return 0;
}

static int address_name(struct tables *t, __u32 id)
{
	struct perch_endpoint e = listener_endpoint(&t->m->listeners[id]);
	__u32 old;

	if (!bpf_map_lookup_elem(t->m->addresses_fd, &e, &old) && old == id)
		return 0;
	return bpf_map_update_elem(t->m->addresses_fd, &e, &id, BPF_ANY);
}

int listeners_publish(struct tables *t, const struct placed_service *s, const struct listeners_change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct perch_listener *l = &t->m->listeners[c->id[i]];
		__u8 door;
		int err;

		endpoint_get(s, i, &door);
		store(l->door, door);
		filter_set_destination(t->m, &l->address);
		err = address_name(t, c->id[i]);
		if (err)
			return err;
		c->fresh[i] = false;
	}
	return 0;
}

static bool change_keeps(const struct listeners_change *c, __u32 id)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (c->id[i] == id)
			return true;
	return false;
}

void listeners_prune(struct tables *t, unsigned service, const struct listeners_change *c)
{
	for (__u32 id = 1; id < t->m->control->listeners_n; id++) {
		struct perch_listener *l = &t->m->listeners[id];
		struct perch_endpoint e = listener_endpoint(l);

		if (!l->in_use || l->service != service || change_keeps(c, id))
			continue;
		bpf_map_delete_elem(t->m->addresses_fd, &e);
		publish(l->in_use, 0);
	}
}

void listeners_cancel(struct tables *t, struct listeners_change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct perch_listener *l = &t->m->listeners[c->id[i]];

		if (!c->fresh[i])
			continue;
		publish(l->in_use, 0);
		memset(l, 0, sizeof(*l));
	}
}

void listeners_change_free(struct listeners_change *c)
{
	free(c->id);
	free(c->fresh);
	free(c->named);
}
