// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Pins set and deleted, and led to their versions as these come and go. */
#include "pins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "../core/hash.h"
#include "../datapath/choices.h"
#include "alarms.h"
#include "clock.h"
#include "rollout/deadman.h"
#include "pins_inside.h"
#include "place.h"
#include "rules.h"
#include "store/save.h"

#define PINS_AT_ONCE 20000	/* rows that the disk forgets in a moment */

__u64 pin_wall(__u64 until)
{
	return until ? clock_to_wall(until) * 1000 : 0;
}

static __u64 pin_monotonic(__u64 wall_ms)
{
	double left = wall_ms / 1000.0 - clock_wall();

	return !wall_ms ? 0 : left > 0 ? clock_now() + (__u64)(left * NS_PER_S) : 1;
}

const char *pins_asks(const struct agent *a, const struct service *s, const struct perch_address *client,
		      const struct perch_pin *pin, char buffer[PERCH_NAME_LEN])
{
	const char *name = rules_target_name(s, pin->target);

	if (name || store_pin_target(a->store, s->name, client, buffer))
		return name;
	return buffer;
}

/* What a client had, so that a bulk that fails leaves nothing behind. */
struct pin_before {
	struct perch_pin pin;
	bool known;
};

static void pins_undo(struct agent *a, const struct service *s, const struct pin_wanted *p,
		      const struct pin_before *before, size_t n)
{
	/* backwards: a client may stand there twice */
	while (n--) {
		if (before[n].known)
			choices_pin(a->choices, s->id, &p[n].client, &before[n].pin);
		else
			choices_unpin(a->choices, s->id, &p[n].client);
	}
}

static int pins_write(struct agent *a, const struct service *s, const struct pin_wanted *p, size_t n,
		      struct pin_before *before)
{
	__u64 now = clock_now();

	for (size_t i = 0; i < n; i++) {
		const struct perch_pin pin = { .target = rules_target(s, p[i].version), .until = p[i].ttl ? now + p[i].ttl : 0 };
		int r;

		before[i].known = !choices_pin_find(&a->datapath.maps, s->id, &p[i].client, &before[i].pin);
		r = choices_pin(a->choices, s->id, &p[i].client, &pin);
		if (r) {
			pins_undo(a, s, p, before, i);
			return r;
		}
	}
	return 0;
}

static int pins_store(struct agent *a, struct service *s, const struct pin_wanted *p, size_t n)
{
	struct stored_pin *stored = calloc(n, sizeof(*stored));
	__u64 now = clock_wall() * 1000;
	int r = stored ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !r; i++)
		stored[i] = (struct stored_pin){ p[i].client, p[i].version, p[i].ttl ? now + p[i].ttl / NS_PER_MS : 0 };
	if (!r)
		r = store_pins_set(a->store, s->name, stored, n);
	s->pins_unsaved |= r != 0;	/* the sweep writes them when it can */
	free(stored);
	return r;
}

static int pins_check(const struct service *s, const struct pin_wanted *p, size_t n, char why[AGENT_WHY])
{
	char client[ADDRESS_TEXT];
	const char *good = "";

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(good, p[i].version))
			continue;
		good = p[i].version;
		if (rules_target(s, good) != CHOICE_VOID)
			continue;
		snprintf(why, AGENT_WHY, "%s: client %s: no version '%.64s'; `perch version show service %s` lists them",
			 s->name, address_format(&p[i].client, client), good, s->name);
		return -ENOENT;
	}
	return 0;
}

/* "10.1.0.7 for 1h", "10000 clients" */
static void pins_tell(struct agent *a, const struct service *s, const struct pin_wanted *p, size_t n, const char *from,
		      const struct pin_asker *asker)
{
	char text[ADDRESS_TEXT + 64], client[ADDRESS_TEXT];
	bool same = true;

	for (size_t i = 1; i < n && same; i++)
		same = !strcmp(p[0].version, p[i].version);
	if (n > 1)
		snprintf(text, sizeof(text), "%zu clients are pinned", n);
	else if (p->ttl)
		snprintf(text, sizeof(text), "client %s is pinned for %g s", address_format(&p->client, client),
			 (double)p->ttl / NS_PER_S);
	else
		snprintf(text, sizeof(text), "client %s is pinned", address_format(&p->client, client));
	agent_emit(a, .kind = "pin", .actor = asker->actor, .service = s->name, .from = from,
		   .to = same ? p[0].version : NULL, .reason = text, .comment = asker->comment);
}

int pins_set(struct agent *a, struct service *s, const struct pin_wanted *p, size_t n, const struct pin_asker *asker,
	     char why[AGENT_WHY])
{
	struct pin_before *before;
	char buffer[PERCH_NAME_LEN];
	const char *from = NULL;
	__u64 word = s->word;
	int r = pins_check(s, p, n, why);

	if (r || !n)
		return r;
	before = calloc(n, sizeof(*before));
	r = before ? pins_write(a, s, p, n, before) : -ENOMEM;
	if (r == -ENOSPC)
		snprintf(why, AGENT_WHY, "%s: all %zu pins are in use; delete some, or raise agent.pinTableSize and load anew "
			 "(perchd --detach)", s->name, choices_pins_room(a->choices));
	else if (r)
		snprintf(why, AGENT_WHY, "%s: pins: %s", s->name, strerror(-r));
	if (!r) {
		if (n == 1 && before->known)
			from = pins_asks(a, s, &p->client, &before->pin, buffer);
		pins_store(a, s, p, n);
		place_roles(a, s);
		if (s->word != word)
			save_service(a, s);
		pins_tell(a, s, p, n, from, asker);
	}
	free(before);
	return r;
}

int pins_delete(struct agent *a, struct service *s, const struct perch_address *client, size_t n,
		const struct pin_asker *asker, char why[AGENT_WHY])
{
	char text[ADDRESS_TEXT + 64], buffer[PERCH_NAME_LEN];
	const char *from = NULL;
	struct perch_pin pin;

	for (size_t i = 0; i < n; i++) {
		if (!choices_pin_find(&a->datapath.maps, s->id, &client[i], &pin))
			continue;
		snprintf(why, AGENT_WHY, "%s: no pin of client %s", s->name, address_format(&client[i], text));
		return -ENOENT;
	}
	if (n == 1)
		from = pins_asks(a, s, client, &pin, buffer);
	for (size_t i = 0; i < n; i++)
		choices_unpin(a->choices, s->id, &client[i]);
	if (store_pins_delete(a->store, s->name, client, n))
		s->pins_unsaved = true;
	if (n == 1) {
		address_format(client, text);
		strcat(text, " is pinned no more");
	} else {
		snprintf(text, sizeof(text), "%zu clients are pinned no more", n);
	}
	agent_emit(a, .kind = "pin", .actor = asker->actor, .service = s->name, .from = from, .reason = text,
		   .comment = asker->comment);
	return 0;
}

int pins_delete_all(struct agent *a, struct service *s, const struct pin_asker *asker, char why[AGENT_WHY])
{
	int n = choices_pins_count(a->choices, s->id), r = choices_pins_clear(a->choices, s->id);
	char text[64];

	if (r) {
		snprintf(why, AGENT_WHY, "%s: pins: %s", s->name, strerror(-r));
		return r;
	}
	/* a million take seconds, in which the heart is to beat */
	do {
		deadman_beat(a);
		r = store_pins_delete_some(a->store, s->name, PINS_AT_ONCE);
	} while (r > 0);
	if (r)
		s->pins_unsaved = true;
	snprintf(text, sizeof(text), "all %d clients are pinned no more", n);
	agent_emit(a, .kind = "pin", .actor = asker->actor, .service = s->name, .reason = text, .comment = asker->comment);
	return n;
}

struct pins_load {
	struct agent *agent;
	const struct service *service;
	const char *version;	/* that came; NULL: pins of a new map */
	int err;
};

static bool pin_load(void *arg, const struct stored_pin *stored)
{
	struct pins_load *l = arg;
	struct perch_pin pin = { .until = pin_monotonic(stored->until) };
	int missing = choices_pin_find(&l->agent->datapath.maps, l->service->id, &stored->client, &pin);

	/* what the map lacks was deleted, unless it is new */
	if ((l->version && missing) || (!l->version && pin.until && pin.until <= clock_now()))
		return true;
	pin.target = rules_target(l->service, stored->target);
	l->err = choices_pin(l->agent->choices, l->service->id, &stored->client, &pin);
	return !l->err;
}

/* Pins that ask for the version in this slot, and lead nowhere yet. */
static int pins_enter(struct agent *a, struct service *s, int slot)
{
	struct pins_load l = { a, s, s->slot[slot].name, 0 };

	if (!choices_pins_to(a->choices, s->id, CHOICE_VOID))
		return 0;
	return store_pins_each(a->store, s->name, l.version, pin_load, &l) ? 0 : l.err;
}

static void pins_load(struct agent *a, struct service *s)
{
	struct pins_load l = { .agent = a, .service = s };

	store_pins_each(a->store, s->name, NULL, pin_load, &l);
	if (l.err)
		alarm_raise(a, "pin", s->name, s->name, "raise agent.pinTableSize and load anew (perchd --detach)",
			    "not all pins came back from the store: %s", strerror(-l.err));
	s->pins_known = true;
}

int pins_leave(struct agent *a, struct service *s, bool *ret_moved)
{
	int r = 0;

	for (int i = 0; i < PERCH_SLOTS && !r; i++) {
		if (!strcmp(s->chosen[i], s->slot[i].name))
			continue;
		*ret_moved = true;
		if (s->chosen[i][0])
			r = choices_void_slot(a->choices, s->id, i);
		if (!r)
			s->chosen[i][0] = 0;
	}
	return r;
}

int pins_place(struct agent *a, struct service *s, char why[AGENT_WHY])
{
	int r = 0;

	if (!s->pins_known)
		pins_load(a, s);
	for (int i = 0; i < PERCH_SLOTS && !r; i++) {
		if (!s->slot[i].name[0] || s->chosen[i][0])
			continue;
		r = pins_enter(a, s, i);
		if (!r)
			memcpy(s->chosen[i], s->slot[i].name, sizeof(s->chosen[i]));
	}
	if (r)
		snprintf(why, AGENT_WHY, "%s: pins: %s", s->name, strerror(-r));
	return r;
}

void pins_takeover(struct agent *a, struct service *s)
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (!s->slot[i].name[0])
			choices_void_slot(a->choices, s->id, i);
	s->pins_known = true;
	s->pins_unsaved = true;	/* perhaps; the sweep compares */
}
