// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What time does to pins: those that ran out go (the kernel asks for none of
 * them any more), and what the store missed while it could not be written is
 * written.  A pass over a million pins takes slices of a few milliseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "../datapath/choices.h"
#include "clock.h"
#include "pins_inside.h"
#include "rules.h"

#define PASS_MS 5000		/* between two passes */
#define SLICE_MS 5		/* between two slices of one */
#define SLICE 1024

/* A service's pins in the store, against the map: first what the store has,
 * then, if it lacks some, all that the map has. */
struct sync {
	char service[PERCH_NAME_LEN];
	bool rewriting;
	struct perch_address after;	/* the store's, seen so far */
	bool begun;
	struct choice_walk walk;
	size_t alike, rows;
	/* of this slice */
	const struct service *s;
	struct stored_pin pin[SLICE];
	struct perch_address gone[SLICE];
	size_t n, n_gone;
};

struct pins {
	struct agent *agent;
	uv_timer_t timer;
	struct choice_walk walk;
	bool walking, syncing;
	bool failed;		/* the store did: first a pass, then again */
	struct sync sync;
	/* of this slice */
	struct perch_pin_key gone[SLICE];
	size_t n;
};

static void pin_expire(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct pins *p = arg;

	if (pin->until && pin->until <= clock_now() && p->n < SLICE)
		p->gone[p->n++] = *key;
}

/* The pins of one service in this slice. */
static void slice_forget(struct pins *p, struct service *s)
{
	struct perch_address client[SLICE];
	char text[ADDRESS_TEXT + 32];
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->gone[i].service == s->id && !choices_unpin(p->agent->choices, s->id, &p->gone[i].client))
			client[n++] = p->gone[i].client;
	if (!n)
		return;
	if (store_pins_delete(p->agent->store, s->name, client, n))
		s->pins_unsaved = true;
	if (n == 1) {
		address_format(client, text);
		strcat(text, ": its pin ran out");
	} else {
		snprintf(text, sizeof(text), "%zu pins ran out", n);
	}
	agent_emit(p->agent, .kind = "pin", .service = s->name, .reason = text);
}

static void sweep_slice(struct pins *p)
{
	int r;

	p->n = 0;
	r = choices_pins_walk(p->agent->choices, &p->walk, SLICE, pin_expire, p);
	for (struct service *s = p->agent->services; s && p->n; s = s->next)
		slice_forget(p, s);
	p->walking = r > 0;
}

static bool sync_row(void *arg, const struct stored_pin *stored)
{
	struct pins *p = arg;
	struct sync *y = &p->sync;
	struct perch_pin pin;
	const char *name;

	y->after = stored->client;
	y->begun = true;
	y->rows++;
	if (choices_pin_find(&p->agent->datapath.maps, y->s->id, &stored->client, &pin)) {
		y->gone[y->n_gone++] = stored->client;
		return true;
	}
	name = rules_target_name(y->s, pin.target);
	/* of what leads nowhere only the store knows the name */
	y->alike += !name || !strcmp(name, stored->target);
	return true;
}

/* 1: there is more, 0: all is well, or -errno. */
static int sync_compare(struct pins *p)
{
	struct sync *y = &p->sync;
	struct agent *a = p->agent;
	int r;

	y->rows = 0;
	r = store_pins_next(a->store, y->service, y->begun ? &y->after : NULL, SLICE, sync_row, p);
	if (!r)
		r = store_pins_delete(a->store, y->service, y->gone, y->n_gone);
	if (r || y->rows == SLICE)
		return r ? r : 1;
	y->rewriting = y->alike != choices_pins_count(a->choices, y->s->id);
	return y->rewriting;
}

static void sync_pin(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct pins *p = arg;
	struct sync *y = &p->sync;
	const char *name = rules_target_name(y->s, pin->target);
	char buffer[PERCH_NAME_LEN];

	if (key->service != y->s->id)
		return;
	if (name)
		y->pin[y->n++] = (struct stored_pin){ key->client, name, pin_wall(pin->until) };
	else if (p->agent->store && store_pin_target(p->agent->store, y->service, &key->client, buffer) == -ENOENT)
		y->gone[y->n_gone++] = key->client;
}

static int sync_rewrite(struct pins *p)
{
	struct sync *y = &p->sync;
	struct agent *a = p->agent;
	int r = choices_pins_walk(a->choices, &y->walk, SLICE, sync_pin, p);
	int err = store_pins_set(a->store, y->service, y->pin, y->n);

	/* they lead nowhere, and where to nobody knows any more */
	for (size_t i = 0; i < y->n_gone && !err; i++)
		choices_unpin(a->choices, y->s->id, &y->gone[i]);
	return err ? err : r;
}

static void sync_slice(struct pins *p)
{
	struct service *s = agent_service(p->agent, p->sync.service);
	int r = 0;

	p->sync.n = p->sync.n_gone = 0;
	p->sync.s = s;
	if (s)
		r = p->sync.rewriting ? sync_rewrite(p) : sync_compare(p);
	p->syncing = r > 0;
	p->failed = r < 0;
	if (r < 0)
		s->pins_unsaved = true;
}

/* The next one whose pins the store does not have. */
static bool sync_begin(struct pins *p)
{
	for (struct service *s = p->agent->services; s; s = s->next) {
		if (!s->pins_unsaved)
			continue;
		s->pins_unsaved = false;
		memset(&p->sync, 0, sizeof(p->sync));
		memcpy(p->sync.service, s->name, sizeof(s->name));
		return true;
	}
	return false;
}

static void sweep(uv_timer_t *timer)
{
	struct pins *p = timer->data;

	if (p->syncing) {
		sync_slice(p);
	} else if (p->walking) {
		sweep_slice(p);
	} else if (!p->failed && sync_begin(p)) {
		p->syncing = true;
	} else {
		p->failed = false;
		memset(&p->walk, 0, sizeof(p->walk));
		p->walking = choices_pins_timed(p->agent->choices);
	}
	uv_timer_start(timer, sweep, p->walking || p->syncing ? SLICE_MS : PASS_MS, 0);
}

int pins_start(struct agent *a)
{
	struct pins *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->agent = a;
	p->timer.data = p;
	uv_timer_init(&a->loop, &p->timer);
	uv_timer_start(&p->timer, sweep, SLICE_MS, 0);
	a->pins = p;
	return 0;
}

void pins_stop(struct agent *a)
{
	free(a->pins);
	a->pins = NULL;
}

void pins_store_lost(struct agent *a)
{
	for (struct service *s = a->services; s; s = s->next)
		s->pins_unsaved = s->pins_known;
}
