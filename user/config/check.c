// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what holds between the parts of a configuration: names that are there
 * once, addresses that lead to one place, numbers that fit; where backends may
 * be is in check_backends.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "parts.h"
#include "values.h"

void check_at(struct reader *r, const struct model_service *s, const char *format, ...)
{
	size_t at = strlen(s->at);
	va_list arguments;

	r->name = s->origin;
	snprintf(r->path, READER_PATH, "%s", s->at);
	va_start(arguments, format);
	vsnprintf(r->path + at, READER_PATH - at, format, arguments);
	va_end(arguments);
}

/* "line 4", "line 4 of services.d/web.yaml": from where the reader is. */
static const char *first_place(const struct reader *r, const char *origin, int line, char out[CONFIG_ERROR])
{
	if (strcmp(origin, r->name))
		snprintf(out, CONFIG_ERROR, "line %d of %.160s", line, origin);
	else
		snprintf(out, CONFIG_ERROR, "line %d", line);
	return out;
}

static int check_version_names(struct reader *r, const struct model_service *s)
{
	for (size_t i = 0; i < s->n_versions; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(s->versions[i].name, s->versions[j].name))
				continue;
			check_at(r, s, "versions[%zu].name", i);
			return reader_fail_line(r, s->versions[i].line,
						"'%s' is there twice, first on line %d; rename or drop one",
						s->versions[i].name, s->versions[j].line);
		}
	}
	return 0;
}

static int service_twice(struct reader *r, const struct model_service *s, const struct model_service *first)
{
	char place[CONFIG_ERROR];

	/* what was there first is the one that was made through the API */
	if (!s->file && first->file) {
		check_at(r, first, "name");
		return reader_fail_line(r, first->line,
					"'%s' was made by `perch service apply` and belongs to the API; rename it here, or `perch service delete %s` first",
					s->name, s->name);
	}
	check_at(r, s, "name");
	return reader_fail_line(r, s->line, "'%s' is there twice, first on %s; rename or drop one", s->name,
				first_place(r, first->origin, first->line, place));
}

static int compare_names(const void *a, const void *b)
{
	const struct model_service *x = *(const struct model_service *const *)a;
	const struct model_service *y = *(const struct model_service *const *)b;

	return strcmp(x->name, y->name) ?: (x > y) - (x < y);
}

static int check_service_names(struct reader *r, const struct model_config *c)
{
	const struct model_service **sorted = calloc(c->n_services ?: 1, sizeof(*sorted));
	int err = 0;

	if (!sorted)
		return reader_no_memory(r);
	for (size_t i = 0; i < c->n_services; i++)
		sorted[i] = &c->services[i];
	qsort(sorted, c->n_services, sizeof(*sorted), compare_names);
	for (size_t i = 1; !err && i < c->n_services; i++)
		if (!strcmp(sorted[i]->name, sorted[i - 1]->name))
			err = service_twice(r, sorted[i], sorted[i - 1]);
	free(sorted);
	for (size_t i = 0; !err && i < c->n_services; i++)
		err = check_version_names(r, &c->services[i]);
	return err;
}

/* What the kernel has room for, over all services. */
static int check_sizes(struct reader *r, const struct model_config *c)
{
	size_t rules = 0;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct model_service *s = &c->services[i];

		rules += s->n_rules;
		if (i >= PERCH_SERVICES_MOST) {
			check_at(r, s, "name");
			return reader_fail_line(r, s->line, "is service number %zu; at most %d are possible", i + 1,
						PERCH_SERVICES_MOST);
		}
		if (rules > PERCH_RULES) {
			check_at(r, s, "rules");
			return reader_fail_line(r, s->line, "makes it %zu rules; at most %d are possible", rules,
						PERCH_RULES);
		}
	}
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct reader_place *x = a, *y = b;
	int order = memcmp(x->endpoint, y->endpoint, sizeof(*x->endpoint));

	return order ?: (x->order > y->order) - (x->order < y->order);
}

/* Listeners and doors share one table in the kernel.  Sorts the places. */
static int check_endpoints(struct reader *r)
{
	char text[ADDRESS_TEXT], line[CONFIG_ERROR];

	if (r->n_places > PERCH_LISTENERS_MOST - 1) {
		r->name = r->places[PERCH_LISTENERS_MOST - 1].file;
		r->path[0] = 0;
		return reader_fail_line(r, r->places[PERCH_LISTENERS_MOST - 1].line,
					"is listener number %d; at most %d are possible", PERCH_LISTENERS_MOST,
					PERCH_LISTENERS_MOST - 1);
	}
	if (r->n_places)
		qsort(r->places, r->n_places, sizeof(*r->places), compare_places);
	for (size_t i = 1; i < r->n_places; i++) {
		const struct reader_place *p = &r->places[i], *first = p - 1;

		if (memcmp(p->endpoint, first->endpoint, sizeof(*p->endpoint)))
			continue;
		r->name = p->file;
		snprintf(r->path, READER_PATH, "%s", p->path);
		return reader_fail_line(r, p->line, "%s is used already by %s on %s; an address leads to one place",
					endpoint_format(p->endpoint, text), first->path,
					first_place(r, first->file, first->line, line));
	}
	return 0;
}

int check_services(struct reader *r, const struct model_config *c)
{
	int err;

	err = check_sizes(r, c);
	if (!err)
		err = check_service_names(r, c);
	if (!err)
		err = check_endpoints(r);
	return err ?: check_fragments(r, c) ?: check_backends(r, c);
}

int check_config(struct reader *r, const struct model_config *c)
{
	return interfaces_check(r, c) ?: check_services(r, c);
}

int config_check_new_service(const struct model_service *s, char error[CONFIG_ERROR])
{
	struct reader r = { .error = error };
	const struct model_version *stable = NULL;

	for (size_t i = 0; i < s->n_versions; i++) {
		const struct model_version *v = &s->versions[i];

		if (v->role != PERCH_ROLE_STABLE)
			continue;
		if (stable) {
			check_at(&r, s, "versions[%zu].role", i);
			return reader_fail_line(&r, v->line,
						"version '%s' is stable already; a new service has one stable version",
						stable->name);
		}
		stable = v;
	}
	if (stable)
		return 0;
	check_at(&r, s, "versions");
	return reader_fail_line(&r, s->versions[0].line,
				"no version has role stable; a new service needs one, which takes the traffic at first");
}
