// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is looked after each second: alarms for versions of which nothing lives,
 * by family, whoever holds their backends, and for checks that can't be made;
 * drains of what has left. */
#include "health.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../core/address.h"
#include "../alarms.h"
#include "drains.h"

/* Backends of a version of one family. */
struct living {
	unsigned named, up, drained;
};

static bool role_serves(enum perch_role role)
{
	return role == PERCH_ROLE_STABLE || role == PERCH_ROLE_CANARY || role == PERCH_ROLE_BASELINE ||
	       role == PERCH_ROLE_PREVIOUS;
}

static void remedy_say(const struct service *s, const struct living *l, char *out, size_t size)
{
	if (l->drained == l->named)
		snprintf(out, size, "perch backend resume service %s address ADDRESS:PORT", s->name);
	else
		snprintf(out, size, "mend its backends; `perch backend show service %s` says what their checks found", s->name);
}

static const char *fate(const struct service *s, int slot)
{
	switch (s->slot[slot].role) {
	case PERCH_ROLE_STABLE:
		if (s->model->stable_down == PERCH_DOWN_REJECT)
			return "new connections are refused (onStableDown: reject)";
		if (service_rolled_back(s))
			return "new connections are refused: the canary was rolled back";
		return s->canary_share ? "the canary takes new connections (onStableDown: canary)" :
					 "new connections are refused: no canary has a share";
	case PERCH_ROLE_PREVIOUS:
		return "a rollback has nowhere to go";
	default:
		return "stable takes its connections";
	}
}

static void living_count(const struct agent *a, unsigned service, struct living living[PERCH_SLOTS][PERCH_FAMILIES])
{
	for (__u32 id = 0; (id = tables_backend_next(a->tables, service, id));) {
		const struct perch_backend *b = &a->datapath.maps.backends[id];
		struct living *l = &living[b->version % PERCH_SLOTS][address_family(&b->address)];

		if (!tables_backend_named(b))
			continue;
		l->named++;
		l->up += !b->held;
		l->drained += b->held == PERCH_HELD_PERSON;
	}
}

/* `l` is the version's of this family, `other` its other family's. */
static void dead_say(struct agent *a, const struct service *s, int slot, const struct living *l,
		     const struct living *other, enum perch_family family, const char *subject)
{
	static const char *const words[PERCH_FAMILIES] = { "IPv4 ", "IPv6 " };
	const struct version *v = &s->slot[slot];
	char remedy[160];

	remedy_say(s, l, remedy, sizeof(remedy));
	alarm_raise(a, "backends", subject, s->name, remedy, "%s version '%s' has no live %sbackend: %s",
		    role_name(v->role), v->name, other->named ? words[family] : "", fate(s, slot));
}

static bool version_serves(const struct service *s, int slot)
{
	return s && s->model && s->slot[slot].name[0] && role_serves(s->slot[slot].role);
}

static void version_look(struct agent *a, __u32 version, const struct living l[PERCH_FAMILIES])
{
	const struct service *s = a->by_id[version / PERCH_SLOTS];
	int slot = version % PERCH_SLOTS;

	for (int family = 0; family < PERCH_FAMILIES; family++) {
		__u8 *dead = &a->dead[version * PERCH_FAMILIES + family];
		bool is = l[family].named && !l[family].up && version_serves(s, slot);
		char subject[32];

		if (!is && !*dead)
			continue;
		snprintf(subject, sizeof(subject), "%u/%d", version, family);
		*dead = is;
		if (is)
			dead_say(a, s, slot, &l[family], &l[!family], family, subject);
		else
			alarm_clear(a, "backends", subject);
	}
}

/* What can't be checked stays as it is, and somebody should know. */
static void checks_look(struct agent *a, const struct service *s)
{
	const char *why = health_unable(s);

	if (why)
		alarm_raise(a, "checks", s->name, s->name, "mend this host; backends stay as they were found last",
			    "a backend %s", why);
	else
		alarm_clear(a, "checks", s->name);
}

static void service_look(struct agent *a, unsigned id)
{
	struct living living[PERCH_SLOTS][PERCH_FAMILIES] = { 0 };

	living_count(a, id, living);
	for (unsigned slot = 0; slot < PERCH_SLOTS; slot++)
		version_look(a, id * PERCH_SLOTS + slot, living[slot]);
}

void health_look(struct agent *a)
{
	if (!a->dead)
		a->dead = calloc(a->datapath.maps.control->services * PERCH_SLOTS * PERCH_FAMILIES, sizeof(*a->dead));
	for (__u32 id = 0; a->dead && id < a->datapath.maps.control->services; id++)
		if (agent_turn(a, id))
			service_look(a, id);
	for (struct service *s = a->services; s; s = s->next) {
		if (!agent_turn(a, s->id))
			continue;
		checks_look(a, s);
		if (s->placed && !s->astray)
			drains_prune(a, s);
	}
}
