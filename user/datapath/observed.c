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
	return elements_zero(t, t->m->votes_fd, id * PERCH_SLOTS + slot, sizeof(struct perch_votes));
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
	}
	for (__u32 i = 0; i < PERCH_LIMITS; i++)
		store(o->limit_us[i], i < s->limits ? s->limit_us[i] : 0);
	store(o->reflex_limit, s->reflex_limit);
	publish(o->limits, s->limits < PERCH_LIMITS ? s->limits : PERCH_LIMITS);
}

void tables_votes_since(struct tables *t, unsigned service, __u32 epoch)
{
	__u16 id = t->m->services[service].observed;

	if (!id)
		return;
	store(t->m->observed[id].since_epoch, epoch);
	publish(t->m->observed[id].reflex, 0);
}

int tables_votes(const struct tables *t, unsigned service, unsigned slot, struct perch_votes *ret)
{
	__u32 key = t->m->services[service].observed * PERCH_SLOTS + slot;
	struct perch_votes *each;
	int err;

	if (key < PERCH_SLOTS)
		return -ENOENT;
	each = calloc(t->cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	err = bpf_map_lookup_elem(t->m->votes_fd, &key, each);
	if (!err) {
		memset(ret, 0, sizeof(*ret));
		for (int cpu = 0; cpu < t->cpus; cpu++)
			for (size_t i = 0; i < sizeof(*ret) / sizeof(__u64); i++)
				((__u64 *)ret)[i] += ((__u64 *)&each[cpu])[i];
	}
	free(each);
	return err;
}
