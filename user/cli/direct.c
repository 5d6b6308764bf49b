// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What works without perchd, straight on the pinned maps.  A plan and its
 * twin stay as they are while the word names them, so the pair alone says
 * what a rollback takes away and where it leads.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../core/address.h"
#include "../core/rollout.h"
#include "../core/split.h"
#include "../datapath/clock.h"
#include "../datapath/flows.h"
#include "../datapath/registry.h"
#include "direct.h"
#include "text.h"

#define TRIES 4

/* The pair that the word names, both whole. */
struct pair {
	__u64 word;
	struct perch_plan plan, twin;
};

static int pair_read(const struct perch_split *s, struct pair *ret)
{
	for (int i = 0; i < TRIES; i++) {
		__u64 word = split_word(s);
		unsigned even = perch_word_plan(word) & ~1u;

		if (even + 1 >= 2 * PERCH_PAIRS)
			return -EPROTO;
		ret->word = word;
		ret->plan = s->plan[even];
		ret->twin = s->plan[even + 1];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (((split_word(s) ^ word) & ~PERCH_WORD_TWIN & 0xffffffffffffull) == 0)
			return 0;
	}
	return -EAGAIN;
}

static bool pair_rolled_back(const struct pair *p)
{
	return p->word & 1;
}

static const struct perch_plan *pair_in_force(const struct pair *p)
{
	return pair_rolled_back(p) ? &p->twin : &p->plan;
}

/* The slot that loses its share when the twin comes into force, or -1.  A
 * baseline is stable by another name. */
static int pair_loser(const struct pair *p)
{
	for (int slot = 0; slot < PERCH_SLOTS; slot++)
		if (split_share(&p->plan, slot) && !split_share(&p->twin, slot) && p->plan.role[slot] != PERCH_ROLE_BASELINE)
			return slot;
	return -1;
}

static bool pair_moves_nobody(const struct pair *p)
{
	for (int slot = 0; slot < PERCH_SLOTS; slot++)
		if (split_share(&p->plan, slot) != split_share(&p->twin, slot))
			return false;
	return true;
}

static const char *slot_name(const struct maps *m, unsigned id, int slot)
{
	const char *name = slot < 0 ? "" : m->version_names[id * PERCH_SLOTS + slot].name;

	return *name ? name : NULL;
}

/* Shared memory: the last byte may not be 0, the others not be UTF-8. */
static json_t *name_json(const char *name)
{
	json_t *json = name ? json_stringn(name, strnlen(name, PERCH_NAME_LEN)) : NULL;

	return json ?: json_null();
}

static const char *established_name(int mode)
{
	static const char *const names[] = { "keep", "drain", "sever" };

	return mode >= PERCH_KEEP && mode <= PERCH_SEVER ? names[mode] : "keep";
}

/* Idle connections of a severed version send nothing that a program could
 * answer with a reset: they are told from here. */
static int direct_sever(const struct maps *m)
{
	struct maps all;
	int n;

	n = maps_open(&all, m->pin_path, NULL);
	if (n)
		return n;
	n = flows_sever(&all, clock_ns());
	maps_close(&all);
	return n;
}

static void reason_make(const char *comment, char *out, size_t size)
{
	/* By number: names may be in a directory that is slow or down. */
	if (getuid())
		snprintf(out, size, "rolled back by uid %u " REGISTRY_DIRECT, getuid());
	else
		snprintf(out, size, "rolled back by root " REGISTRY_DIRECT);
	if (comment)
		text_append(out, size, ": %s", comment);
}

/* What the rollback of a service did, all but the names. */
struct done {
	const char *outcome;
	int mode, resets;
	__u64 ns;
	char warning[WHY];	/* the canary is out, but */
};

/* before: NULL when it could not be read whole.  After the write nothing takes
 * it back: what fails then is a warning. */
static int direct_write(const struct maps *m, unsigned id, const struct pair *before, const char *comment, struct done *d)
{
	char reason[sizeof(((struct perch_rejection *)0)->reason)];
	__u64 word = 0;
	int err;

	if (before && !pair_rolled_back(before) && pair_moves_nobody(before) && !m->services[id].sampling &&
	    !m->services[id].choosers) {
		d->outcome = "nothing";
		return 0;
	}
	reason_make(comment, reason, sizeof(reason));
	err = registry_rollback(m, id, d->mode, PERCH_BY_DIRECT, reason, &word, &d->ns);
	if (err && !(split_word(&m->splits[id]) & 1))
		return err;
	if (err)
		snprintf(d->warning, sizeof(d->warning), "the rejection could not be written down: %s", strerror(-err));
	d->outcome = word & 1 ? "alreadyRolledBack" : "rolledBack";
	if (d->mode == PERCH_SEVER)
		d->resets = direct_sever(m);
	if (d->resets < 0)
		snprintf(d->warning, sizeof(d->warning), "idle connections end with their next packet: %s",
			 strerror(-d->resets));
	return 0;
}

int direct_rollback(const struct maps *m, const char *service, int mode, const char *comment, json_t **ret)
{
	struct done d = { .mode = mode };
	int id = registry_find(m, service), err;
	struct pair pair = {};

	if (id < 0)
		return id;
	if (mode < 0)
		d.mode = m->services[id].established;
	/* A word that moves is rolled back all the same. */
	err = pair_read(&m->splits[id], &pair);
	if (err && err != -EAGAIN)
		return err;
	err = direct_write(m, id, err ? NULL : &pair, comment, &d);
	if (err)
		return err;
	pair_read(&m->splits[id], &pair);
	*ret = json_pack("{s:s,s:s,s:o,s:o,s:I,s:s,s:I,s:s,s:i,s:s?}", "service", service, "outcome", d.outcome, "from",
			 name_json(slot_name(m, id, pair_loser(&pair))), "to", name_json(slot_name(m, id, pair.twin.rest)),
			 "epoch", (json_int_t)perch_word_epoch(pair.word), "established", established_name(d.mode),
			 "nanoseconds", (json_int_t)d.ns, "phase", pair_rolled_back(&pair) ? "RolledBack" : "Idle",
			 "resets", d.resets > 0 ? d.resets : 0, "warning", *d.warning ? d.warning : NULL);
	return *ret ? 0 : -EPROTO;
}

json_t *direct_names(const struct maps *m)
{
	json_t *names = json_array();

	for (unsigned id = 0; id < m->control->services; id++)
		if (m->services[id].in_use && m->names[id].name[0])
			json_array_append_new(names, name_json(m->names[id].name));
	return names;
}

static const char *role_name(unsigned role)
{
	static const char *const names[] = { "none", "stable", "canary", "baseline", "previous", "retiring" };

	return role < sizeof(names) / sizeof(names[0]) ? names[role] : "none";
}

static const char *backend_state(unsigned state)
{
	static const char *const names[] = { "none", "up", "draining", "down" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "none";
}

static const char *phase_name(const struct maps *m, unsigned id, const struct pair *p)
{
	struct perch_rollout_blob b;
	struct rollout rollout;

	if (pair_rolled_back(p))
		return "RolledBack";
	/* the agent keeps more behind it */
	if (registry_rollout_get(m, id, &b) || b.length < sizeof(rollout) || b.version != ROLLOUT_LAYOUT)
		return "Idle";
	memcpy(&rollout, b.bytes, sizeof(rollout));
	return rollout_phase_name(rollout.phase);
}

static const char *writer_name(unsigned flags)
{
	if (flags & PERCH_BY_DIRECT)
		return "direct";
	if (flags & PERCH_BY_REFLEX)
		return "reflex";
	if (flags & PERCH_BY_DEADMAN)
		return "deadman";
	return flags & PERCH_BY_JUDGE ? "judge" : "agent";
}

static json_t *direct_rejected(const struct maps *m, unsigned id, const char *version)
{
	struct perch_rejection r;

	if (!registry_rejected(m, m->names[id].name, version, &r))
		return json_null();
	r.reason[sizeof(r.reason) - 1] = 0;
	return json_pack("{s:I,s:s,s:s}", "time", (json_int_t)r.when, "by", writer_name(r.by), "reason", r.reason) ?:
	       json_null();
}

static json_t *direct_backends(const struct maps *m, unsigned version)
{
	json_t *backends = json_array();
	char text[ADDRESS_TEXT];

	for (unsigned i = 1; i < m->control->backends_n; i++) {
		struct perch_backend b = m->backends[i];

		if (b.state == PERCH_BACKEND_NONE || b.version != version)
			continue;
		json_array_append_new(backends, json_pack("{s:s,s:s}", "address",
							  address_port_format(&b.address, b.port, text), "state",
							  backend_state(b.state)));
	}
	return backends;
}

static json_t *direct_versions(const struct maps *m, unsigned id, const struct pair *p)
{
	const struct perch_plan *plan = pair_in_force(p);
	json_t *versions = json_array();

	for (int slot = 0; slot < PERCH_SLOTS; slot++) {
		unsigned version = id * PERCH_SLOTS + slot;
		const char *name = slot_name(m, id, slot);
		unsigned role = plan->role[slot] ?: m->version_names[version].role;

		if (!name)
			continue;
		json_array_append_new(versions, json_pack("{s:o,s:s,s:f,s:n,s:n,s:n,s:o,s:o}", "name", name_json(name), "role",
							  role_name(role), "weight", split_share(plan, slot) / 100., "newShare",
							  "activeShare", "connections", "rejected",
							  direct_rejected(m, id, name), "backends",
							  direct_backends(m, version)));
	}
	return versions;
}

static json_t *direct_listeners(const struct maps *m, unsigned id)
{
	json_t *listeners = json_array();
	char text[ADDRESS_TEXT];

	for (unsigned i = 1; i < m->control->listeners_n; i++) {
		struct perch_listener l = m->listeners[i];
		struct perch_endpoint e = { .address = l.address, .port = l.port, .protocol = l.protocol };

		if (l.in_use && l.service == id && !l.door)
			json_array_append_new(listeners, json_string(endpoint_format(&e, text)));
	}
	return listeners;
}

json_t *direct_services(const struct maps *m)
{
	json_t *services = json_array();
	struct pair pair;

	for (unsigned id = 0; id < m->control->services; id++) {
		if (!m->services[id].in_use || !m->names[id].name[0] || pair_read(&m->splits[id], &pair))
			continue;
		json_array_append_new(services, json_pack("{s:o,s:o,s:s,s:s,s:I,s:b,s:o}", "name", name_json(m->names[id].name),
							  "listen", direct_listeners(m, id), "phase", phase_name(m, id, &pair),
							  "established", established_name(m->services[id].established), "epoch",
							  (json_int_t)perch_word_epoch(pair.word), "rolledBack",
							  (int)pair_rolled_back(&pair), "versions",
							  direct_versions(m, id, &pair)));
	}
	return services;
}
