// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is kept, where, and how it is written. */
#include "save.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../../core/compare.h"
#include "../../datapath/registry.h"
#include "../clock.h"
#include "../fault.h"
#include "../rollout/rollouts.h"

void save_names(struct agent *a, const struct service *s)
{
	const struct maps *m = &a->datapath.maps;

	if (strcmp(m->names[s->id].name, s->name))
		registry_name_service(m, s->id, s->name);
	for (unsigned i = 0; i < PERCH_SLOTS; i++) {
		const struct version *v = &s->slot[i];
		const struct perch_version_name *n = &m->version_names[s->id * PERCH_SLOTS + i];

		if (strcmp(n->name, v->name) || n->role != v->role || n->since != v->since)
			registry_name_version(m, s->id, i, v->name, v->role, v->since);
		fault_point(FAULT_APPLY(a), "named");
	}
}

void save_no_names(struct agent *a, unsigned id)
{
	const struct maps *m = &a->datapath.maps;

	registry_rollout_drop(m, id);
	registry_comparison_drop(m, id);
	for (unsigned i = 0; i < PERCH_SLOTS; i++)
		registry_name_version(m, id, i, "", PERCH_ROLE_NONE, 0);
	registry_name_service(m, id, "");
}

char *save_backends_text(const struct version *v)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT], *dump;

	for (size_t i = 0; i < v->n_backends; i++) {
		const struct model_backend *b = &v->backends[i];

		json_array_append_new(array, json_pack("{s:s, s:i}", "address",
						       address_port_format(&b->address, b->port, text), "weight",
						       (int)b->weight));
	}
	dump = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return dump;
}

char *save_doors_text(const struct version *v)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT], *dump;

	for (size_t i = 0; i < v->n_doors; i++)
		json_array_append_new(array, json_string(endpoint_format(&v->doors[i], text)));
	dump = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return dump;
}

int save_backends_parse(const char *text, struct version *v)
{
	json_t *array = json_loads(text, 0, NULL), *item;
	size_t i, n = json_array_size(array);
	struct model_backend *list = calloc(n + 1, sizeof(*list));
	int r = !list ? -ENOMEM : !json_is_array(array) ? -EINVAL : 0;

	if (!r) {
		json_array_foreach(array, i, item) {
			const char *address = json_string_value(json_object_get(item, "address"));
			json_int_t weight = json_integer_value(json_object_get(item, "weight"));

			if (!address || address_port_parse(address, &list[i].address, &list[i].port))
				r = -EINVAL;
			list[i].weight = weight > 0 ? weight : 1;
		}
	}
	json_decref(array);
	if (r) {
		free(list);
		return r;
	}
	free(v->backends);
	v->backends = list;
	v->n_backends = n;
	return 0;
}

int save_doors_parse(const char *text, struct version *v)
{
	json_t *array = json_loads(text, 0, NULL), *item;
	size_t i, n = json_array_size(array);
	struct perch_endpoint *list = calloc(n + 1, sizeof(*list));
	int r = !list ? -ENOMEM : !json_is_array(array) ? -EINVAL : 0;

	if (!r) {
		json_array_foreach(array, i, item)
			if (!json_is_string(item) || endpoint_parse(json_string_value(item), &list[i]))
				r = -EINVAL;
	}
	json_decref(array);
	if (r) {
		free(list);
		return r;
	}
	free(v->doors);
	v->doors = list;
	v->n_doors = n;
	return 0;
}

int save_service(struct agent *a, const struct service *s)
{
	int r;
	struct stored_service stored = { .canary_share = s->canary_share, .baseline_share = s->baseline_share,
					 .salt = s->salt, .word = s->word };

	memcpy(stored.name, s->name, sizeof(stored.name));
	memcpy(stored.salt_for, s->salt_for, sizeof(stored.salt_for));
	for (unsigned i = 0; i < PERCH_SLOTS; i++) {
		struct stored_version *v = &stored.version[stored.n_versions];

		if (!s->slot[i].name[0])
			continue;
		v->slot = i;
		memcpy(v->name, s->slot[i].name, sizeof(v->name));
		v->role = s->slot[i].role;
		v->since = s->slot[i].since;
		v->backends = save_backends_text(&s->slot[i]);
		v->doors = save_doors_text(&s->slot[i]);
		stored.n_versions++;
	}
	r = store_service(a->store, &stored);
	store_service_free(&stored);
	return r;
}

/* Of thousands of services few ever had one: nothing is kept of the others. */
static void rollout_to_map(struct agent *a, const struct service *s)
{
	struct perch_rollout_blob b = { .version = ROLLOUT_LAYOUT, .length = sizeof(s->keep) };

	memcpy(b.bytes, &s->keep, sizeof(s->keep));
	registry_rollout_put(&a->datapath.maps, s->id, &b, s->keep.rollout.phase == ROLLOUT_IDLE);
}

/* Only while the rollout lasts: there is room for those that are in one. */
static void comparison_to_map(struct agent *a, const struct service *s)
{
	struct perch_comparison_blob b = { .version = ROLLOUT_LAYOUT, .length = sizeof(*s->compare) };

	if (!s->compare || !service_in_rollout(s)) {
		registry_comparison_drop(&a->datapath.maps, s->id);
		return;
	}
	memcpy(b.bytes, s->compare, sizeof(*s->compare));
	registry_comparison_put(&a->datapath.maps, s->id, &b);
}

/* To the store: the rollout, and behind it the comparison, if there is one. */
struct rollout_row {
	struct rollout_keep keep;
	struct compare compare;
};

static int rollout_to_store(struct agent *a, const struct service *s)
{
	struct rollout_row row = { .keep = s->keep };

	if (!s->compare)
		return store_rollout(a->store, s->name, &row, sizeof(row.keep));
	row.compare = *s->compare;
	return store_rollout(a->store, s->name, &row, sizeof(row));
}

int save_rollout(struct agent *a, struct service *s, bool stored)
{
	s->keep.saved = clock_now();
	s->next_save = s->keep.saved + NS_PER_S;
	rollouts_follow(a, s);
	if (a->datapath_open) {
		rollout_to_map(a, s);
		comparison_to_map(a, s);
	}
	if (!stored)
		return 0;
	s->stored_bad = arm_bad(&s->keep.canary);
	return rollout_to_store(a, s);
}

/* A time of a clock that may have been another boot's, by ours: the time in
 * which no agent ran is as if it had not been. */
static __u64 time_moved(__u64 time, __u64 saved, __u64 now)
{
	__u64 age = saved > time ? saved - time : 0;

	return now > age ? now - age : 0;
}

static void rollout_keep_rebase(struct rollout_keep *k)
{
	__u64 now = clock_now();

	k->rollout.started = time_moved(k->rollout.started, k->saved, now);
	k->rollout.step_since = time_moved(k->rollout.step_since, k->saved, now);
	k->rollout.phase_since = time_moved(k->rollout.phase_since, k->saved, now);
	k->saved = now;
}

static bool rollout_keep_usable(const struct rollout_keep *k)
{
	return rollout_valid(&k->rollout) && k->canary_slot < PERCH_SLOTS && k->stable_slot < PERCH_SLOTS;
}

static void comparison_take(struct service *s, const void *bytes)
{
	free(s->compare);
	s->compare = malloc(sizeof(*s->compare));
	if (s->compare)
		memcpy(s->compare, bytes, sizeof(*s->compare));
}

int save_rollout_stored(struct agent *a, struct service *s)
{
	struct rollout_row row;
	int n = store_rollout_load(a->store, s->name, &row, sizeof(row));

	if ((n != (int)sizeof(row.keep) && n != (int)sizeof(row)) || !rollout_keep_usable(&row.keep))
		return -ENOENT;
	rollout_keep_rebase(&row.keep);
	s->keep = row.keep;
	if (n == (int)sizeof(row))
		comparison_take(s, &row.compare);
	return 0;
}

/* One that does not go with the rollout is of the rollout before. */
static void comparison_from_map(struct agent *a, struct service *s)
{
	struct perch_comparison_blob b;

	if (!registry_comparison_get(&a->datapath.maps, s->id, &b) && b.version == ROLLOUT_LAYOUT &&
	    b.length == sizeof(*s->compare))
		comparison_take(s, b.bytes);
}

int save_rollout_load(struct agent *a, struct service *s)
{
	struct perch_rollout_blob b;
	struct rollout_keep keep;

	if (registry_rollout_get(&a->datapath.maps, s->id, &b) || b.length != sizeof(keep) || b.version != ROLLOUT_LAYOUT)
		return save_rollout_stored(a, s);
	memcpy(&keep, b.bytes, sizeof(keep));
	if (!rollout_keep_usable(&keep))
		return save_rollout_stored(a, s);
	s->keep = keep;
	comparison_from_map(a, s);
	return 0;
}

void save_reject(struct agent *a, struct service *s, int slot, const struct perch_rejection *r)
{
	struct version *v = &s->slot[slot];

	v->rejected = true;
	v->pardoned = false;
	v->rejection = *r;
	registry_reject(&a->datapath.maps, s->name, v->name, r);
	store_reject(a->store, s->name, v->name, r);
}

void save_unreject(struct agent *a, struct service *s, int slot)
{
	struct version *v = &s->slot[slot];

	v->rejected = false;
	v->pardoned = true;
	store_unreject(a->store, s->name, v->name);
	registry_unreject(&a->datapath.maps, s->name, v->name);
}

struct perch_rejection *save_rejected(void *agent, const char *service, const char *version)
{
	static struct perch_rejection r;
	struct perch_rejection stored;
	struct agent *a = agent;

	if (registry_rejected(&a->datapath.maps, service, version, &r)) {
		/* by --direct, or the store is new */
		if (store_rejected(a->store, service, version, &stored))
			store_reject(a->store, service, version, &r);
		return &r;
	}
	if (store_rejected(a->store, service, version, &r))
		return NULL;
	/* the pins are new: tell --direct and the next agent too */
	registry_reject(&a->datapath.maps, service, version, &r);
	return &r;
}

static void rejection_to_map(void *agent, const char *service, const char *version, const struct perch_rejection *r)
{
	struct agent *a = agent;
	struct service *s = agent_service(a, service);
	int slot = s ? slot_of_name(s->slot, version) : -1;

	if (slot >= 0 && s->slot[slot].pardoned)
		return;
	if (!registry_rejected(&a->datapath.maps, service, version, NULL))
		registry_reject(&a->datapath.maps, service, version, r);
	if (slot < 0 || s->slot[slot].role == PERCH_ROLE_STABLE)
		return;
	s->slot[slot].rejected = true;
	s->slot[slot].rejection = *r;
}

static void rejection_to_store(void *agent, const char *service, const char *version, const struct perch_rejection *r)
{
	struct agent *a = agent;
	struct perch_rejection there;

	if (store_rejected(a->store, service, version, &there) == -ENOENT)
		store_reject(a->store, service, version, r);
}

void save_rejections(struct agent *a)
{
	store_rejections(a->store, rejection_to_map, a);
	registry_rejections(&a->datapath.maps, rejection_to_store, a);
}
