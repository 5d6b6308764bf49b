/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pins of single clients.  The map is the only place where all of them are:
 * a million are no copy here, only counted by what they lead to, so that a
 * walk is made only when there is something to find.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choices_inside.h"
#include "internal.h"

static unsigned count_index(__u8 target)
{
	if (target >= PERCH_TARGET_SLOT && target < PERCH_TARGET_SLOT + PERCH_SLOTS)
		return target - PERCH_TARGET_SLOT;
	return target <= PERCH_ROLE_RETIRING ? PERCH_SLOTS + target : CHOICE_COUNTS - 1;
}

static void count(struct choices *c, unsigned service, const struct perch_pin *pin, int by)
{
	struct choice_service *s = &c->service[service];

	s->pins += by;
	s->pins_to[count_index(pin->target)] += by;
	if (pin->until)
		c->timed += by;
}

static struct perch_pin_key pin_key(unsigned service, const struct perch_address *client)
{
	return (struct perch_pin_key){ .client = *client, .service = service };
}

int choices_pin_find(const struct maps *m, unsigned service, const struct perch_address *client, struct perch_pin *ret)
{
	const struct perch_pin_key key = pin_key(service, client);

	return bpf_map_lookup_elem(m->pins_fd, &key, ret);
}

int choices_pin(struct choices *c, unsigned service, const struct perch_address *client, const struct perch_pin *pin)
{
	const struct perch_pin_key key = pin_key(service, client);
	struct perch_pin before;
	int known = choices_pin_find(c->m, service, client, &before), err;

	err = bpf_map_update_elem(c->m->pins_fd, &key, pin, BPF_ANY);
	if (err)
		return err == -E2BIG ? -ENOSPC : err;
	if (!known)
		count(c, service, &before, -1);
	count(c, service, pin, 1);
	choices_bit(c, service, PERCH_CHOOSE_PINS, true);
	return 0;
}

int choices_unpin(struct choices *c, unsigned service, const struct perch_address *client)
{
	const struct perch_pin_key key = pin_key(service, client);
	struct perch_pin before;
	int err = choices_pin_find(c->m, service, client, &before);

	if (!err)
		err = bpf_map_delete_elem(c->m->pins_fd, &key);
	if (err)
		return err;
	count(c, service, &before, -1);
	if (!c->service[service].pins)
		choices_bit(c, service, PERCH_CHOOSE_PINS, false);
	return 0;
}

size_t choices_pins_count(const struct choices *c, unsigned service)
{
	return c->service[service].pins;
}

size_t choices_pins_to(const struct choices *c, unsigned service, __u8 target)
{
	return c->service[service].pins_to[count_index(target)];
}

size_t choices_pins_timed(const struct choices *c)
{
	return c->timed;
}

size_t choices_pins_room(const struct choices *c)
{
	return c->pins_room;
}

struct pin_batch {
	struct perch_pin_key key[CHOICE_SLICE];
	struct perch_pin pin[CHOICE_SLICE];
};

int choices_pins_walk(const struct choices *c, struct choice_walk *w, __u32 most,
		      void (*fn)(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin), void *arg)
{
	struct pin_batch *b = malloc(sizeof(*b));
	__u32 n = most < CHOICE_SLICE ? most : CHOICE_SLICE;
	int err;

	if (!b)
		return -ENOMEM;
	/* a bucket holds a handful at most, so a slice is never too small */
	err = bpf_map_lookup_batch(c->m->pins_fd, w->begun ? &w->at : NULL, &w->at, b->key, b->pin, &n, NULL);
	if (err && err != -ENOENT)
		n = 0;
	w->begun = true;
	for (__u32 i = 0; i < n; i++)
		fn(arg, &b->key[i], &b->pin[i]);
	free(b);
	return err == -ENOENT ? 0 : err ?: 1;
}

static int walk_all(struct choices *c,
		    void (*fn)(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin), void *arg)
{
	struct choice_walk w = { 0 };
	int r;

	do
		r = choices_pins_walk(c, &w, CHOICE_SLICE, fn, arg);
	while (r > 0);
	return r;
}

static void pin_read(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct choices *c = arg;

	if (key->service < c->services)
		count(c, key->service, pin, 1);
}

int choice_pins_read(struct choices *c)
{
	return walk_all(c, pin_read, c);
}

/* What a walk is to do with a service's pins. */
struct pins_job {
	struct choices *c;
	unsigned service;
	__u8 target;
	int err;
};

static void pin_void(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct pins_job *j = arg;
	struct perch_pin nowhere = *pin;

	if (key->service != j->service || pin->target != j->target)
		return;
	nowhere.target = CHOICE_VOID;
	j->err = choices_pin(j->c, j->service, &key->client, &nowhere) ?: j->err;
}

int choice_pins_void(struct choices *c, unsigned service, __u8 target)
{
	struct pins_job j = { .c = c, .service = service, .target = target };
	int err = choices_pins_to(c, service, target) ? walk_all(c, pin_void, &j) : 0;

	return err ?: j.err;
}

/* Those of one service, taken away with one call per slice. */
struct pins_gone {
	struct choices *c;
	unsigned service;
	struct perch_pin_key key[CHOICE_SLICE];
	__u32 n;
};

static void pin_gone(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct pins_gone *g = arg;

	if (key->service != g->service)
		return;
	g->key[g->n++] = *key;
	count(g->c, g->service, pin, -1);
}

int choices_pins_clear(struct choices *c, unsigned service)
{
	struct pins_gone *g = malloc(sizeof(*g));
	struct choice_walk w = { 0 };
	int r = g ? 1 : -ENOMEM, err = 0;

	/* nobody is to ask while they go */
	choices_bit(c, service, PERCH_CHOOSE_PINS, false);
	while (r > 0 && !err && c->service[service].pins) {
		g->c = c;
		g->service = service;
		g->n = 0;
		r = choices_pins_walk(c, &w, CHOICE_SLICE, pin_gone, g);
		if (g->n)
			err = bpf_map_delete_batch(c->m->pins_fd, g->key, &g->n, NULL);
	}
	free(g);
	return r < 0 ? r : err;
}
