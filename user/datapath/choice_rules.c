/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rules by source prefix: a service's set brought from the one to the next by
 * their difference.  A copy of what the trie holds is kept, because reading a
 * million prefixes back takes longer than writing the few that changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choices_inside.h"
#include "internal.h"

/* What one call of the kernel takes. */
struct rule_batch {
	struct perch_rule_key key[CHOICE_SLICE];
	__u32 target[CHOICE_SLICE];
};

static int rule_order(const void *x, const void *y)
{
	const struct choice_rule *a = x, *b = y;
	int r = memcmp(&a->source, &b->source, sizeof(a->source));

	return r ? r : (a->prefix > b->prefix) - (a->prefix < b->prefix);
}

static struct perch_rule_key rule_key(unsigned service, const struct choice_rule *r)
{
	return (struct perch_rule_key){ .prefix = 32 + r->prefix, .service = service, .source = r->source };
}

/* Write (or take away) rules in order; *ret_done is how many were. */
static int rules_write(const struct choices *c, unsigned service, const struct choice_rule *rule, size_t n, bool put,
		       size_t *ret_done)
{
	struct rule_batch *b = malloc(sizeof(*b));
	int err = b ? 0 : -ENOMEM;

	*ret_done = 0;
	while (!err && *ret_done < n) {
		__u32 count = n - *ret_done < CHOICE_SLICE ? n - *ret_done : CHOICE_SLICE;

		for (__u32 i = 0; i < count; i++) {
			b->key[i] = rule_key(service, &rule[*ret_done + i]);
			b->target[i] = rule[*ret_done + i].target;
		}
		err = put ? bpf_map_update_batch(c->m->rules_fd, b->key, b->target, &count, NULL) :
			    bpf_map_delete_batch(c->m->rules_fd, b->key, &count, NULL);
		*ret_done += count;
		if (err == -ENOENT && !put && *ret_done < n) {
			(*ret_done)++;	/* was gone already */
			err = 0;
		}
	}
	free(b);
	return err == -ENOENT && !put ? 0 : err;
}

struct rules_change {
	struct choice_rule *put;	/* new, or with another target */
	struct choice_rule *gone;
	size_t n_put, n_fresh, n_gone;
};

static int rules_compare(const struct choice_service *s, const struct choice_rule *rule, size_t n,
			 struct rules_change *ret)
{
	size_t i = 0, j = 0;

	ret->put = malloc((n + 1) * sizeof(*ret->put));
	ret->gone = malloc((s->n_rules + 1) * sizeof(*ret->gone));
	if (!ret->put || !ret->gone)
		return -ENOMEM;
	while (i < s->n_rules || j < n) {
		int r = i == s->n_rules ? 1 : j == n ? -1 : rule_order(&s->rule[i], &rule[j]);

		if (r < 0) {
			ret->gone[ret->n_gone++] = s->rule[i++];
			continue;
		}
		if (r || s->rule[i].target != rule[j].target)
			ret->put[ret->n_put++] = rule[j];
		ret->n_fresh += r > 0;
		i += !r;
		j++;
	}
	return 0;
}

/* The first n that were put are again what they were. */
static void rules_undo(const struct choices *c, unsigned service, const struct rules_change *change, size_t n)
{
	const struct choice_service *s = &c->service[service];
	size_t done;

	for (size_t i = 0; i < n; i++) {
		const struct choice_rule *was = s->n_rules ? bsearch(&change->put[i], s->rule, s->n_rules,
								     sizeof(*s->rule), rule_order) : NULL;

		rules_write(c, service, was ? was : &change->put[i], 1, was, &done);
	}
}

static int rules_carry_out(const struct choices *c, unsigned service, const struct rules_change *change)
{
	bool room = c->rules + change->n_fresh <= c->rules_room;
	size_t done;
	int err = 0;

	if (!room)
		err = rules_write(c, service, change->gone, change->n_gone, false, &done);
	if (!err)
		err = rules_write(c, service, change->put, change->n_put, true, &done);
	if (err) {
		rules_undo(c, service, change, done);
		if (!room)
			rules_write(c, service, change->gone, change->n_gone, true, &done);
		return err;
	}
	return room ? rules_write(c, service, change->gone, change->n_gone, false, &done) : 0;
}

static int rules_check(const struct choices *c, unsigned service, const struct choice_rule *rule, size_t n, char *why)
{
	size_t others = c->rules - c->service[service].n_rules;

	if (others + n > c->rules_room)
		return why_set(why, -ENOSPC, "%zu rules by source, and %zu of other services: there is room for %zu", n,
			       others, c->rules_room);
	for (size_t i = 1; i < n; i++)
		if (!rule_order(&rule[i - 1], &rule[i]))
			return why_set(why, -EINVAL, "two rules for one prefix");
	return 0;
}

int choices_rules(struct choices *c, unsigned service, struct choice_rule *rule, size_t n, char why[WHY])
{
	struct choice_service *s = &c->service[service];
	struct choice_rule *copy = n ? malloc(n * sizeof(*copy)) : NULL;
	struct rules_change change = { 0 };
	int err;

	if (n)
		qsort(rule, n, sizeof(*rule), rule_order);
	err = rules_check(c, service, rule, n, why);
	if (err)
		goto out;
	err = n && !copy ? -ENOMEM : rules_compare(s, rule, n, &change);
	if (!err)
		err = rules_carry_out(c, service, &change);
	if (err) {
		why_set(why, err, "rules by source: %s", strerror(-err));
		goto out;
	}
	if (n)
		memcpy(copy, rule, n * sizeof(*copy));
	c->rules += n - s->n_rules;
	free(s->rule);
	s->rule = copy;
	s->n_rules = n;
	copy = NULL;
	choices_bit(c, service, PERCH_CHOOSE_RULES, n);
out:
	free(copy);
	free(change.put);
	free(change.gone);
	return err;
}

size_t choices_rules_count(const struct choices *c, unsigned service)
{
	return c->service[service].n_rules;
}

int choice_rules_void(struct choices *c, unsigned service, __u32 target)
{
	struct choice_service *s = &c->service[service];
	size_t done;
	int err = 0;

	for (size_t i = 0; i < s->n_rules && !err; i++) {
		struct choice_rule nowhere = s->rule[i];

		if (nowhere.target != target)
			continue;
		nowhere.target = CHOICE_VOID;
		err = rules_write(c, service, &nowhere, 1, true, &done);
		if (!err)
			s->rule[i].target = CHOICE_VOID;
	}
	return err;
}

static int rule_read(struct choices *c, const struct perch_rule_key *key, __u32 target)
{
	struct choice_service *s;
	struct choice_rule *list;

	if (key->service >= c->services || key->prefix < 32)
		return 0;
	s = &c->service[key->service];
	/* room grows at the powers of two */
	if (!(s->n_rules & (s->n_rules - 1))) {
		list = realloc(s->rule, (s->n_rules ? 2 * s->n_rules : 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->rule = list;
	}
	s->rule[s->n_rules++] = (struct choice_rule){ .source = key->source, .prefix = key->prefix - 32, .target = target };
	c->rules++;
	return 0;
}

int choice_rules_read(struct choices *c)
{
	struct rule_batch *b = malloc(sizeof(*b));
	struct perch_rule_key at;
	bool begun = false;
	int err = b ? 0 : -ENOMEM, last = 0;

	while (!err && !last) {
		__u32 count = CHOICE_SLICE;

		last = bpf_map_lookup_batch(c->m->rules_fd, begun ? &at : NULL, &at, b->key, b->target, &count, NULL);
		if (last && last != -ENOENT)
			err = last;
		for (__u32 i = 0; i < count && !err; i++)
			err = rule_read(c, &b->key[i], b->target[i]);
		begun = true;
	}
	free(b);
	for (unsigned i = 0; i < c->services && !err; i++)
		if (c->service[i].n_rules)
			qsort(c->service[i].rule, c->service[i].n_rules, sizeof(struct choice_rule), rule_order);
	return err;
}
