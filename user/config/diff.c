// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the difference between two configurations, key by key.  A service or
 * interface that one side lacks is told by what its keys say there; those that
 * say what is built in are left out, as a person would.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "leaves.h"
#include "parts.h"
#include "rules.h"

#define RULES_TOLD 100		/* above that they are counted */

struct diff {
	config_differs *fn;
	void *arg;
};

static const struct leaf *leaf_find(const struct leaves *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->leaf[i].path, path))
			return &l->leaf[i];
	return NULL;
}

/* What is there on one side only, and says more than `built_in`. */
static bool says_more(const struct leaf *leaf, const struct leaves *built_in)
{
	const struct leaf *same = built_in ? leaf_find(built_in, leaf->path) : NULL;

	return !same || strcmp(same->value, leaf->value);
}

static void diff_leaves(const struct diff *d, const struct leaves *from, const struct leaves *to,
			const struct leaves *built_in)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct leaf *was = &from->leaf[i], *is = leaf_find(to, was->path);

		if (is ? strcmp(was->value, is->value) != 0 : says_more(was, built_in))
			d->fn(d->arg, was->path, was->value, is ? is->value : NULL);
	}
	for (size_t i = 0; i < to->n; i++)
		if (!leaf_find(from, to->leaf[i].path) && says_more(&to->leaf[i], built_in))
			d->fn(d->arg, to->leaf[i].path, NULL, to->leaf[i].value);
}

static int diff_host(const struct diff *d, const struct model_config *from, const struct model_config *to)
{
	struct leaves a = {}, b = {};
	int err;

	leaves_of_host(&a, from);
	leaves_of_host(&b, to);
	err = a.err ?: b.err;
	if (!err)
		diff_leaves(d, &a, &b, NULL);
	leaves_free(&a);
	leaves_free(&b);
	return err;
}

struct rules_change {
	const struct model_rule *was, *is;	/* NULL: not there */
};

struct rules_walk {
	const struct model_rule **from, **to;
	size_t n_from, n_to;
	size_t i, j;
};

/* The next rule that differs; false at the end. */
static bool rules_next(struct rules_walk *w, struct rules_change *ret)
{
	while (w->i < w->n_from || w->j < w->n_to) {
		int order = w->i == w->n_from ? 1 : w->j == w->n_to ? -1 : rules_compare(w->from[w->i], w->to[w->j]);

		ret->was = order <= 0 ? w->from[w->i++] : NULL;
		ret->is = order >= 0 ? w->to[w->j++] : NULL;
		if (!ret->was || !ret->is || strcmp(ret->was->version, ret->is->version))
			return true;
	}
	return false;
}

static void tell_rule(const struct diff *d, const char *service, const struct rules_change *c)
{
	char path[LEAVES_PATH], text[ADDRESS_TEXT];

	snprintf(path, sizeof(path), "services.%s.rules[%s]", service, rules_format(c->was ?: c->is, text));
	d->fn(d->arg, path, c->was ? c->was->version : NULL, c->is ? c->is->version : NULL);
}

static void tell_count(const struct diff *d, const char *service, const struct rules_walk *w, const size_t n[3])
{
	char path[LEAVES_PATH], was[64], is[192];

	snprintf(path, sizeof(path), "services.%s.rules", service);
	snprintf(was, sizeof(was), "%zu rules", w->n_from);
	snprintf(is, sizeof(is), "%zu rules: %zu new, %zu gone, %zu lead elsewhere", w->n_to, n[0], n[1], n[2]);
	d->fn(d->arg, path, was, is);
}

static void diff_sorted_rules(const struct diff *d, const char *service, struct rules_walk w)
{
	size_t n[3] = {}, total = 0;
	struct rules_walk again = w;
	struct rules_change c;

	for (; rules_next(&w, &c); total++)
		n[!c.was ? 0 : !c.is ? 1 : 2]++;
	if (total > RULES_TOLD) {
		tell_count(d, service, &again, n);
		return;
	}
	while (rules_next(&again, &c))
		tell_rule(d, service, &c);
}

static int diff_rules(const struct diff *d, const char *service, const struct model_service *from,
		      const struct model_service *to)
{
	static const struct model_service none;
	struct rules_walk w = { rules_sorted(from ?: &none), rules_sorted(to ?: &none), from ? from->n_rules : 0,
				to ? to->n_rules : 0, 0, 0 };
	int err = w.from && w.to ? 0 : -ENOMEM;

	if (!err)
		diff_sorted_rules(d, service, w);
	free(w.from);
	free(w.to);
	return err;
}

/* A service that is there on both sides, or on one. */
static int diff_service(const struct diff *d, const char *name, const struct model_service *from,
			const struct model_service *to)
{
	struct leaves a = {}, b = {}, c = {};
	struct model_service built_in = {};
	int err;

	snprintf(built_in.name, sizeof(built_in.name), "%s", name);
	service_set_built_in(&built_in);
	comparison_default(&built_in);
	leaves_of_service(&c, &built_in);
	if (from)
		leaves_of_service(&a, from);
	if (to)
		leaves_of_service(&b, to);
	err = a.err ?: b.err ?: c.err;
	if (!err) {
		diff_leaves(d, &a, &b, &c);
		err = diff_rules(d, name, from, to);
	}
	leaves_free(&a);
	leaves_free(&b);
	leaves_free(&c);
	return err;
}

static const struct model_service *service_find(const struct model_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (!strcmp(c->services[i].name, name))
			return &c->services[i];
	return NULL;
}

int config_diff(const struct model_config *from, const struct model_config *to, config_differs *fn, void *arg)
{
	const struct diff d = { fn, arg };
	int err;

	err = diff_host(&d, from, to);
	for (size_t i = 0; !err && i < from->n_services; i++) {
		const struct model_service *s = &from->services[i];

		err = diff_service(&d, s->name, s, service_find(to, s->name));
	}
	for (size_t i = 0; !err && i < to->n_services; i++) {
		const struct model_service *s = &to->services[i];

		if (!service_find(from, s->name))
			err = diff_service(&d, s->name, NULL, s);
	}
	return err;
}
