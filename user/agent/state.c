// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Making, copying and searching services and their slots. */
#include "state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outside/gates.h"
#include "webhooks/webhooks.h"

const char *rollback_by_name(enum rollback_by by)
{
	static const char *const names[BACK_KINDS] = { "command", "direct", "reflex", "deadman", "judge" };

	return names[by];
}

struct service *service_new(const char *name)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->eta = NAN;
	return s;
}

void service_delete(struct service *s)
{
	if (!s)
		return;
	slots_clear(s->slot);
	for (int i = 0; i < PERCH_SLOTS; i++)
		free(s->evidence[i].votes);
	free(s->drains);
	free(s->compare);
	outside_free(s->outside);
	step_gate_free(s->step_gate);
	free(s);
}

void version_clear(struct version *v)
{
	free(v->backends);
	free(v->doors);
	memset(v, 0, sizeof(*v));
}

/* A copy of n elements; NULL with n 0 is no failure. */
static void *array_copy(const void *from, size_t n, size_t size)
{
	void *to = n ? malloc(n * size) : NULL;

	if (to)
		memcpy(to, from, n * size);
	return to;
}

int version_copy(struct version *to, const struct version *from)
{
	*to = *from;
	to->backends = array_copy(from->backends, from->n_backends, sizeof(*from->backends));
	to->doors = array_copy(from->doors, from->n_doors, sizeof(*from->doors));
	if ((from->n_backends && !to->backends) || (from->n_doors && !to->doors)) {
		version_clear(to);
		return -ENOMEM;
	}
	return 0;
}

int version_from_model(struct version *v, const struct model_version *m)
{
	struct model_backend *backends = array_copy(m->backends, m->n_backends, sizeof(*m->backends));
	struct perch_endpoint *doors = array_copy(m->doors, m->n_doors, sizeof(*m->doors));

	if ((m->n_backends && !backends) || (m->n_doors && !doors)) {
		free(backends);
		free(doors);
		return -ENOMEM;
	}
	free(v->backends);
	free(v->doors);
	v->backends = backends;
	v->n_backends = m->n_backends;
	v->doors = doors;
	v->n_doors = m->n_doors;
	v->model = m;
	v->in_file = true;
	snprintf(v->name, sizeof(v->name), "%s", m->name);
	return 0;
}

void slots_clear(struct version slot[PERCH_SLOTS])
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		version_clear(&slot[i]);
}

int slots_copy(struct version to[PERCH_SLOTS], const struct version from[PERCH_SLOTS])
{
	memset(to, 0, sizeof(*to) * PERCH_SLOTS);
	for (int i = 0; i < PERCH_SLOTS; i++) {
		if (version_copy(&to[i], &from[i])) {
			slots_clear(to);
			return -ENOMEM;
		}
	}
	return 0;
}

static bool version_same(const struct version *a, const struct version *b)
{
	if (strcmp(a->name, b->name) || a->role != b->role || a->since != b->since || a->n_backends != b->n_backends ||
	    a->n_doors != b->n_doors)
		return false;
	for (size_t i = 0; i < a->n_backends; i++)
		if (memcmp(&a->backends[i].address, &b->backends[i].address, sizeof(a->backends[i].address)) ||
		    a->backends[i].port != b->backends[i].port || a->backends[i].weight != b->backends[i].weight)
			return false;
	return !a->n_doors || !memcmp(a->doors, b->doors, a->n_doors * sizeof(*a->doors));
}

bool slots_same(const struct version a[PERCH_SLOTS], const struct version b[PERCH_SLOTS])
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (!version_same(&a[i], &b[i]))
			return false;
	return true;
}

void slots_swap(struct version a[PERCH_SLOTS], struct version b[PERCH_SLOTS])
{
	for (int i = 0; i < PERCH_SLOTS; i++) {
		struct version v = a[i];

		a[i] = b[i];
		b[i] = v;
	}
}

int slot_of_role(const struct version slot[PERCH_SLOTS], enum perch_role role)
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (slot[i].role == role && slot[i].name[0])
			return i;
	return -1;
}

int slot_of_name(const struct version slot[PERCH_SLOTS], const char *name)
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (name[0] && !strcmp(slot[i].name, name))
			return i;
	return -1;
}

int slot_find(const struct version slot[PERCH_SLOTS], const char *what)
{
	int i = slot_of_name(slot, what), role;

	if (i >= 0)
		return i;
	role = role_parse(what);
	return role > PERCH_ROLE_NONE ? slot_of_role(slot, role) : -1;
}

int slot_free_one(const struct version slot[PERCH_SLOTS])
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (!slot[i].name[0])
			return i;
	return -1;
}

static const char *const role_words[] = { "none", "stable", "canary", "baseline", "previous", "retiring" };
#define ROLES (sizeof(role_words) / sizeof(role_words[0]))

const char *role_name(enum perch_role role)
{
	return role < ROLES ? role_words[role] : "none";
}

int role_parse(const char *word)
{
	for (size_t i = 0; i < ROLES; i++)
		if (!strcmp(word, role_words[i]))
			return i;
	return -1;
}

__u64 step_connections(const struct rollout_keep *k)
{
	__u64 now = judge_connections(&k->canary.sum);

	return now > k->step_began_at ? now - k->step_began_at : 0;
}

bool service_in_rollout(const struct service *s)
{
	switch (s->keep.rollout.phase) {
	case ROLLOUT_PROGRESSING:
	case ROLLOUT_PAUSED:
	case ROLLOUT_HOLDING:
	case ROLLOUT_WATCHING:
		return true;
	default:
		return false;
	}
}

bool service_rolled_back(const struct service *s)
{
	return perch_word_flags(s->word) & PERCH_ROLLED_BACK;
}

__u32 service_share(const struct service *s, int slot)
{
	if (slot < 0)
		return 0;
	if (slot == slot_of_role(s->slot, PERCH_ROLE_CANARY))
		return s->canary_share;
	if (slot == slot_of_role(s->slot, PERCH_ROLE_BASELINE))
		return s->baseline_share;
	if (slot == slot_of_role(s->slot, PERCH_ROLE_STABLE))
		return PERCH_SHARE_ALL - s->canary_share - s->baseline_share;
	return 0;
}
