/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the order of writes that brings a service into the kernel's tables and
 * out of them.  First everything that can fail is prepared where no packet
 * sees it; then it is made known from the far end of a packet's way to the
 * near one: backends, slices, service, split, listeners; then what is no
 * longer wanted goes, from the near end to the far one.
 */
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "../core/split.h"
#include "clock.h"
#include "filter.h"
#include "flows.h"
#include "internal.h"

/* What an apply has prepared. */
struct change {
	const struct placed_service *s;
	struct { __u64 slice; bool moved; } table[PERCH_SLOTS][PERCH_FAMILIES];
	struct listeners_change listeners;
	struct perch_sources sources;
	__u16 observed;
};

int elements_zero(const struct tables *t, int fd, __u32 key, size_t size)
{
	size_t each = (size + 7) / 8 * 8;
	void *zeros = calloc(t->cpus, each);
	int err;

	if (!zeros)
		return -ENOMEM;
	err = bpf_map_update_elem(fd, &key, zeros, BPF_ANY);
	free(zeros);
	return err;
}

int tables_open(struct tables **ret, struct datapath *d)
{
	struct tables *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->m = &d->maps;
	t->next_observed = t->next_listener = 1;
	t->cpus = libbpf_num_possible_cpus();
	err = t->cpus < 0 ? t->cpus : slices_open(&t->slices, t->m);
	err = err ?: backends_open(t);
	err = err ?: listeners_open(t);
	if (err) {
		tables_close(t);
		return err;
	}
	filter_sweep(t->m);
	sources_open(t);
	*ret = t;
	return 0;
}

void tables_close(struct tables *t)
{
	if (!t)
		return;
	slices_close(&t->slices);
	exceptions_close(t);
	index_close(&t->backends);
	index_close(&t->listeners);
	free(t->backend);
	free(t);
}

int tables_service_id(struct tables *t)
{
	const struct maps *m = t->m;
	__u32 n = m->control->services;

	for (__u32 i = 0; i < n; i++) {
		__u32 id = (t->next_service + i) % n;

		if (m->services[id].in_use || m->names[id].name[0] || backends_left(t, id))
			continue;
		t->next_service = id + 1;
		return id;
	}
	return -ENOSPC;
}

static __u16 *slice_entries(const struct tables *t, __u32 offset)
{
	return &t->m->slices[0].backend[0] + offset;
}

static bool slice_is(const struct tables *t, __u64 slice, const struct spread *s)
{
	return perch_slice_length(slice) == s->size &&
	       (!s->size || !memcmp(slice_entries(t, perch_slice_offset(slice)), s->table, s->size * sizeof(*s->table)));
}

/* A table at a place of its own, which no program knows yet. */
static int slice_write(struct tables *t, const struct spread *s, __u64 *ret)
{
	__u32 offset;
	int err;

	*ret = 0;
	if (!s->size)
		return 0;
	err = slices_take(&t->slices, s->size, clock_ns(), &offset);
	if (err)
		return err;
	memcpy(slice_entries(t, offset), s->table, s->size * sizeof(*s->table));
	*ret = (__u64)s->size << 32 | offset;
	return 0;
}

static int slice_prepare(struct tables *t, struct change *c, unsigned slot, enum perch_family family)
{
	__u32 version = c->s->id * PERCH_SLOTS + slot;
	struct spread s;
	int err = spread_make(t, version, family, false, &s);

	if (!err && !slice_is(t, t->m->versions[version].slice[family], &s)) {
		err = slice_write(t, &s, &c->table[slot][family].slice);
		c->table[slot][family].moved = !err;
	}
	free(s.table);
	return err;
}

static bool is_drained(const struct placed_service *s, const struct model_backend *b)
{
	for (size_t i = 0; i < s->n_drains; i++)
		if (s->drains[i].port == b->port && !memcmp(&s->drains[i].address, &b->address, sizeof(b->address)))
			return true;
	return false;
}

/* The version's backends, and their table for each family. */
static int version_prepare(struct tables *t, struct change *c, const struct placed_version *v)
{
	int err = 0;
	__u32 id;

	for (size_t i = 0; i < v->n_backends && !err; i++)
		err = backends_place(t, c->s, v->slot, &v->backends[i], is_drained(c->s, &v->backends[i]), &id);
	for (int family = 0; family < PERCH_FAMILIES && !err; family++)
		err = slice_prepare(t, c, v->slot, family);
	return err;
}

static int change_prepare(struct tables *t, struct change *c, char why[WHY])
{
	const struct perch_service *there = &t->m->services[c->s->id];
	int err;

	/* the backends know the connections by what made their packets */
	if (there->in_use && there->forward != c->s->forward)
		return why_set(why, -EBUSY, "how it forwards can't change while it is loaded");
	err = listeners_prepare(t, c->s, &c->listeners, why);
	if (!err)
		err = sources_prepare(t, c->s, &c->sources, why);
	if (err)
		return err;
	err = observed_prepare(t, c->s, &c->observed);
	if (err == -ENOSPC)
		return why_set(why, err, "all %d elements of `observed` are in use", PERCH_OBSERVED - 1);
	for (size_t i = 0; i < c->s->n_versions && !err; i++) {
		const struct placed_version *v = &c->s->version[i];

		/* what was counted here is of a version that is gone */
		if (c->observed && !t->m->versions[c->s->id * PERCH_SLOTS + v->slot].in_use)
			err = observed_clear(t, c->observed, v->slot);
		if (!err)
			err = version_prepare(t, c, v);
		if (err == -ENOSPC)
			why_set(why, err, "version '%s': no room in `backends` or `slices`", v->name);
		if (err == -EAGAIN)
			why_set(why, err, "version '%s': `slices` is full until what was replaced has rested 1 s", v->name);
	}
	return err;
}

static void change_cancel(struct tables *t, struct change *c)
{
	for (unsigned i = 0; i < PERCH_SLOTS * PERCH_FAMILIES; i++) {
		__u64 slice = c->table[i / PERCH_FAMILIES][i % PERCH_FAMILIES].slice;

		if (perch_slice_length(slice))
			slices_return(&t->slices, perch_slice_offset(slice));
	}
	listeners_cancel(t, &c->listeners);
	backends_settle(t, c->s->id, false);
}

static void slice_publish(struct tables *t, __u64 *word, __u64 slice)
{
	__u64 old = *word;

	publish(*word, slice);
	if (perch_slice_length(old))
		slices_retire(&t->slices, perch_slice_offset(old), clock_ns());
}

static void versions_publish(struct tables *t, const struct change *c)
{
	for (size_t i = 0; i < c->s->n_versions; i++) {
		unsigned slot = c->s->version[i].slot;
		struct perch_version *v = &t->m->versions[c->s->id * PERCH_SLOTS + slot];

		for (int family = 0; family < PERCH_FAMILIES; family++)
			if (c->table[slot][family].moved)
				slice_publish(t, &v->slice[family], c->table[slot][family].slice);
		publish(v->in_use, 1);
	}
}

static bool places_slot(const struct placed_service *s, unsigned slot)
{
	for (size_t i = 0; i < s->n_versions; i++)
		if (s->version[i].slot == slot)
			return true;
	return false;
}

static void versions_prune(struct tables *t, const struct placed_service *s)
{
	for (unsigned slot = 0; slot < PERCH_SLOTS; slot++) {
		struct perch_version *v = &t->m->versions[s->id * PERCH_SLOTS + slot];

		if (places_slot(s, slot))
			continue;
		for (int family = 0; family < PERCH_FAMILIES; family++)
			if (perch_slice_length(v->slice[family]))
				slice_publish(t, &v->slice[family], 0);
		if (v->in_use)
			publish(v->in_use, 0);
	}
}

/* A packet that sees half of a change takes a source that is nobody's: this
 * host was renumbered, and so its peers must be. */
static void tunnel_publish(struct perch_service *v, const struct perch_address source[PERCH_FAMILIES])
{
	store(v->tunnel4, source[PERCH_IPV4].word[3]);
	for (int i = 0; i < 4; i++)
		store(v->tunnel6.word[i], source[PERCH_IPV6].word[i]);
}

void tables_tunnel(struct tables *t, unsigned service, const struct perch_address source[PERCH_FAMILIES])
{
	tunnel_publish(&t->m->services[service], source);
}

static void service_publish(struct tables *t, const struct change *c, const struct perch_plan *plan,
			    const struct perch_plan *twin)
{
	struct perch_service *v = &t->m->services[c->s->id];

	store(v->affinity, c->s->affinity);
	store(v->forward, c->s->forward);
	tunnel_publish(v, c->s->tunnel);
	store(v->established, c->s->established);
	store(v->stable_down, c->s->stable_down);
	store(v->drain_ms, c->s->drain_ms);
	store(v->fragments, c->s->fragments);
	store(v->sampling, c->s->sampling);
	if (!v->in_use)
		store(v->incarnation, v->incarnation + 1);
	if (plan && twin)
		split_init(&t->m->splits[c->s->id], plan, twin, PERCH_BY_AGENT, clock_ns() / 1000000000);
	sources_publish(t, c->s->id, &c->sources);
	observed_publish(t, c->s, c->observed);
	publish(v->observed, c->observed);
	backends_observe(t, c->s->id, c->observed);
	publish(v->in_use, 1);
}

int tables_apply(struct tables *t, const struct placed_service *s, const struct perch_plan *plan,
		 const struct perch_plan *twin, char why[WHY])
{
	struct change c = { .s = s };
	int err;

	if (s->id >= t->m->control->services)
		return why_set(why, -ENOSPC, "service %u: the table has %u elements", s->id, t->m->control->services);
	for (size_t i = 0; i < s->n_versions; i++)
		if (s->version[i].slot >= PERCH_SLOTS)
			return why_set(why, -EINVAL, "version '%s': slot %u", s->version[i].name, s->version[i].slot);
	t->round++;
	err = change_prepare(t, &c, why);
	if (err) {
		change_cancel(t, &c);
		goto out;
	}
	versions_publish(t, &c);
	service_publish(t, &c, plan, twin);
	err = listeners_publish(t, s, &c.listeners);
	if (err) {
		why_set(why, err, "listeners: %s", err == -E2BIG ? "no room in `addresses`" : strerror(-err));
		listeners_cancel(t, &c.listeners);
		goto out;
	}
	listeners_prune(t, s->id, s, &c.listeners);
	versions_prune(t, s);
	backends_settle(t, s->id, true);
out:
	listeners_change_free(&c.listeners);
	return err;
}

/* Bring a table to what its version's backends are now.  One of the same size
 * is changed entry by entry where it is, which needs no room: any of them leads
 * to a backend that is up. */
static int slice_renew(struct tables *t, __u32 version, enum perch_family family)
{
	__u64 *word = &t->m->versions[version].slice[family], slice;
	struct spread s;
	__u16 *entry;
	int err = spread_make(t, version, family, true, &s);

	if (err)
		return err;
	if (s.size && s.size == perch_slice_length(*word)) {
		entry = slice_entries(t, perch_slice_offset(*word));
		for (size_t i = 0; i < s.size; i++)
			if (entry[i] != s.table[i])
				store(entry[i], s.table[i]);
	} else if (s.size != perch_slice_length(*word)) {
		err = slice_write(t, &s, &slice);
		if (!err)
			slice_publish(t, word, slice);
	}
	free(s.table);
	return err;
}

/* Is what h[i] changes a table that one before it does not? */
static bool hold_opens(const struct tables *t, const struct tables_hold *h, size_t i)
{
	const struct perch_backend *b = &t->m->backends[h[i].backend];

	for (size_t k = 0; k < i; k++) {
		const struct perch_backend *before = &t->m->backends[h[k].backend];

		if (before->version == b->version && address_family(&before->address) == address_family(&b->address))
			return false;
	}
	return true;
}

int tables_hold(struct tables *t, const struct tables_hold *h, size_t n)
{
	struct perch_backend *b;
	int err = 0, r;

	for (size_t i = 0; i < n; i++) {
		b = &t->m->backends[h[i].backend];
		if (h[i].held)
			store(b->held, h[i].held);
		else
			backend_hold(b, 0);
	}
	for (size_t i = 0; i < n; i++) {
		b = &t->m->backends[h[i].backend];
		r = hold_opens(t, h, i) ? slice_renew(t, b->version, address_family(&b->address)) : 0;
		err = err ?: r;
	}
	for (size_t i = 0; i < n; i++)
		backend_hold(&t->m->backends[h[i].backend], h[i].held);
	return err;
}

int tables_backend_hold(struct tables *t, unsigned service, unsigned slot, const struct perch_address *a, __be16 port,
			__u8 held)
{
	const struct tables_hold h = { .backend = tables_backend_id(t, service, slot, a, port), .held = held };

	if (!h.backend || !t->backend[h.backend].wanted)
		return -ENOENT;
	return t->m->backends[h.backend].held == held ? 0 : tables_hold(t, &h, 1);
}

void tables_unobserve(struct tables *t, unsigned service)
{
	store(t->m->services[service].sampling, 0);
	publish(t->m->services[service].observed, 0);
	backends_observe(t, service, 0);
}

void tables_release(struct tables *t, unsigned service)
{
	listeners_prune(t, service, NULL, NULL);
}

static void service_take_down(struct tables *t, unsigned service)
{
	const struct placed_service nothing = { .id = service };

	versions_prune(t, &nothing);
	tables_unobserve(t, service);
	sources_publish(t, service, &(struct perch_sources){ 0 });
	publish(t->m->services[service].in_use, 0);
	t->round++;
	backends_settle(t, service, true);
}

int tables_remove(struct tables *t, unsigned service)
{
	__u64 now;

	if (service >= t->m->control->services)
		return -EINVAL;
	listeners_prune(t, service, NULL, NULL);
	/* Nothing leads to its flows any more: let the sweeper end them. */
	now = clock_ns();
	for (unsigned slot = 0; slot < PERCH_SLOTS; slot++)
		version_sever(t->m->control, &t->m->versions[service * PERCH_SLOTS + slot], now);
	service_take_down(t, service);
	return 0;
}

int tables_hand_back(struct tables *t, unsigned service)
{
	if (service >= t->m->control->services)
		return -EINVAL;
	/* in this order: a flow that lapsed would be entered anew by a listener */
	listeners_prune(t, service, NULL, NULL);
	flows_lapse(t->m, service);
	service_take_down(t, service);
	return 0;
}
