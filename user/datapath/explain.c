/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs' decision, step by step, without a packet. */
#include "explain.h"

#include <errno.h>
#include <string.h>

#include "../core/address.h"
#include "../core/split.h"
#include "choices.h"
#include "internal.h"

static __u32 address_find(const struct maps *m, const struct hash_tuple *t, __be16 port, bool *ret_known)
{
	const struct perch_endpoint at = { .address = t->destination, .port = port, .protocol = t->protocol };
	__u32 id = 0;

	*ret_known = !bpf_map_lookup_elem(m->addresses_fd, &at, &id);
	return id;
}

/* An entry of its own comes before one for every port; 0 in it: nobody's. */
static const struct perch_listener *find_listener(const struct maps *m, const struct hash_tuple *t, struct explain *e)
{
	const struct perch_listener *l;
	bool known;

	e->listener = address_find(m, t, t->port, &known);
	e->excluded = known && !e->listener;
	if (!known && m->control->any_port) {
		e->listener = address_find(m, t, 0, &known);
		e->any_port = e->listener;
	}
	if (!e->listener || e->listener >= m->control->listeners_n)
		return NULL;
	l = &m->listeners[e->listener];
	return l->in_use ? l : NULL;
}

/* The plan in force; one that keeps moving is as if all went to stable. */
static void read_plan(const struct maps *m, struct explain *e)
{
	const struct perch_split *s = &m->splits[e->service];

	e->torn = split_read(s, &e->word, &e->plan);
	if (!e->torn)
		return;
	e->word = split_word(s);
	e->plan = s->plan[perch_word_plan(e->word) % (2 * PERCH_PAIRS) | 1];
	e->plan.low_end = 0;
	e->plan.high_from = PERCH_SHARE_ALL;
}

static enum explain_by asked(const struct maps *m, const struct hash_tuple *t, __u8 dscp, __u64 now, struct explain *e)
{
	const __u8 choosers = m->services[e->service].choosers;
	const struct perch_address client = hash_client(&t->client);
	const struct perch_rule_key key = { .prefix = 32 + 128, .service = e->service, .source = t->client };
	struct perch_pin pin;
	__u32 target;

	if (choosers & PERCH_CHOOSE_PINS && !choices_pin_find(m, e->service, &client, &pin) &&
	    (!pin.until || now < pin.until)) {
		e->target = pin.target;
		return EXPLAIN_PIN;
	}
	if (choosers & PERCH_CHOOSE_RULES && !bpf_map_lookup_elem(m->rules_fd, &key, &target)) {
		e->target = target;
		return EXPLAIN_RULE;
	}
	if (choosers & PERCH_CHOOSE_MARKS && m->marks[e->service].target[dscp % CHOICE_MARKS]) {
		e->target = m->marks[e->service].target[dscp % CHOICE_MARKS];
		return EXPLAIN_MARK;
	}
	return EXPLAIN_NOTHING;
}

/* A rollback takes canary and baseline away from pins and rules too. */
static bool role_is_target(enum perch_role role, __u32 epoch)
{
	if (role == PERCH_ROLE_CANARY || role == PERCH_ROLE_BASELINE)
		return !(epoch & 1);
	return role == PERCH_ROLE_STABLE || role == PERCH_ROLE_PREVIOUS;
}

static int target_slot(const struct explain *e)
{
	int found = -1;

	for (int i = 0; i < PERCH_SLOTS; i++)
		if (role_is_target(e->plan.role[i], perch_word_epoch(e->word)) &&
		    (e->target == e->plan.role[i] || e->target == (PERCH_TARGET_SLOT | i)))
			found = i;
	return found;
}

static void choose_version(const struct maps *m, const struct hash_tuple *t, const struct perch_listener *l, __u8 dscp,
			   __u64 now, struct explain *e)
{
	int slot;

	if (l->door) {
		e->by = EXPLAIN_DOOR;
		e->wanted = l->door - 1;
		return;
	}
	e->asked = e->torn ? EXPLAIN_NOTHING : asked(m, t, dscp, now, e);
	slot = e->asked ? target_slot(e) : -1;
	e->by = slot >= 0 ? e->asked : EXPLAIN_HASH;
	e->wanted = slot >= 0 ? slot : split_slot(&e->plan, e->value);
}

static __u32 backend_of(const struct maps *m, const struct hash_tuple *t, const struct explain *e, unsigned slot)
{
	const struct perch_version *v = &m->versions[e->service * PERCH_SLOTS + slot % PERCH_SLOTS];
	__u64 slice = __atomic_load_n(&v->slice[address_family(&t->client)], __ATOMIC_RELAXED);
	__u32 at;

	if (!perch_slice_length(slice))
		return 0;
	at = hash_entry(e->hash, slice);
	if (at / PERCH_SLICE_WIDTH >= m->control->slice_words)
		return 0;
	return m->slices[at / PERCH_SLICE_WIDTH].backend[at % PERCH_SLICE_WIDTH];
}

/* Without a live backend stable takes it, and without one of those the canary
 * where the service says so. */
static void choose_backend(const struct maps *m, const struct hash_tuple *t, struct explain *e)
{
	const struct perch_service *s = &m->services[e->service];

	e->slot = e->wanted;
	e->backend = backend_of(m, t, e, e->slot);
	if (e->backend || e->by == EXPLAIN_DOOR)
		return;
	e->slot = e->plan.rest;
	e->backend = backend_of(m, t, e, e->slot);
	if (e->backend || s->stable_down != PERCH_DOWN_CANARY || !e->plan.low_end || perch_word_epoch(e->word) & 1)
		return;
	e->slot = e->plan.low;
	e->backend = backend_of(m, t, e, e->slot);
}

/* Where fragments are taken, of addresses alone. */
static __u64 choice_hash(const struct maps *m, const struct hash_tuple *t, const struct perch_service *s)
{
	const struct hash_tuple addresses = { .client = t->client, .destination = t->destination };

	return hash_affinity(m->control->secret, s->affinity, s->fragments ? &addresses : t);
}

void explain_choice(const struct maps *m, const struct hash_tuple *t, __u8 dscp, __u64 now, struct explain *ret)
{
	const struct perch_listener *l;

	memset(ret, 0, sizeof(*ret));
	l = find_listener(m, t, ret);
	if (!l) {
		ret->listener = 0;
		return;
	}
	ret->service = l->service;
	ret->leaving = l->leaving;
	read_plan(m, ret);
	ret->hash = choice_hash(m, t, &m->services[ret->service]);
	ret->value = hash_value(ret->hash, ret->plan.salt);
	choose_version(m, t, l, dscp, now, ret);
	choose_backend(m, t, ret);
}

struct search {
	const struct maps *m;
	const struct hash_tuple *t;
	struct flow_copy *ret;
	bool found;
};

static bool flow_lapsed(const struct flow_copy *f)
{
	static const __u32 seconds[16] = {
#define X(class, s) [class] = s,
		PERCH_TIMEOUTS(X)
#undef X
	};

	return f->idle_ms / 1000 > seconds[f->class];
}

static bool search_flow(void *arg, const struct flow_copy *f)
{
	const struct perch_flow_key *k = &f->flow.key;
	struct search *s = arg;

	if (f->class == PERCH_ALIAS || k->client_port != s->t->client_port || k->port != s->t->port ||
	    k->protocol != s->t->protocol || memcmp(&k->client, &s->t->client, sizeof(k->client)) ||
	    k->listener >= s->m->control->listeners_n ||
	    memcmp(&s->m->listeners[k->listener].address, &s->t->destination, sizeof(k->client)) || flow_lapsed(f))
		return true;
	*s->ret = *f;
	s->found = true;
	return false;
}

int explain_flow(const struct maps *m, const struct hash_tuple *t, struct flow_copy *ret)
{
	/* cppcheck-suppress ctuuninitvar ; it is only written to */
	struct search s = { m, t, ret, false };

	flows_walk(m, search_flow, &s);
	return s.found ? 0 : -ENOENT;
}

const char *explain_flow_ends(const struct maps *m, const struct flow_copy *f, __u64 now)
{
	const struct perch_backend *b = &m->backends[f->flow.backend % m->control->backends_n];
	const struct perch_version *v = &m->versions[b->version];

	if (b->state == PERCH_BACKEND_NONE)
		return "its backend has left";
	if (f->flow.created < v->sever_before || f->flow.flags & PERCH_FLOW_SEVERED)
		return "its version was severed";
	if (f->flow.created < v->drain_before && now >= v->drain_at)
		return "its version was drained";
	if (b->state == PERCH_BACKEND_DOWN)
		return "its backend is down";
	if (f->class == PERCH_CLOSING)
		return "it is closing";
	return NULL;
}
