// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The list of a service's drains, and what a person's word changes in it: the
 * kernel first, then the store. */
#include "drains.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../clock.h"
#include "../fault.h"
#include "../log.h"
#include "../store/store_drains.h"
#include "../api/view.h"

static struct placed_drain *drain_find(const struct service *s, const struct perch_address *address, __be16 port)
{
	for (size_t i = 0; i < s->n_drains; i++)
		if (s->drains[i].port == port && !memcmp(&s->drains[i].address, address, sizeof(*address)))
			return &s->drains[i];
	return NULL;
}

static int drain_add(struct service *s, const struct perch_address *address, __be16 port, __u64 since)
{
	struct placed_drain *list;

	if (drain_find(s, address, port))
		return 0;
	list = reallocarray(s->drains, s->n_drains + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->drains = list;
	list[s->n_drains++] = (struct placed_drain){ .address = *address, .port = port, .since = since };
	return 0;
}

static void drain_take(struct service *s, struct placed_drain *d)
{
	*d = s->drains[--s->n_drains];
}

__u64 drains_since(const struct service *s, const struct perch_backend *b)
{
	const struct placed_drain *d = drain_find(s, &b->address, b->port);

	return d && tables_backend_named(b) ? d->since : 0;
}

/* The next backend after `id` that s names, of this address (NULL: any); 0
 * behind the last. */
static __u32 backend_next(const struct agent *a, const struct service *s, const struct placed_drain *of, __u32 id)
{
	const struct maps *m = &a->datapath.maps;

	while ((id = tables_backend_next(a->tables, s->id, id))) {
		const struct perch_backend *b = &m->backends[id];

		if (tables_backend_named(b) &&
		    (!of || (b->port == of->port && !memcmp(&b->address, &of->address, sizeof(of->address)))))
			return id;
	}
	return 0;
}

/* What the store says while a list is read. */
struct reading {
	struct service *service;
	size_t same;
	bool stale;
};

static void drain_stored(void *arg, const char *address, __u64 since)
{
	struct reading *r = arg;
	struct placed_drain d, *known;

	if (address_port_parse(address, &d.address, &d.port)) {
		r->stale = true;
		return;
	}
	if (!r->service->placed)
		drain_add(r->service, &d.address, d.port, since);
	known = drain_find(r->service, &d.address, d.port);
	r->stale |= !known;
	r->same += known != NULL;
	if (known)
		known->since = since;
}

int drains_save(struct agent *a, const struct service *s)
{
	char text[ADDRESS_TEXT];
	int r = store_resume_all(a->store, s->name);

	for (size_t i = 0; i < s->n_drains && !r; i++)
		r = store_drain(a->store, s->name, address_port_format(&s->drains[i].address, s->drains[i].port, text),
				s->drains[i].since);
	return r;
}

void drains_read(struct agent *a, struct service *s)
{
	const struct perch_backend *b = a->datapath.maps.backends;
	struct reading r = { .service = s };

	if (s->drains_known)
		return;
	s->drains_known = true;
	for (__u32 id = 0; s->placed && (id = backend_next(a, s, NULL, id));)
		if (b[id].held & PERCH_HELD_PERSON)
			drain_add(s, &b[id].address, b[id].port, clock_wall());
	if (s->placed || s->restored)
		store_drains(a->store, s->name, drain_stored, &r);
	else
		r.stale = true;		/* what may be there is of another time */
	/* the agent was killed between the kernel and the store */
	if (r.stale || r.same != s->n_drains)
		drains_save(a, s);
}

void drains_prune(struct agent *a, struct service *s)
{
	char text[ADDRESS_TEXT];

	for (size_t i = s->n_drains; i-- > 0;) {
		struct placed_drain *d = &s->drains[i];

		if (backend_next(a, s, d, 0))
			continue;
		address_port_format(&d->address, d->port, text);
		drain_take(s, d);
		store_resume(a->store, s->name, text);
		log_notice("%s: backend %s left while it was drained; if it comes back it is not", s->name, text);
	}
}

/* "web: no backend '…'; it has …" */
static int no_backend(const struct agent *a, const struct service *s, const char *address, char why[AGENT_WHY])
{
	int n = snprintf(why, AGENT_WHY, "%s: no backend '%.80s'; it has", s->name, address), left = 0;
	const struct perch_backend *b = a->datapath.maps.backends;
	char text[ADDRESS_TEXT];

	for (__u32 id = 0; (id = backend_next(a, s, NULL, id));) {
		address_port_format(&b[id].address, b[id].port, text);
		if (n + strlen(text) + 24 < AGENT_WHY)
			n += snprintf(why + n, AGENT_WHY - n, " %s", text);
		else
			left++;
	}
	if (left)
		snprintf(why + n, AGENT_WHY - n, " and %d more", left);
	return -ENOENT;
}

/* Is it the only one of a slot that is up?  In its family, where that counts. */
static bool is_last(const struct agent *a, const struct service *s, int slot, const struct placed_drain *d, bool of_family)
{
	const struct perch_backend *b = a->datapath.maps.backends;
	bool is_up = false, others = false;

	for (__u32 id = 0; slot >= 0 && (id = backend_next(a, s, NULL, id));) {
		if (b[id].held || b[id].version != s->id * PERCH_SLOTS + slot ||
		    (of_family && address_family(&b[id].address) != address_family(&d->address)))
			continue;
		if (b[id].port == d->port && !memcmp(&b[id].address, &d->address, sizeof(d->address)))
			is_up = true;
		else
			others = true;
	}
	return is_up && !others;
}

/* What a drain would do that nobody means by the word. */
static int drain_check_last(const struct agent *a, const struct service *s, const struct drain *d,
			    const struct placed_drain *of, char why[AGENT_WHY])
{
	int stable = slot_of_role(s->slot, PERCH_ROLE_STABLE), canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (is_last(a, s, stable, of, true)) {
		snprintf(why, AGENT_WHY,
			 "%s: %s is the last live %s backend of stable ('%s'); resume another one before, or drain it with force",
			 s->name, d->address, address_is_v4(&of->address) ? "IPv4" : "IPv6", s->slot[stable].name);
		return -EBUSY;
	}
	if (service_in_rollout(s) && is_last(a, s, canary, of, false)) {
		snprintf(why, AGENT_WHY,
			 "%s: %s is the last live backend of the canary ('%s'): its rollout would be rolled back; resume another one before, or drain it with force",
			 s->name, d->address, s->slot[canary].name);
		return -EBUSY;
	}
	return 0;
}

static int drain_check(const struct agent *a, const struct service *s, const struct drain *d,
		       struct placed_drain *ret, char why[AGENT_WHY])
{
	if (address_port_parse(d->address, &ret->address, &ret->port)) {
		snprintf(why, AGENT_WHY, "address: '%.80s' is no ADDRESS:PORT", d->address);
		return -EINVAL;
	}
	if (!backend_next(a, s, ret, 0))
		return no_backend(a, s, d->address, why);
	return d->resume || d->force ? 0 : drain_check_last(a, s, d, ret, why);
}

/* One of its elements to the kernel. */
static void drain_element(struct agent *a, struct service *s, __u32 id, const struct drain *d)
{
	const struct perch_backend *b = &a->datapath.maps.backends[id];
	const char *from = view_backend_state(b->state);
	unsigned slot = b->version % PERCH_SLOTS;
	char text[ADDRESS_TEXT], reason[ADDRESS_TEXT + PERCH_NAME_LEN + 32];

	if (tables_backend_hold(a->tables, s->id, slot, &b->address, b->port,
				d->resume ? b->held & ~PERCH_HELD_PERSON : b->held | PERCH_HELD_PERSON))
		s->astray = true;	/* the tables follow within a second */
	fault_point("drain", "held");
	snprintf(reason, sizeof(reason), "%s of %s %s", address_port_format(&b->address, b->port, text),
		 s->slot[slot].name, d->resume ? "is resumed" : "is drained");
	agent_emit(a, .kind = "backend", .actor = d->actor, .service = s->name, .from = from,
		   .to = view_backend_state(b->state), .reason = reason, .comment = d->comment);
}

int drains_set(struct agent *a, struct service *s, const struct drain *d, char why[AGENT_WHY])
{
	char text[ADDRESS_TEXT];
	struct placed_drain of, *is;
	int r = drain_check(a, s, d, &of, why);

	if (r)
		return r;
	is = drain_find(s, &of.address, of.port);
	if (!is == d->resume)
		return 0;
	if (d->resume)
		drain_take(s, is);
	else
		r = drain_add(s, &of.address, of.port, clock_wall());
	if (r) {
		snprintf(why, AGENT_WHY, "%s: %s", s->name, strerror(-r));
		return r;
	}
	fault_point("drain", "noted");
	for (__u32 id = 0; (id = backend_next(a, s, &of, id));)
		drain_element(a, s, id, d);
	fault_point("drain", "unsaved");
	address_port_format(&of.address, of.port, text);
	if (d->resume)
		store_resume(a->store, s->name, text);
	else
		store_drain(a->store, s->name, text, clock_wall());
	return 0;
}
