// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The list of findings and how it is carried out: tables first, then events,
 * one each for a few backends, one for all when they are many. */
#include "findings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../api/view.h"

#define EVENTS_MOST 8		/* of one service and direction at once */

struct finding {
	__u32 backend, incarnation;
	bool down;
	enum perch_backend_state from;
	char reason[160];
};

struct findings {
	uv_timer_t timer;
	struct finding *list;
	size_t n, room;
};

static const struct actor actor_health = { .via = "health" };

static const struct perch_backend *element(const struct agent *a, const struct finding *f)
{
	return &a->datapath.maps.backends[f->backend];
}

static struct service *service_of(const struct agent *a, const struct finding *f)
{
	return a->by_id[element(a, f)->service];
}

/* What has left or changed hands meanwhile, or is so already, is dropped. */
static void findings_sift(struct agent *a, struct findings *all)
{
	size_t kept = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct finding *f = &all->list[i];
		const struct perch_backend *b = element(a, f);

		if (b->incarnation != f->incarnation || !tables_backend_named(b) || !service_of(a, f) ||
		    !(b->held & PERCH_HELD_HEALTH) == !f->down)
			continue;
		f->from = b->state;
		all->list[kept++] = *f;
	}
	all->n = kept;
}

/* The tables to it; where they can't follow yet, upkeep tries again. */
static void findings_hold(struct agent *a, const struct findings *all)
{
	struct tables_hold *h = calloc(all->n, sizeof(*h));
	int r = -ENOMEM;

	for (size_t i = 0; i < all->n && h; i++) {
		__u8 held = element(a, &all->list[i])->held;

		h[i].backend = all->list[i].backend;
		h[i].held = all->list[i].down ? held | PERCH_HELD_HEALTH : held & ~PERCH_HELD_HEALTH;
	}
	if (h)
		r = tables_hold(a->tables, h, all->n);
	for (size_t i = 0; i < all->n && r; i++)
		service_of(a, &all->list[i])->astray = true;
	free(h);
}

/* The kth finding is the one that speaks for those like it. */
static size_t findings_like(const struct agent *a, const struct findings *all, size_t k, bool *ret_first)
{
	const struct service *s = service_of(a, &all->list[k]);
	size_t n = 0;

	*ret_first = true;
	for (size_t i = 0; i < all->n; i++) {
		if (service_of(a, &all->list[i]) != s || all->list[i].down != all->list[k].down)
			continue;
		*ret_first &= i >= k;
		n++;
	}
	return n;
}

static void finding_tell(struct agent *a, const struct finding *f, size_t n)
{
	const struct perch_backend *b = element(a, f);
	const struct service *s = service_of(a, f);
	char address[ADDRESS_TEXT], others[32] = "", reason[ADDRESS_TEXT + PERCH_NAME_LEN + sizeof(f->reason) + 48];

	if (n > 1)
		snprintf(others, sizeof(others), " and %zu more", n - 1);
	snprintf(reason, sizeof(reason), "%s of %s%s: %s", address_port_format(&b->address, b->port, address),
		 s->slot[b->version % PERCH_SLOTS].name, others, f->reason);
	agent_emit(a, .kind = "backend", .actor = &actor_health, .service = s->name, .from = view_backend_state(f->from),
		   .to = view_backend_state(b->state), .reason = reason);
}

static void findings_tell(struct agent *a, const struct findings *all)
{
	for (size_t i = 0; i < all->n; i++) {
		bool first;
		size_t n = findings_like(a, all, i, &first);

		if (n <= EVENTS_MOST)
			finding_tell(a, &all->list[i], 1);
		else if (first)
			finding_tell(a, &all->list[i], n);
	}
}

static void findings_due(uv_timer_t *timer)
{
	struct agent *a = timer->data;
	struct findings *all = a->findings;

	findings_sift(a, all);
	if (all->n) {
		findings_hold(a, all);
		findings_tell(a, all);
	}
	all->n = 0;
}

static struct finding *finding_new(struct findings *all, __u32 backend)
{
	size_t room = all->room ? 2 * all->room : 64;
	struct finding *list;

	for (size_t i = 0; i < all->n; i++)
		if (all->list[i].backend == backend)
			return &all->list[i];
	if (all->n == all->room) {
		list = reallocarray(all->list, room, sizeof(*list));
		if (!list)
			return NULL;
		all->list = list;
		all->room = room;
	}
	return &all->list[all->n++];
}

void findings_add(struct agent *a, __u32 backend, bool down, const char *reason)
{
	struct finding *f = finding_new(a->findings, backend);

	if (!f)
		return;		/* the next check finds the same */
	*f = (struct finding){ .backend = backend, .incarnation = a->datapath.maps.backends[backend].incarnation,
			       .down = down };
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	if (!uv_is_active((uv_handle_t *)&a->findings->timer))
		uv_timer_start(&a->findings->timer, findings_due, FINDINGS_MS, 0);
}

int findings_start(struct agent *a)
{
	a->findings = calloc(1, sizeof(*a->findings));
	if (!a->findings)
		return -ENOMEM;
	uv_timer_init(&a->loop, &a->findings->timer);
	a->findings->timer.data = a;
	return 0;
}

void findings_free(struct agent *a)
{
	if (!a->findings)
		return;
	free(a->findings->list);
	free(a->findings);
}
