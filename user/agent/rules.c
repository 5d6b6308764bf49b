// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From the configuration's rules, which name versions, to the kernel's, which
 * name slots and roles; again whenever a version enters or leaves. */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../datapath/choices.h"
#include "alarms.h"
#include "pins.h"

__u8 rules_target(const struct service *s, const char *version)
{
	int slot = slot_of_name(s->slot, version), role;

	if (slot >= 0)
		return PERCH_TARGET_SLOT | slot;
	role = role_parse(version);
	return role > PERCH_ROLE_NONE && role < PERCH_ROLE_RETIRING ? role : CHOICE_VOID;
}

const char *rules_target_name(const struct service *s, __u8 target)
{
	if (target > PERCH_ROLE_NONE && target < PERCH_ROLE_RETIRING)
		return role_name(target);
	if (target < PERCH_TARGET_SLOT || target >= PERCH_TARGET_SLOT + PERCH_SLOTS)
		return NULL;
	target -= PERCH_TARGET_SLOT;
	return s->slot[target].name[0] ? s->slot[target].name : NULL;
}

/* The rules as the kernel takes them. */
struct compiled {
	struct choice_rule *rule;
	size_t n, n_void;
	const struct model_rule *first_void;
	__u8 mark[CHOICE_MARKS];
};

static int rules_compile(const struct service *s, struct compiled *ret)
{
	const struct model_service *m = s->model;
	const char *version = NULL;	/* most lead where the one before does */
	__u8 target = CHOICE_VOID;

	ret->rule = malloc((m->n_rules + 1) * sizeof(*ret->rule));
	if (!ret->rule)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_rules; i++) {
		const struct model_rule *r = &m->rules[i];

		if (!version || strcmp(version, r->version))
			target = rules_target(s, r->version);
		version = r->version;
		if (target == CHOICE_VOID && !ret->n_void++)
			ret->first_void = r;
		if (r->by_dscp)
			ret->mark[r->dscp % CHOICE_MARKS] = target;
		else
			ret->rule[ret->n++] = (struct choice_rule){ r->source, r->prefix, target };
	}
	return 0;
}

static void rules_tell_void(struct agent *a, const struct service *s, const struct compiled *c)
{
	const struct model_rule *r = c->first_void;

	if (!r)
		alarm_clear(a, "rules", s->name);
	else
		alarm_raise(a, "rules", s->name, s->name, "bring the version back, or let the rules name another one",
			    "%zu rules lead nowhere: version '%s' (%s:%d) is not loaded; the hash decides instead", c->n_void,
			    r->version, r->file ? r->file : "perch.yaml", r->line);
}

int rules_place(struct agent *a, struct service *s, char why[AGENT_WHY])
{
	struct compiled c = { 0 };
	bool moved = false;
	char detail[WHY] = "";
	int r = pins_leave(a, s, &moved);

	if (!r && !moved && s->ruled == s->model)
		return 0;
	if (!r)
		r = rules_compile(s, &c);
	if (!r)
		r = choices_rules(a->choices, s->id, c.rule, c.n, detail);
	if (!r) {
		choices_marks(a->choices, s->id, c.mark);
		s->ruled = s->model;
		rules_tell_void(a, s, &c);
	} else {
		snprintf(why, AGENT_WHY, "%s: rules: %s", s->name, detail[0] ? detail : strerror(-r));
	}
	free(c.rule);
	return r;
}

/* Do the first `bits` of both agree? */
static bool prefix_holds(const struct perch_address *prefix, __u32 bits, const struct perch_address *a)
{
	for (__u32 word = 0; bits && word < 4; word++) {
		__u32 here = bits < 32 ? bits : 32;

		if ((ntohl(prefix->word[word]) ^ ntohl(a->word[word])) >> (32 - here))
			return false;
		bits -= here;
	}
	return true;
}

const struct model_rule *rules_match(const struct service *s, const struct perch_address *source)
{
	const struct model_rule *best = NULL;

	for (size_t i = 0; i < s->model->n_rules; i++) {
		const struct model_rule *r = &s->model->rules[i];

		if (!r->by_dscp && (!best || r->prefix > best->prefix) && prefix_holds(&r->source, r->prefix, source))
			best = r;
	}
	return best;
}

const struct model_rule *rules_match_dscp(const struct service *s, __u8 dscp)
{
	for (size_t i = 0; i < s->model->n_rules; i++)
		if (s->model->rules[i].by_dscp && s->model->rules[i].dscp == dscp)
			return &s->model->rules[i];
	return NULL;
}
