// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which role a version has, and what moves it to the next one. */
#include "lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../core/address.h"

#define WAY_OUT 192

static void version_role(struct version *v, enum perch_role role, __u64 now)
{
	v->role = role;
	v->since = now;
}

/* Off duty: stays loaded while the file has it, else it retires.  since 0
 * keeps it from becoming a canary again by itself. */
static void version_off_duty(struct version *v, __u64 now)
{
	if (v->in_file)
		version_role(v, PERCH_ROLE_NONE, 0);
	else
		version_role(v, PERCH_ROLE_RETIRING, now);
}

static const struct model_version *model_version_find(const struct model_service *m, const char *name)
{
	for (size_t i = 0; i < m->n_versions; i++)
		if (!strcmp(m->versions[i].name, name))
			return &m->versions[i];
	return NULL;
}

/* Why a version that the file lost must stay; NULL: it may go. */
static const char *version_needed(const struct service *s, int slot, const struct version *v)
{
	if (v->role == PERCH_ROLE_STABLE)
		return "is stable";
	if (v->role != PERCH_ROLE_CANARY && v->role != PERCH_ROLE_BASELINE)
		return NULL;
	if (service_in_rollout(s) && v->role == PERCH_ROLE_CANARY)
		return "is in a rollout";
	return service_share(s, slot) ? "has a share of the traffic" : NULL;
}

static bool version_serves(const struct version *v, enum perch_family family)
{
	for (size_t i = 0; i < v->n_backends; i++)
		if (address_family(&v->backends[i].address) == family)
			return true;
	return !v->n_backends;	/* not known what it had */
}

/* Previous has the backends it had, and a rollback leads every listener to it.
 * With keepPrevious 0 it leaves at once. */
static int merge_previous(const struct lifecycle *l, const struct version *v, char why[LIFECYCLE_WHY])
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < l->model->n_listen && l->model->rollout.keep_previous; i++) {
		const struct perch_endpoint *e = &l->model->listen[i];

		if (version_serves(v, address_family(&e->address)))
			continue;
		snprintf(why, LIFECYCLE_WHY,
			 "%s:%d: %slisten[%zu]: %s would find no backend after a rollback to '%s'; put that "
			 "version back with one, or let it go with keepPrevious: 0",
			 l->model->origin, l->model->line, l->model->at, i, endpoint_format(e, text), v->name);
		return -EBUSY;
	}
	return 0;
}

/* What lets a version go that is needed. */
static const char *way_out(const struct service *s, const struct version *v, char out[WAY_OUT])
{
	if (v->role == PERCH_ROLE_STABLE)
		return "promote another one first";
	if (service_in_rollout(s) && v->role == PERCH_ROLE_CANARY)
		snprintf(out, WAY_OUT, "`perch rollout abort %s` first", s->name);
	else
		snprintf(out, WAY_OUT, "`perch weight set service %s %s 0` first", s->name, v->name);
	return out;
}

static int merge_missing(const struct lifecycle *l, int slot, struct version *v, char why[LIFECYCLE_WHY])
{
	const char *needed = version_needed(l->service, slot, v);
	char out[WAY_OUT];

	v->in_file = false;
	v->model = NULL;
	if (needed && l->strict) {
		snprintf(why, LIFECYCLE_WHY, "%s:%d: %sversions: '%s' of '%s' %s and can't be taken out; put it back, or %s",
			 l->model->origin, l->model->line, l->model->at, v->name, l->model->name, needed,
			 way_out(l->service, v, out));
		return -EBUSY;
	}
	if (v->role == PERCH_ROLE_PREVIOUS && l->strict)
		return merge_previous(l, v, why);
	if (!needed && v->role != PERCH_ROLE_PREVIOUS && v->role != PERCH_ROLE_RETIRING)
		version_role(v, PERCH_ROLE_RETIRING, l->now);
	return 0;
}

static int merge_known(const struct lifecycle *l, struct version *v, const struct model_version *m)
{
	if (v->role == PERCH_ROLE_RETIRING)	/* put back by hand: a candidate again */
		version_role(v, PERCH_ROLE_NONE, l->now);
	return version_from_model(v, m);
}

static int merge_new(const struct lifecycle *l, struct version slot[PERCH_SLOTS], const struct model_version *m,
		     char why[LIFECYCLE_WHY])
{
	const struct perch_rejection *rejection = l->rejected ? l->rejected(l->arg, l->model->name, m->name) : NULL;
	enum perch_role role = PERCH_ROLE_NONE;
	int i = slot_free_one(slot);

	if (i < 0) {
		snprintf(why, LIFECYCLE_WHY,
			 "%s:%d: %sversions: no room for '%s': %d versions of '%s' are loaded, some only until "
			 "their connections end; try again later, or sever them",
			 l->model->origin, m->line, l->model->at, m->name, PERCH_SLOTS, l->model->name);
		return -ENOSPC;
	}
	if (l->fresh || (m->role == PERCH_ROLE_BASELINE && slot_of_role(slot, PERCH_ROLE_BASELINE) < 0))
		role = m->role;
	if (role != PERCH_ROLE_NONE && role != PERCH_ROLE_STABLE && slot_of_role(slot, role) >= 0)
		role = PERCH_ROLE_NONE;
	version_role(&slot[i], role, l->now);
	if (rejection) {
		slot[i].rejected = true;
		slot[i].rejection = *rejection;
	}
	return version_from_model(&slot[i], m);
}

int lifecycle_merge(const struct lifecycle *l, struct version ret[PERCH_SLOTS], char why[LIFECYCLE_WHY])
{
	const struct model_version *m;
	int r;

	snprintf(why, LIFECYCLE_WHY, "%s: %s", l->model->name, strerror(ENOMEM));
	r = slots_copy(ret, l->service->slot);
	for (int i = 0; i < PERCH_SLOTS && !r; i++) {
		if (!ret[i].name[0])
			continue;
		m = model_version_find(l->model, ret[i].name);
		r = m ? merge_known(l, &ret[i], m) : merge_missing(l, i, &ret[i], why);
	}
	for (size_t i = 0; i < l->model->n_versions && !r; i++) {
		m = &l->model->versions[i];
		if (slot_of_name(ret, m->name) < 0)
			r = merge_new(l, ret, m, why);
	}
	if (r) {
		slots_clear(ret);
		return r;
	}
	lifecycle_fill_canary(ret, service_in_rollout(l->service) || l->service->canary_share, l->now);
	why[0] = 0;
	return 0;
}

/* The newest that waits: latest since, of equals the last in the file. */
static int slot_of_candidate(const struct version slot[PERCH_SLOTS])
{
	int best = -1;

	for (int i = 0; i < PERCH_SLOTS; i++) {
		const struct version *v = &slot[i];

		if (!v->name[0] || v->role != PERCH_ROLE_NONE || !v->since || !v->in_file || v->rejected)
			continue;
		if (best < 0 || v->since > slot[best].since ||
		    (v->since == slot[best].since && v->model > slot[best].model))
			best = i;
	}
	return best;
}

void lifecycle_fill_canary(struct version slot[PERCH_SLOTS], bool busy, __u64 now)
{
	int candidate = slot_of_candidate(slot), canary = slot_of_role(slot, PERCH_ROLE_CANARY);

	if (busy || candidate < 0)
		return;
	for (int i = 0; i < PERCH_SLOTS; i++)	/* those it passed do not wait any longer */
		if (slot[i].name[0] && slot[i].role == PERCH_ROLE_NONE)
			slot[i].since = 0;
	if (canary >= 0)
		version_off_duty(&slot[canary], now);
	version_role(&slot[candidate], PERCH_ROLE_CANARY, now);
}

void lifecycle_promote(struct version slot[PERCH_SLOTS], bool keep, __u64 now)
{
	int stable = slot_of_role(slot, PERCH_ROLE_STABLE), canary = slot_of_role(slot, PERCH_ROLE_CANARY);
	int previous = slot_of_role(slot, PERCH_ROLE_PREVIOUS);

	if (canary < 0 || stable < 0)
		return;
	if (previous >= 0)
		version_off_duty(&slot[previous], now);
	if (keep)
		version_role(&slot[stable], PERCH_ROLE_PREVIOUS, now);
	else
		version_off_duty(&slot[stable], now);
	version_role(&slot[canary], PERCH_ROLE_STABLE, now);
	slot[canary].rejected = false;
}

void lifecycle_back(struct version slot[PERCH_SLOTS], __u64 now)
{
	int stable = slot_of_role(slot, PERCH_ROLE_STABLE), previous = slot_of_role(slot, PERCH_ROLE_PREVIOUS);
	int canary = slot_of_role(slot, PERCH_ROLE_CANARY);

	if (previous < 0)
		return;
	version_role(&slot[previous], PERCH_ROLE_STABLE, now);
	if (stable < 0)
		return;
	if (canary < 0)
		version_role(&slot[stable], PERCH_ROLE_CANARY, now);
	else
		version_off_duty(&slot[stable], now);
}

void lifecycle_expire(struct version slot[PERCH_SLOTS], __u64 now)
{
	int previous = slot_of_role(slot, PERCH_ROLE_PREVIOUS);

	if (previous >= 0)
		version_off_duty(&slot[previous], now);
}
