// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services read back from the kernel's maps and from the store. */
#include "takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/split.h"
#include "../datapath/choices.h"
#include "../datapath/registry.h"
#include "clock.h"
#include "collect.h"
#include "fault.h"
#include "pins.h"
#include "place.h"
#include "rollout/comparing.h"
#include "rollout/rollback.h"
#include "store/save.h"

/* The backends that a version names, held or not. */
static int version_read_backends(const struct agent *a, unsigned service, unsigned slot, struct version *v)
{
	const struct maps *m = &a->datapath.maps;

	for (__u32 id = 0; (id = tables_backend_next(a->tables, service, id));) {
		const struct perch_backend *b = &m->backends[id];
		struct model_backend *list;

		if (b->version != service * PERCH_SLOTS + slot || !tables_backend_named(b))
			continue;
		list = realloc(v->backends, (v->n_backends + 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		v->backends = list;
		list[v->n_backends++] = (struct model_backend){ .address = b->address, .port = b->port, .weight = 1 };
	}
	return 0;
}

static int version_read_doors(const struct agent *a, unsigned id, unsigned slot, struct version *v)
{
	const struct maps *m = &a->datapath.maps;

	for (__u32 i = 0; (i = tables_listener_next(a->tables, id, i));) {
		const struct perch_listener *l = &m->listeners[i];
		struct perch_endpoint *list;

		if (!l->in_use || l->door != slot + 1)
			continue;
		list = realloc(v->doors, (v->n_doors + 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		v->doors = list;
		list[v->n_doors++] =
			(struct perch_endpoint){ .address = l->address, .port = l->port, .protocol = l->protocol };
	}
	return 0;
}

static int slot_read(struct agent *a, struct service *s, unsigned slot)
{
	const struct perch_version_name *n = &a->datapath.maps.version_names[s->id * PERCH_SLOTS + slot];
	struct version *v = &s->slot[slot];
	const struct perch_rejection *rejection;
	int r;

	if (!n->name[0])
		return 0;
	memcpy(v->name, n->name, sizeof(v->name) - 1);
	v->role = n->role <= PERCH_ROLE_RETIRING ? n->role : PERCH_ROLE_NONE;
	v->since = n->since;
	rejection = save_rejected(a, s->name, v->name);
	if (rejection) {
		v->rejected = true;
		v->rejection = *rejection;
	}
	if (v->role == PERCH_ROLE_RETIRING)
		return 0;
	r = version_read_backends(a, s->id, slot, v);
	return r ? r : version_read_doors(a, s->id, slot, v);
}

/* The plan in force is the truth about who is stable: a promotion or a
 * rollback to previous may have been written without its names. */
static void roles_from_plan(struct agent *a, struct service *s)
{
	struct perch_plan plan;
	__u64 word;
	int rest;

	if (split_read(&a->datapath.maps.splits[s->id], &word, &plan))
		return;
	rest = plan.rest % PERCH_SLOTS;
	if (!s->slot[rest].name[0] || s->slot[rest].role == PERCH_ROLE_STABLE)
		return;
	for (int i = 0; i < PERCH_SLOTS; i++) {
		if (!s->slot[i].name[0] || s->slot[i].role == PERCH_ROLE_RETIRING)
			continue;
		s->slot[i].role = i == rest ? PERCH_ROLE_STABLE : plan.role[i] == PERCH_ROLE_STABLE ? PERCH_ROLE_NONE :
				  plan.role[i] <= PERCH_ROLE_RETIRING ? plan.role[i] : PERCH_ROLE_NONE;
		s->slot[i].since = s->slot[i].role == PERCH_ROLE_NONE ? 0 : (__u64)clock_wall();
	}
}

/* What only the store knows of a service that the maps know. */
static void service_read_store(struct agent *a, struct service *s)
{
	struct stored_service stored;

	if (store_service_load(a->store, s->name, &stored))
		return;
	if (stored.salt == s->salt)
		memcpy(s->salt_for, stored.salt_for, sizeof(s->salt_for));
	for (size_t i = 0; i < stored.n_versions; i++) {
		int slot = slot_of_name(s->slot, stored.version[i].name);

		/* weights of backends are not in the maps */
		if (slot >= 0 && s->slot[slot].role != PERCH_ROLE_RETIRING)
			save_backends_parse(stored.version[i].backends, &s->slot[slot]);
	}
	store_service_free(&stored);
}

static int service_read(struct agent *a, unsigned id)
{
	struct service *s = service_new(a->datapath.maps.names[id].name);

	if (!s)
		return -ENOMEM;
	s->id = id;
	s->placed = true;
	for (unsigned i = 0; i < PERCH_SLOTS; i++) {
		if (slot_read(a, s, i)) {
			service_delete(s);
			return -ENOMEM;
		}
	}
	roles_from_plan(a, s);
	place_read_split(a, s);
	save_rollout_load(a, s);
	/* without a store: the salt is that of the last rollout's canary */
	memcpy(s->salt_for, s->keep.rollout.canary, sizeof(s->salt_for));
	service_read_store(a, s);
	pins_takeover(a, s);
	agent_add_service(a, s);
	a->by_id[id] = s;
	return 0;
}

int takeover_registry(struct agent *a)
{
	const struct maps *m = &a->datapath.maps;
	int r;

	for (unsigned id = 0; id < m->control->services; id++) {
		bool named = m->names[id].name[0];

		if (named && m->services[id].in_use) {
			r = service_read(a, id);
			if (r)
				return r;
		} else if (m->services[id].in_use) {
			/* killed while it came or went */
			tables_remove(a->tables, id);
			choices_clear(a->choices, id);
		} else if (named) {
			save_no_names(a, id);
		}
		if (named)
			fault_point("takeover", "read");
	}
	return 0;
}

static int slot_restore(struct agent *a, struct service *s, const struct stored_version *from)
{
	const struct perch_rejection *rejection;
	struct version *v;
	int r;

	if (from->slot >= PERCH_SLOTS || !from->name[0] || from->role == PERCH_ROLE_RETIRING ||
	    from->role > PERCH_ROLE_RETIRING)
		return 0;	/* what retired has no connections any more */
	v = &s->slot[from->slot];
	memcpy(v->name, from->name, sizeof(v->name));
	v->role = from->role;
	v->since = from->since;
	rejection = save_rejected(a, s->name, v->name);
	if (rejection) {
		v->rejected = true;
		v->rejection = *rejection;
	}
	r = save_backends_parse(from->backends, v);
	return r ? r : save_doors_parse(from->doors, v);
}

static void rollout_restore(struct agent *a, struct service *s)
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (save_rollout_stored(a, s))
		return;
	/* counters of new maps begin at 0; what was counted stays counted */
	memset(&s->keep.canary.last, 0, sizeof(s->keep.canary.last));
	memset(&s->keep.stable.last, 0, sizeof(s->keep.stable.last));
	if (service_in_rollout(s) && (canary < 0 || s->slot[canary].rejected))
		s->keep.rollout.phase = ROLLOUT_ROLLED_BACK;
}

int takeover_store(struct agent *a, const char *name, struct service **ret)
{
	struct stored_service stored;
	struct service *s;
	int r, canary;

	r = store_service_load(a->store, name, &stored);
	if (r)
		return -ENOENT;
	s = service_new(name);
	for (size_t i = 0; i < stored.n_versions && s && !r; i++)
		r = slot_restore(a, s, &stored.version[i]);
	if (!s || r || slot_of_role(s->slot, PERCH_ROLE_STABLE) < 0) {
		service_delete(s);
		store_service_free(&stored);
		return s ? -ENOENT : -ENOMEM;
	}
	canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	if (canary >= 0 && !s->slot[canary].rejected && !(perch_word_flags(stored.word) & PERCH_ROLLED_BACK))
		s->canary_share = stored.canary_share;
	if (slot_of_role(s->slot, PERCH_ROLE_BASELINE) >= 0)
		s->baseline_share = stored.baseline_share;
	s->salt = stored.salt;
	memcpy(s->salt_for, stored.salt_for, sizeof(s->salt_for));
	s->restored = true;
	rollout_restore(a, s);
	store_service_free(&stored);
	*ret = s;
	return 0;
}

/*
 * After a reboot, say: nobody was served by this host in the meantime, and its
 * tables are empty.  Evidence and shares are kept; time and connections that
 * let the rollout go on are gathered anew, so that it takes no step for what
 * was before.
 */
static void rollout_restart_step(struct agent *a, struct service *s)
{
	struct rollout_keep *k = &s->keep;
	struct rollout *r = &k->rollout;
	__u64 now = clock_now();

	r->epoch = perch_word_epoch(s->word);
	comparing_resume(a, s, true);
	r->step_since = now;
	k->step_began_at = judge_connections(&k->canary.sum);
	if (r->phase == ROLLOUT_PAUSED) {
		r->paused += now - r->phase_since;
		r->phase_since = now;
		return;
	}
	memset(r->reason, 0, sizeof(r->reason));
	snprintf(r->reason, sizeof(r->reason), "step %u of %zu begins anew: the kernel's tables were lost", r->step + 1,
		 s->model->rollout.n_steps);
	agent_emit(a, .kind = "rollout", .service = s->name, .from = rollout_phase_name(r->phase),
		   .to = rollout_phase_name(r->phase), .epoch = r->epoch, .reason = r->reason);
}

/* What the kernel counted while no agent ran, before anything is decided. */
static void rollout_catch_up(struct agent *a, struct service *s)
{
	struct rollout_keep *k = &s->keep;

	collect_votes(a, s, k->canary_slot);
	collect_votes(a, s, k->stable_slot);
	if (s->evidence[k->canary_slot].votes)
		arm_take(&k->canary, s->evidence[k->canary_slot].votes);
	if (s->evidence[k->stable_slot].votes)
		arm_take(&k->stable, s->evidence[k->stable_slot].votes);
}

/* A rollout whose word, roles or names went on without it. */
static void rollout_finish(struct agent *a, struct service *s)
{
	struct rollout_keep *k = &s->keep;
	const struct version *v = &s->slot[k->canary_slot];

	if (!service_in_rollout(s))
		return;
	if (strcmp(v->name, k->rollout.canary)) {
		memset(k, 0, sizeof(*k));	/* of another time */
	} else if (v->role == PERCH_ROLE_STABLE) {
		k->rollout.phase = ROLLOUT_SUCCEEDED;	/* promoted, not told */
		rollout_stepped(&k->rollout, perch_word_epoch(s->word), clock_now());
	} else if (s->restored) {
		rollout_restart_step(a, s);
	} else {
		rollout_catch_up(a, s);
		comparing_resume(a, s, false);
	}
	save_rollout(a, s, true);
}

/* Rolled back while nobody looked? */
static bool rollback_is_news(const struct service *s)
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (!service_rolled_back(s))
		return false;
	return service_in_rollout(s) || s->keep.rollout.phase != ROLLOUT_ROLLED_BACK ||
	       (canary >= 0 && !strcmp(s->slot[canary].name, s->keep.rollout.canary) && !s->slot[canary].rejected);
}

void takeover_finish(struct agent *a, struct service *s)
{
	struct rollback b = { .mode = -1, .by = perch_word_flags(s->word), .actor = actor_of_word(s->word) };

	rollout_finish(a, s);
	s->restored = false;
	if (rollback_is_news(s))
		rollback_adopt(a, s, &b);
}
