/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the pool `observed`: which services have votes and histograms.  An
 * element is in use while a service names it. */
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Whose element it is, -1: nobody's. */
static int observed_owner(const struct tables *t, __u16 id)
{
	for (__u32 i = 0; i < t->m->control->services; i++)
		if (t->m->services[i].in_use && t->m->services[i].observed == id)
			return i;
	return -1;
}

int observed_clear(const struct tables *t, __u16 id, unsigned slot)
{
	__u32 element = id * PERCH_SLOTS + slot;
	int err = elements_zero(t, t->m->votes_fd, element, sizeof(struct perch_votes));

	return err ? err : elements_zero(t, t->m->tallies_fd, element, sizeof(struct perch_tallies));
}

static int observed_take(struct tables *t, __u16 *ret_id)
{
	for (__u32 i = 0; i < PERCH_OBSERVED; i++) {
		__u32 id = (t->next_observed + i) % PERCH_OBSERVED;
		int err;

		if (!id || observed_owner(t, id) >= 0)
			continue;
		for (__u32 slot = 0; slot < PERCH_SLOTS; slot++) {
			err = observed_clear(t, id, slot);
			if (err)
				return err;
		}
		/* whose bad votes another service took */
		err = elements_zero(t, t->m->caps_fd, id, sizeof(struct perch_caps));
		if (err)
			return err;
		t->next_observed = id + 1;
		*ret_id = id;
		return 0;
	}
	return -ENOSPC;
}

int observed_prepare(struct tables *t, const struct placed_service *s, __u16 *ret_id)
{
	const struct perch_service *old = &t->m->services[s->id];

	*ret_id = s->observed && old->in_use ? old->observed : 0;
	if (!s->observed || *ret_id)
		return 0;
	return observed_take(t, ret_id);
}

void observed_publish(struct tables *t, const struct placed_service *s, __u16 id)
{
	struct perch_observed *o = &t->m->observed[id];

	if (!id)
		return;
	if (t->m->services[s->id].observed != id) {
		store(o->reflex, 0);
		store(o->service, s->id);
		store(o->since_epoch, 0);
		store(o->compares, 0);
	}
	for (__u32 i = 0; i < PERCH_LIMITS; i++)
		store(o->limit_us[i], i < s->limits ? s->limit_us[i] : 0);
	store(o->http, s->http);
	store(o->reflex_limit, s->reflex_limit);
	publish(o->limits, s->limits < PERCH_LIMITS ? s->limits : PERCH_LIMITS);
}

void tables_compare(struct tables *t, unsigned service, const struct comparison *c)
{
	__u16 id = t->m->services[service].observed;
	struct perch_observed *o = &t->m->observed[id];

	if (!id)
		return;
	publish(o->compares, 0);
	memset(&t->m->blame[id], 0, sizeof(t->m->blame[id]));
	store(o->once, c->once);
	store(o->canary, c->canary);
	for (int arm = 0; arm < 2; arm++)
		for (int w = 0; w < PERCH_WAITS; w++)
			for (int i = 0; i < PERCH_EDGES; i++)
				store(o->edge[arm][w][i], c->edge[arm][w][i]);
	publish(o->since_epoch, c->since_epoch);
	publish(o->compares, c->on);
	publish(o->reflex, 0);
}

/* One CPU's cell: of the newest epoch that any CPU has in this place. */
static void tally_add(struct perch_tally *to, const struct perch_tally *from)
{
	__u64 *a = (__u64 *)to;
	const __u64 *b = (const __u64 *)from;

	if (!from->epoch || (to->epoch && (__s32)(from->epoch - to->epoch) < 0))
		return;
	if (to->epoch != from->epoch)
		memset(to, 0, sizeof(*to));
	for (size_t i = 1; i < sizeof(*to) / sizeof(*a); i++)
		a[i] += b[i];
	to->epoch = from->epoch;
}

/* What each CPU has of a slot, to be freed; NULL with *ret_err. */
static void *observed_each(const struct tables *t, int fd, unsigned service, unsigned slot, size_t size, int *ret_err)
{
	__u32 key = t->m->services[service].observed * PERCH_SLOTS + slot;
	void *each = key < PERCH_SLOTS ? NULL : calloc(t->cpus, size);

	*ret_err = key < PERCH_SLOTS ? -ENOENT : each ? bpf_map_lookup_elem(fd, &key, each) : -ENOMEM;
	if (!*ret_err)
		return each;
	free(each);
	return NULL;
}

int tables_blame(const struct tables *t, unsigned service, struct perch_blame *ret)
{
	__u16 id = t->m->services[service].observed;

	if (!id)
		return -ENOENT;
	*ret = *(const volatile struct perch_blame *)&t->m->blame[id];
	return 0;
}

int tables_tallies(const struct tables *t, unsigned service, unsigned slot, struct perch_tallies *ret)
{
	int err;
	struct perch_tallies *each = observed_each(t, t->m->tallies_fd, service, slot, sizeof(*each), &err);

	if (!each)
		return err;
	memset(ret, 0, sizeof(*ret));
	for (int cpu = 0; cpu < t->cpus; cpu++)
		for (size_t i = 0; i < PERCH_EPOCHS; i++)
			tally_add(&ret->cell[i], &each[cpu].cell[i]);
	free(each);
	return 0;
}

int tables_votes(const struct tables *t, unsigned service, unsigned slot, struct perch_votes *ret)
{
	int err;
	struct perch_votes *each = observed_each(t, t->m->votes_fd, service, slot, sizeof(*each), &err);

	if (!each)
		return err;
	memset(ret, 0, sizeof(*ret));
	for (int cpu = 0; cpu < t->cpus; cpu++)
		for (size_t i = 0; i < sizeof(*ret) / sizeof(__u64); i++)
			((__u64 *)ret)[i] += ((__u64 *)&each[cpu])[i];
	free(each);
	return 0;
}
