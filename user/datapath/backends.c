/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the elements of `backends`: who has which id, from being taken until
 * the last flow that names it has ended, and in which state it is.  A backend
 * is known by its version and its address, so that it keeps its id, and its
 * flows keep it. */
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "filter.h"
#include "internal.h"
#include "routes.h"

#define REAP_AFTER_NS 2000000000ull

static bool address_equal(const struct perch_address *a, const struct perch_address *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static __u8 backend_state(const struct perch_backend *b)
{
	return __atomic_load_n(&b->state, __ATOMIC_ACQUIRE);
}

void backend_hold(struct perch_backend *b, __u8 held)
{
	store(b->held, held);
	publish(b->state, held & PERCH_HELD_HEALTH ? PERCH_BACKEND_DOWN :
			  held & PERCH_HELD_PERSON ? PERCH_BACKEND_DRAINING : PERCH_BACKEND_UP);
}

/* No version names it any more: its flows go on, unless it was down. */
static void backend_leave(struct perch_backend *b)
{
	if (b->state == PERCH_BACKEND_UP)
		publish(b->state, PERCH_BACKEND_DRAINING);
	store(b->held, 0);
}

/* What a backend is known by. */
static __u32 backend_hash(__u32 version, const struct perch_address *a, __be16 port)
{
	struct { struct perch_address address; __u32 version, port; } key = { *a, version, port };

	return index_hash(&key, sizeof(key));
}

static __u32 element_hash(const struct perch_backend *b)
{
	return backend_hash(b->version, &b->address, b->port);
}

int backends_open(struct tables *t)
{
	t->backend = calloc(t->m->control->backends_n, sizeof(*t->backend));
	if (!t->backend || index_open(&t->backends, t->m->control->services, t->m->control->backends_n))
		return -ENOMEM;
	t->next_backend = 1;
	for (__u32 id = 1; id < t->m->control->backends_n; id++) {
		struct perch_backend *b = &t->m->backends[id];

		if (backend_state(b) == PERCH_BACKEND_NONE)
			continue;
		if (b->service >= t->m->control->services)
			return -EUCLEAN;
		index_add(&t->backends, b->service, id, element_hash(b));
		t->next_backend = id + 1;
		t->backend[id].weight = 1;	/* until an apply tells */
		t->backend[id].wanted = tables_backend_named(b) && t->m->services[b->service].in_use;
		/* Left by a process that ended before it published. */
		if (!t->backend[id].wanted)
			backend_leave(b);
	}
	return 0;
}

__u32 tables_backend_id(const struct tables *t, unsigned service, unsigned slot, const struct perch_address *a, __be16 port)
{
	__u32 version = service * PERCH_SLOTS + slot;

	for (__u32 id = index_find(&t->backends, backend_hash(version, a, port)); id; id = t->backends.same[id]) {
		const struct perch_backend *b = &t->m->backends[id];

		if (b->version == version && b->port == port && address_equal(&b->address, a))
			return id;
	}
	return 0;
}

__u32 tables_backend_next(const struct tables *t, unsigned service, __u32 id)
{
	return id ? t->backends.next[id] : t->backends.first[service];
}

__u32 tables_backend_weight(const struct tables *t, __u32 backend)
{
	return t->backend[backend].wanted ? t->backend[backend].weight : 0;
}

static __u32 backend_free_id(struct tables *t)
{
	__u32 n = t->m->control->backends_n;

	for (__u32 i = 0; i < n; i++) {
		__u32 id = (t->next_backend + i) % n;

		if (id && backend_state(&t->m->backends[id]) == PERCH_BACKEND_NONE) {
			t->next_backend = id + 1;
			return id;
		}
	}
	return 0;
}

static int backend_take(struct tables *t, const struct placed_service *s, unsigned slot, const struct model_backend *m,
			__u32 *ret_id)
{
	__u32 id = backend_free_id(t);
	struct perch_backend *b = &t->m->backends[id];
	int err;

	if (!id)
		return -ENOSPC;
	/* Counts belong to an incarnation: a new one begins at 0. */
	err = elements_zero(t, t->m->counters_fd, id, sizeof(struct perch_counters));
	if (err)
		return err;
	b->address = m->address;
	b->port = m->port;
	b->dirty = 0;
	b->version = s->id * PERCH_SLOTS + slot;
	b->service = s->id;
	b->forward = s->forward;
	b->observed = t->m->services[s->id].observed;
	b->ended_outside = 0;
	b->held = 0;
	b->local = routes_is_local(&m->address);
	store(b->via, 0);
	store(b->path, 0);
	store(b->incarnation, b->incarnation + 1);
	t->backend[id] = (struct backend_note){ 0 };
	index_add(&t->backends, s->id, id, element_hash(b));
	*ret_id = id;
	return 0;
}

int backends_place(struct tables *t, const struct placed_service *s, unsigned slot, const struct model_backend *m,
		   bool drained, __u32 *ret_id)
{
	__u32 id = tables_backend_id(t, s->id, slot, &m->address, m->port);
	struct perch_backend *b;
	int err;

	if (!id) {
		err = backend_take(t, s, slot, m, &id);
		if (err)
			return err;
	}
	b = &t->m->backends[id];
	t->backend[id].round = t->round;
	t->backend[id].asked = m->weight;
	if (!perch_one_sided(s->forward))
		filter_set_source(t->m, &m->address);
	/* one that had left begins anew */
	backend_hold(b, (t->backend[id].wanted ? b->held & ~PERCH_HELD_PERSON : 0) | (drained ? PERCH_HELD_PERSON : 0));
	*ret_id = id;
	return 0;
}

void backends_settle(struct tables *t, unsigned service, bool committed)
{
	for_each_backend(t, service, id) {
		struct perch_backend *b = &t->m->backends[id];
		struct backend_note *note = &t->backend[id];

		if (b->state == PERCH_BACKEND_NONE)
			continue;
		if (committed)
			note->wanted = note->round == t->round;
		if (committed && note->wanted)
			note->weight = note->asked;
		if (note->wanted || !tables_backend_named(b))
			continue;
		note->idle_since = 0;
		backend_leave(b);
	}
}

void backends_observe(struct tables *t, unsigned service, __u16 observed)
{
	for_each_backend(t, service, id)
		publish(t->m->backends[id].observed, observed);
}

bool backends_left(const struct tables *t, unsigned service)
{
	return t->backends.first[service];
}

/* Flows of a backend by the kernel's own counters, now.  The caller's count
 * may be older than this process: samples tell of what changed only. */
static bool backend_has_flows(const struct tables *t, __u32 id)
{
	struct perch_counters *c;
	__u64 active = 0;
	bool has = true;

	c = calloc(t->cpus, sizeof(*c));
	if (!c)
		return true;
	if (bpf_map_lookup_elem(t->m->counters_fd, &id, c))
		goto out;
	for (int i = 0; i < t->cpus; i++)
		active += c[i].opened - c[i].ended;
	has = active != __atomic_load_n(&t->m->backends[id].ended_outside, __ATOMIC_RELAXED);
out:
	free(c);
	return has;
}

/* True when it gave the element up. */
static bool backend_reap(struct tables *t, __u32 id, bool has_flows, __u64 now)
{
	struct backend_note *note = &t->backend[id];

	if (has_flows) {
		note->idle_since = 0;
	} else if (!note->idle_since) {
		note->idle_since = now;
	} else if (now - note->idle_since > REAP_AFTER_NS) {
		publish(t->m->backends[id].state, PERCH_BACKEND_NONE);
		index_remove(&t->backends, t->m->backends[id].service, id, element_hash(&t->m->backends[id]));
		return true;
	}
	return false;
}

void tables_reap(struct tables *t, __u64 (*active)(void *arg, __u32 backend), void *arg)
{
	__u64 now = clock_ns();
	bool freed = false;

	for (__u32 id = 1; id < t->m->control->backends_n; id++) {
		const struct perch_backend *b = &t->m->backends[id];

		if (b->state == PERCH_BACKEND_NONE || t->backend[id].wanted || tables_backend_named(b))
			continue;
		freed |= backend_reap(t, id, active(arg, id) || backend_has_flows(t, id), now);
	}
	if (freed)
		filter_sweep(t->m);
	if (listeners_resting(t))
		listeners_free(t, false);
}

bool tables_version_empty(const struct tables *t, unsigned service, unsigned slot)
{
	__u32 version = service * PERCH_SLOTS + slot;

	for_each_backend(t, service, id)
		if (t->m->backends[id].version == version)
			return false;
	return true;
}
