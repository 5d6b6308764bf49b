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
#define SLICE_MS 20		/* between two slices of one */
#define SLICE 1024

struct pins {
	struct agent *agent;
	uv_timer_t timer;
	struct choice_walk walk;
	bool walking;
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

static void sweep(uv_timer_t *timer)
{
	struct pins *p = timer->data;

	if (p->walking) {
		sweep_slice(p);
	} else {
		for (struct service *s = p->agent->services; s; s = s->next)
			if (s->pins_unsaved)
				s->pins_unsaved = pins_sync(p->agent, s);
		memset(&p->walk, 0, sizeof(p->walk));
		p->walking = choices_pins_timed(p->agent->choices);
	}
	uv_timer_start(timer, sweep, p->walking ? SLICE_MS : PASS_MS, 0);
}

int pins_start(struct agent *a)
{
	struct pins *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->agent = a;
	p->timer.data = p;
	uv_timer_init(&a->loop, &p->timer);
	uv_timer_start(&p->timer, sweep, PASS_MS, 0);
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

/* A sync under way: rows of the store against the map. */
struct sync {
	struct agent *agent;
	struct service *service;
	struct perch_address *gone;	/* in the store alone */
	size_t n_gone, alike;
	int err;
};

/* Room for one more at the powers of two. */
static int push(struct perch_address **list, size_t *n, const struct perch_address *client)
{
	struct perch_address *more = *list;

	if (!(*n & (*n - 1)))
		more = realloc(*list, (*n ? 2 * *n : 1) * sizeof(**list));
	if (!more)
		return -ENOMEM;
	*list = more;
	more[(*n)++] = *client;
	return 0;
}

static bool sync_row(void *arg, const struct stored_pin *stored)
{
	struct sync *y = arg;
	const struct service *s = y->service;
	struct perch_pin pin;
	const char *name;

	if (choices_pin_find(&y->agent->datapath.maps, s->id, &stored->client, &pin)) {
		y->err = push(&y->gone, &y->n_gone, &stored->client);
		return !y->err;
	}
	name = rules_target_name(s, pin.target);
	/* of what leads nowhere only the store knows the name */
	y->alike += !name || !strcmp(name, stored->target);
	return true;
}

/* Write all that the map has, slice by slice. */
struct rewrite {
	struct agent *agent;
	struct service *service;
	struct stored_pin pin[CHOICE_SLICE];
	struct perch_address nameless[CHOICE_SLICE];
	size_t n, n_nameless;
};

static void rewrite_pin(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct rewrite *w = arg;
	const char *name = rules_target_name(w->service, pin->target);
	char buffer[PERCH_NAME_LEN];

	if (key->service != w->service->id)
		return;
	if (name)
		w->pin[w->n++] = (struct stored_pin){ key->client, name, pin_wall(pin->until) };
	else if (store_pin_target(w->agent->store, w->service->name, &key->client, buffer) == -ENOENT)
		w->nameless[w->n_nameless++] = key->client;
}

static int sync_rewrite(struct agent *a, struct service *s)
{
	struct rewrite *w = calloc(1, sizeof(*w));
	struct choice_walk walk = { 0 };
	int r = w ? 1 : -ENOMEM, err = 0;

	while (r > 0 && !err) {
		w->agent = a;
		w->service = s;
		w->n = w->n_nameless = 0;
		r = choices_pins_walk(a->choices, &walk, CHOICE_SLICE, rewrite_pin, w);
		err = store_pins_set(a->store, s->name, w->pin, w->n);
		/* it leads nowhere, and where to nobody knows any more */
		for (size_t i = 0; i < w->n_nameless && a->store && !err; i++)
			choices_unpin(a->choices, s->id, &w->nameless[i]);
	}
	free(w);
	return r < 0 ? r : err;
}

int pins_sync(struct agent *a, struct service *s)
{
	struct sync y = { .agent = a, .service = s };
	int r;

	if (!choices_pins_count(a->choices, s->id))
		return store_pins_delete_all(a->store, s->name);
	r = store_pins_each(a->store, s->name, NULL, sync_row, &y) ?: y.err;
	if (!r)
		r = store_pins_delete(a->store, s->name, y.gone, y.n_gone);
	if (!r && y.alike != choices_pins_count(a->choices, s->id))
		r = sync_rewrite(a, s);
	free(y.gone);
	return r;
}
