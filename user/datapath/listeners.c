/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the maps `listeners` and `addresses`: where clients connect to.  An
 * element is filled first and known to packets once `addresses` names it.
 *
 * Flows name their listener by id.  One that is taken away rests: its element
 * keeps its content and its bit in the filter, so that its connections go on,
 * until no flow names it.
 *
 * A listener with port 0 is asked when no entry has the very port;
 * control.any_port says whether there are any.
 */
#include "listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "clock.h"
#include "elements.h"
#include "filter.h"
#include "flows.h"
#include "internal.h"

#define FREE_EVERY_NS 60000000000ull

static struct perch_endpoint listener_endpoint(const struct perch_listener *l)
{
	return (struct perch_endpoint){ .address = l->address, .port = l->port, .protocol = l->protocol };
}

static bool listener_resting(const struct perch_listener *l)
{
	return !l->in_use && l->protocol;
}

/* In use or resting. */
static bool listener_at(const struct perch_listener *l, const struct perch_endpoint *e)
{
	return l->port == e->port && l->protocol == e->protocol && !memcmp(&l->address, &e->address, sizeof(e->address));
}

static __u32 endpoint_hash(const struct perch_endpoint *e)
{
	return index_hash(e, sizeof(*e));
}

__u32 listeners_find(const struct tables *t, const struct perch_endpoint *e)
{
	for (__u32 id = index_find(&t->listeners, endpoint_hash(e)); id; id = t->listeners.same[id])
		if (t->m->listeners[id].in_use && listener_at(&t->m->listeners[id], e))
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

static void listener_use(struct tables *t, struct perch_listener *l, bool use)
{
	t->any_port += !l->port ? use - l->in_use : 0;
	publish(l->in_use, use);
}

/* Packets of ports without an entry of their own ask for port 0 as long as
 * somebody listens there: set before the first is known, cleared after the
 * last was. */
static void listeners_tell_any(struct tables *t)
{
	publish(t->m->control->any_port, t->any_port);
}

static void listeners_read(struct tables *t)
{
	for (__u32 id = 1; id < t->m->control->listeners_n; id++) {
		const struct perch_listener *l = &t->m->listeners[id];
		struct perch_endpoint e = listener_endpoint(l);

		if (!l->protocol || l->service >= t->m->control->services)
			continue;
		index_add(&t->listeners, l->service, id, endpoint_hash(&e));
		t->any_port += l->in_use && !l->port;
	}
}

/* An entry of `addresses` for which nobody is there: left by a process that
 * ended between two writes.  Exceptions that hold are noted. */
static bool address_is_stale(struct tables *t, const struct perch_endpoint *key, __u32 id)
{
	struct perch_endpoint any = *key;

	if (key->fragments)
		return !fragments_hold(t, key, id);
	if (id)
		return id >= t->m->control->listeners_n || !t->m->listeners[id].in_use || !listener_at(&t->m->listeners[id], key);
	any.port = 0;
	id = listeners_find(t, &any);
	return !id || exceptions_note(t, t->m->listeners[id].service, key);
}

int listeners_open(struct tables *t)
{
	struct perch_endpoint key, *at = NULL, *stale;
	__u32 n = t->m->control->listeners_n, id;
	size_t n_stale = 0;

	if (index_open(&t->listeners, t->m->control->services, n))
		return -ENOMEM;
	listeners_read(t);
	stale = calloc(n, sizeof(*stale));
	if (!stale)
		return -ENOMEM;
	while (n_stale < n && !bpf_map_get_next_key(t->m->addresses_fd, at, &key)) {
		if (!bpf_map_lookup_elem(t->m->addresses_fd, &key, &id) && address_is_stale(t, &key, id))
			stale[n_stale++] = key;
		at = &key;
	}
	while (n_stale)
		bpf_map_delete_elem(t->m->addresses_fd, &stale[--n_stale]);
	free(stale);
	listeners_tell_any(t);
	return 0;
}

static bool flow_marks_listener(void *arg, const struct flow_copy *f)
{
	__u8 *named = arg;

	named[f->flow.key.listener] = 1;
	return true;
}

static void listener_give_back(struct tables *t, __u32 id)
{
	struct perch_listener *l = &t->m->listeners[id];
	struct perch_endpoint e = listener_endpoint(l);

	index_remove(&t->listeners, l->service, id, endpoint_hash(&e));
	memset(l, 0, sizeof(*l));
}

bool listeners_free(struct tables *t, bool pressed)
{
	__u64 now = clock_ns();
	bool freed = false;
	__u8 *named;

	if (!pressed && now - t->listeners_freed < FREE_EVERY_NS)
		return false;
	t->listeners_freed = now;
	named = calloc(1 << 16, 1);
	if (!named)
		return false;
	flows_walk(t->m, flow_marks_listener, named);
	for (__u32 id = 1; id < t->m->control->listeners_n; id++) {
		struct perch_listener *l = &t->m->listeners[id];

		if (!listener_resting(l) || named[id])
			continue;
		listener_give_back(t, id);
		freed = true;
	}
	free(named);
	if (freed)
		filter_sweep(t->m);
	return freed;
}

bool listeners_resting(const struct tables *t)
{
	for (__u32 id = 1; id < t->m->control->listeners_n; id++)
		if (listener_resting(&t->m->listeners[id]))
			return true;
	return false;
}

static __u32 listener_free_id(struct tables *t)
{
	__u32 n = t->m->control->listeners_n;

	for (__u32 i = 0; i < n; i++) {
		__u32 id = (t->next_listener + i) % n;

		if (id && !t->m->listeners[id].protocol) {
			t->next_listener = id + 1;
			return id;
		}
	}
	return 0;
}

/* The service's own that rests at this endpoint, else a free one. */
static __u32 listener_choose(struct tables *t, unsigned service, const struct perch_endpoint *e, bool *ret_known)
{
	*ret_known = true;
	for (__u32 id = index_find(&t->listeners, endpoint_hash(e)); id; id = t->listeners.same[id]) {
		const struct perch_listener *l = &t->m->listeners[id];

		if (listener_resting(l) && l->service == service && listener_at(l, e))
			return id;
	}
	*ret_known = false;
	return listener_free_id(t);
}

/* It is taken over from the stack now, whoever had it before. */
static __u32 listener_take(struct tables *t, const struct placed_service *s, const struct perch_endpoint *e, __u8 door)
{
	struct perch_listener *l;
	bool known;
	__u32 id = listener_choose(t, s->id, e, &known);

	if (!id && listeners_free(t, true))
		id = listener_choose(t, s->id, e, &known);
	if (!id)
		return 0;
	l = &t->m->listeners[id];
	l->address = e->address;
	l->port = e->port;
	l->door = door;
	l->service = s->id;
	store(l->leaving, 0);
	store(l->adopt_until, s->adopt ? clock_ns() + s->adopt : 0);
	store(l->protocol, e->protocol);
	listener_use(t, l, true);
	if (!known)
		index_add(&t->listeners, s->id, id, endpoint_hash(e));
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
	__u32 id = listeners_find(t, e);

	for (size_t i = 0; id && i < c->n; i++)
		if (c->id[i] == id)
			return endpoint_refuse(e, why, -EADDRINUSE, "stands twice in this service");
	if (id && t->m->listeners[id].service != s->id)
		return endpoint_refuse(e, why, -EADDRINUSE, t->m->listeners[id].leaving ?
				       "is a listener of another service, which is leaving" :
				       "is a listener of another service");
	if (s->fragments && fragments_taken(t, s->id, e))
		return endpoint_refuse(e, why, -EADDRINUSE, "another service takes the fragments of this address, which have no port");
	c->fresh[c->n] = !id;
	if (!id)
		id = listener_take(t, s, e, door);
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

/* What stood there before it, an exception, stands there again. */
static void address_give_up(struct tables *t, const struct perch_endpoint *e)
{
	__u32 none = 0;

	if (!exceptions_have(t, e) || bpf_map_update_elem(t->m->addresses_fd, e, &none, BPF_EXIST))
		bpf_map_delete_elem(t->m->addresses_fd, e);
}

/* The time is the first take-over's.  It is cut short by a shorter `adopt`,
 * never made longer: who connected since is ours. */
static void listener_adopt(struct perch_listener *l, __u64 adopt)
{
	__u64 until = adopt ? clock_ns() + adopt : 0;

	if (l->adopt_until > until)
		store(l->adopt_until, until);
}

int listeners_publish(struct tables *t, const struct placed_service *s, const struct listeners_change *c)
{
	int err = exceptions_publish(t, s);

	listeners_tell_any(t);
	for (size_t i = 0; !err && i < c->n; i++) {
		struct perch_listener *l = &t->m->listeners[c->id[i]];
		__u8 door;

		endpoint_get(s, i, &door);
		store(l->door, door);
		store(l->leaving, 0);
		listener_adopt(l, s->adopt);
		filter_set_destination(t->m, &l->address);
		err = address_name(t, c->id[i]);
		if (!err)
			c->fresh[i] = false;
	}
	return err ?: fragments_settle(t, s->id);
}

static bool change_keeps(const struct listeners_change *c, __u32 id)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (c->id[i] == id)
			return true;
	return false;
}

void listeners_prune(struct tables *t, unsigned service, const struct placed_service *s, const struct listeners_change *c)
{
	for_each_listener(t, service, id) {
		struct perch_listener *l = &t->m->listeners[id];
		struct perch_endpoint e = listener_endpoint(l);

		if (!l->in_use || change_keeps(c, id))
			continue;
		address_give_up(t, &e);
		listener_use(t, l, false);
	}
	exceptions_prune(t, service, s);
	fragments_settle(t, service);
	listeners_tell_any(t);
}

void listeners_cancel(struct tables *t, struct listeners_change *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->fresh[i])
			listener_use(t, &t->m->listeners[c->id[i]], false);
	listeners_tell_any(t);
}

__u32 tables_listener_next(const struct tables *t, unsigned service, __u32 id)
{
	return id ? t->listeners.next[id] : t->listeners.first[service];
}

void listeners_change_free(struct listeners_change *c)
{
	free(c->id);
	free(c->fresh);
}

size_t listeners_leave(const struct maps *m, unsigned service, bool leave)
{
	size_t n = 0;

	for (__u32 id = 1; id < m->control->listeners_n; id++) {
		if (!m->listeners[id].in_use || m->listeners[id].service != service)
			continue;
		publish(m->listeners[id].leaving, leave);
		n++;
	}
	return n;
}

size_t listeners_leave_all(const struct maps *m, bool leave)
{
	size_t n = 0;

	for (unsigned service = 0; service < m->control->services; service++)
		if (leave || !m->names[service].leaving_until)
			n += listeners_leave(m, service, leave);
	return n;
}
