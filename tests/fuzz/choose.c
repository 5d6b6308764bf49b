/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's choice: door, pin, rule, mark, plan; then one of the version's
 * backends.  A plan is in force when its epoch is the word's; when it is not,
 * all go to stable.
 */
#include <string.h>

#include "parts.h"

#define PLANS (2 * PERCH_PAIRS)

bool plan_of(const struct model *m, __u32 service, struct perch_plan *ret)
{
	const struct perch_split *s = &m->t.split[service];
	__u32 at = perch_word_plan(s->word) % PLANS;

	*ret = s->plan[at];
	if (ret->epoch == perch_word_epoch(s->word))
		return true;
	*ret = (struct perch_plan){ .high_from = PERCH_SHARE_ALL, .rest = s->plan[at | 1].rest };
	return false;
}

static __u32 plan_leads(const struct perch_plan *plan, __u32 share)
{
	if (share < plan->low_end)
		return plan->low;
	return share < plan->high_from ? plan->rest : plan->high;
}

/* The plan before the one in force: what it was made from, or what it is the
 * rollback of. */
static bool plan_before(const struct model *m, __u32 service, const struct perch_plan *now, struct perch_plan *ret)
{
	const struct perch_split *s = &m->t.split[service];
	__u32 epoch = perch_word_epoch(s->word), at = perch_word_plan(s->word);

	if (epoch & 1) {
		epoch--;
		at--;
	} else {
		epoch = perch_word_epoch(now->from);
		at = perch_word_plan(now->from);
	}
	*ret = s->plan[at % PLANS];
	return ret->epoch == epoch;
}

/* Of TCP in the middle of a connection that nobody knows: for drainTimeout
 * after a step the plan before, unless its version was severed since. */
static __u32 choose_midstream(struct model *m, const struct seen *p, const struct perch_plan *now, __u64 hash)
{
	const struct perch_split *s = &m->t.split[p->service];
	__u32 slot = plan_leads(now, hash_share(hash, now->salt)), old, named = s->named;
	const struct perch_version *v;
	struct perch_plan before;
	__u64 ms = (__u64)named * 1000 + m->t.service[p->service].drain_ms;

	if (p->torn || !plan_before(m, p->service, now, &before))
		return slot;
	/* while the note of the step lags behind the word, it counts as fresh */
	if (s->named >> 32 == perch_word_epoch(s->word) && is_past(m, (ms + 1) * 1000000, true))
		return slot;
	old = plan_leads(&before, hash_share(hash, before.salt));
	v = &m->t.version[p->service * PERCH_SLOTS + old % PERCH_SLOTS];
	if (v->sever_before >= named * 1000000000ull)
		return slot;
	if (v->drain_before >= named * 1000000000ull && is_past(m, v->drain_at, true))
		return slot;
	return old;
}

static __u32 pin_of(struct model *m, const struct seen *p)
{
	struct perch_pin_key key = { .client = p->source, .service = p->service };

	if (p->v6)
		key.client.word[2] = key.client.word[3] = 0;
	for (unsigned i = 0; i < m->pins; i++)
		if (!memcmp(&m->pin[i].key, &key, sizeof(key)))
			return !m->pin[i].pin.until || !is_past(m, m->pin[i].pin.until, true) ? m->pin[i].pin.target : 0;
	return 0;
}

static bool has_prefix(const struct perch_address *a, const struct perch_address *prefix, __u32 bits)
{
	const __u8 *x = (const __u8 *)a, *y = (const __u8 *)prefix;

	if (memcmp(x, y, bits / 8))
		return false;
	return !(bits % 8) || !((x[bits / 8] ^ y[bits / 8]) >> (8 - bits % 8));
}

static __u32 rule_of(struct model *m, const struct seen *p)
{
	__u32 bits = 0, target = 0;

	for (unsigned i = 0; i < m->rules; i++) {
		const struct perch_rule_key *k = &m->rule[i].key;

		if (k->service == p->service && k->prefix >= bits && has_prefix(&p->source, &k->source, k->prefix - 32)) {
			bits = k->prefix;
			target = m->rule[i].target;
		}
	}
	return target;
}

/* What a pin, a rule or a mark asks for. */
static __u32 asked_for(struct model *m, struct seen *p, __u32 choosers)
{
	__u32 target = choosers & PERCH_CHOOSE_PINS ? pin_of(m, p) : 0;

	p->pinned = target;
	if (!target && (choosers & PERCH_CHOOSE_RULES))
		target = rule_of(m, p);
	if (!target && (choosers & PERCH_CHOOSE_MARKS))
		target = m->t.mark[p->service].target[p->dscp];
	p->ruled = target && !p->pinned;
	return target;
}

/* Its slot + 1; 0: the hash decides.  A rollback takes the canary from these,
 * too. */
static __u32 choose_target(struct model *m, struct seen *p, const struct perch_plan *plan)
{
	__u32 target = asked_for(m, p, m->t.service[p->service].choosers), found = 0;
	bool back = perch_word_epoch(m->t.split[p->service].word) & 1;

	for (__u32 slot = 0; target && slot < PERCH_SLOTS; slot++) {
		__u8 role = plan->role[slot];

		if (target != role && target != (PERCH_TARGET_SLOT | slot))
			continue;
		if (role == PERCH_ROLE_STABLE || role == PERCH_ROLE_PREVIOUS ||
		    (!back && (role == PERCH_ROLE_CANARY || role == PERCH_ROLE_BASELINE)))
			found = slot + 1;
	}
	if (target && !found) {
		p->pinned = p->ruled = false;
		p->void_target = true;
	}
	return found;
}

static __u32 backend_in(const struct model *m, const struct seen *p, __u32 slot, __u64 hash)
{
	__u64 slice = m->t.version[p->service * PERCH_SLOTS + slot % PERCH_SLOTS].slice[p->v6];
	__u32 length = perch_slice_length(slice), at = perch_slice_offset(slice);

	if (!length)
		return 0;
	at += (hash & 0xffffffff) * length >> 32;
	return m->t.slices[at / PERCH_SLICE_WIDTH].backend[at % PERCH_SLICE_WIDTH];
}

bool version_lives(const struct model *m, __u32 version)
{
	const struct perch_version *v = &m->t.version[version];

	return perch_slice_length(v->slice[PERCH_IPV4]) || perch_slice_length(v->slice[PERCH_IPV6]);
}

__u32 choose(struct model *m, struct seen *p, const struct perch_listener *l)
{
	const struct perch_service *service = &m->t.service[p->service];
	bool start = !is_tcp(p) || (p->flags & TCP_SYN), back = perch_word_epoch(m->t.split[p->service].word) & 1;
	__u64 hash = hash_connection(m, p, service->affinity);
	struct perch_plan plan;
	__u32 slot, backend, target = 0;

	p->torn = !plan_of(m, p->service, &plan);
	p->flow.epoch = perch_word_epoch(m->t.split[p->service].word);
	if (!l->door && !p->torn)
		target = choose_target(m, p, &plan);
	if (l->door) {
		slot = l->door - 1;
	} else if (target) {
		slot = target - 1;
	} else if (start) {
		slot = plan_leads(&plan, hash_share(hash, plan.salt));
		p->flow.flags |= p->torn ? 0 : PERCH_FLOW_VOTES;
	} else {
		slot = choose_midstream(m, p, &plan, hash);
		p->ambiguous = true;
	}
	backend = backend_in(m, p, slot, hash);
	if (backend || l->door)
		return backend;
	p->empty = true;
	p->flow.flags &= ~PERCH_FLOW_VOTES;
	backend = backend_in(m, p, plan.rest, hash);
	if (!backend && service->stable_down == PERCH_DOWN_CANARY && plan.low_end && !back)
		backend = backend_in(m, p, plan.low, hash);
	return backend;
}

void choose_tell(struct model *m, const struct seen *p)
{
	if (p->torn)
		count(m, PERCH_R_PLAN_TORN);
	if (p->ambiguous)
		count(m, PERCH_R_AMBIGUOUS);
	if (p->empty)
		count(m, PERCH_R_EMPTY_VERSION);
	if (p->pinned)
		count(m, PERCH_R_PINNED);
	if (p->ruled)
		count(m, PERCH_R_RULED);
	if (p->void_target)
		count(m, PERCH_R_TARGET_VOID);
}
