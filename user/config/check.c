// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what holds between the parts of a configuration: names that are there
 * once, addresses that mean one thing, IP families that meet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "parts.h"
#include "values.h"

static const char *const family_names[PERCH_FAMILIES] = { [PERCH_IPV4] = "IPv4", [PERCH_IPV6] = "IPv6" };

static int name_twice(struct reader *r, int line, const char *name, int first)
{
	return reader_fail_line(r, line, "'%s' is there twice, first on line %d; rename or drop one", name, first);
}

static int check_interfaces(struct reader *r, const struct model_config *c)
{
	if (c->n_services && !c->n_interfaces)
		return reader_fail_at(r, c->services[0].line, "interfaces",
				      "none is given, so no packet would reach a service; write interfaces: [{ name: eth0 }]");
	for (size_t i = 0; i < c->n_interfaces; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(c->interfaces[i].name, c->interfaces[j].name))
				continue;
			snprintf(r->path, READER_PATH, "interfaces[%zu].name", i);
			return name_twice(r, c->interfaces[i].line, c->interfaces[i].name, c->interfaces[j].line);
		}
	}
	return 0;
}

static int check_version_names(struct reader *r, const struct model_service *s, size_t index)
{
	for (size_t i = 0; i < s->n_versions; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(s->versions[i].name, s->versions[j].name))
				continue;
			snprintf(r->path, READER_PATH, "services[%zu].versions[%zu].name", index, i);
			return name_twice(r, s->versions[i].line, s->versions[i].name, s->versions[j].line);
		}
	}
	return 0;
}

static int check_service_names(struct reader *r, const struct model_config *c)
{
	for (size_t i = 0; i < c->n_services; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(c->services[i].name, c->services[j].name))
				continue;
			snprintf(r->path, READER_PATH, "services[%zu].name", i);
			return name_twice(r, c->services[i].line, c->services[i].name, c->services[j].line);
		}
		if (check_version_names(r, &c->services[i], i))
			return -EINVAL;
	}
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct reader_place *x = a, *y = b;
	int order = memcmp(x->endpoint, y->endpoint, sizeof(*x->endpoint));

	if (!order)
		order = x->line - y->line;
	return order ?: strcmp(x->path, y->path);
}

/* Listeners and doors share one table in the kernel.  Sorts the places. */
static int check_endpoints(struct reader *r)
{
	char text[ADDRESS_TEXT];

	if (r->n_places > PERCH_LISTENERS - 1)
		return reader_fail_line(r, r->places[PERCH_LISTENERS - 1].line,
					"is listener number %d; at most %d are possible", PERCH_LISTENERS,
					PERCH_LISTENERS - 1);
	if (r->n_places)
		qsort(r->places, r->n_places, sizeof(*r->places), compare_places);
	for (size_t i = 1; i < r->n_places; i++) {
		const struct reader_place *p = &r->places[i], *first = p - 1;

		if (memcmp(p->endpoint, first->endpoint, sizeof(*p->endpoint)))
			continue;
		snprintf(r->path, READER_PATH, "%s", p->path);
		return reader_fail_line(r, p->line,
					"%s is used already by %s on line %d; an address leads to one place",
					endpoint_format(p->endpoint, text), first->path, first->line);
	}
	return 0;
}

static const struct reader_place *find_place(const struct reader *r, const struct perch_endpoint *e)
{
	size_t low = 0, high = r->n_places;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(e, r->places[middle].endpoint, sizeof(*e));

		if (!order)
			return &r->places[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The first endpoint of a family that leads to a version: of the service's
 * listeners and of the version's own doors.  NULL without one. */
static const struct perch_endpoint *endpoint_of_family(const struct model_service *s, const struct model_version *v,
						       enum perch_family family)
{
	for (size_t i = 0; i < s->n_listen; i++)
		if (address_family(&s->listen[i].address) == family)
			return &s->listen[i];
	for (size_t i = 0; i < v->n_doors; i++)
		if (address_family(&v->doors[i].address) == family)
			return &v->doors[i];
	return NULL;
}

/* Where a backend's packets would go if they came to `from`: is that ours? */
static const struct reader_place *leads_to_place(const struct reader *r, const struct model_backend *b,
						 const struct perch_endpoint *from)
{
	struct perch_endpoint to = *from;

	if (address_family(&from->address) != address_family(&b->address))
		return NULL;
	to.address = b->address;
	if (b->port)
		to.port = b->port;
	return find_place(r, &to);
}

static const struct reader_place *backend_place(const struct reader *r, const struct model_service *s,
						const struct model_version *v, const struct model_backend *b)
{
	const struct reader_place *found = NULL;

	for (size_t i = 0; !found && i < s->n_listen; i++)
		found = leads_to_place(r, b, &s->listen[i]);
	for (size_t i = 0; !found && i < v->n_doors; i++)
		found = leads_to_place(r, b, &v->doors[i]);
	return found;
}

static int check_backend(struct reader *r, const struct model_service *s, const struct model_version *v, size_t i)
{
	const struct model_backend *b = &v->backends[i];
	enum perch_family family = address_family(&b->address);
	const struct reader_place *place;
	char text[ADDRESS_TEXT];

	address_port_format(&b->address, b->port, text);
	if (!endpoint_of_family(s, v, family))
		return reader_fail_line(r, b->line,
					"%s is %s, and no listener or door of that family leads here; add one or take it out: nat does not translate between families",
					text, family_names[family]);
	place = backend_place(r, s, v, b);
	if (place)
		return reader_fail_line(r, b->line,
					"%s is an address that perch splits (%s, line %d); give the server's own",
					text, place->path, place->line);
	for (size_t j = 0; j < i; j++)
		if (v->backends[j].port == b->port &&
		    !memcmp(&v->backends[j].address, &b->address, sizeof(b->address)))
			return reader_fail_line(r, b->line,
						"%s is there twice, first on line %d; give one a weight instead",
						text, v->backends[j].line);
	return 0;
}

static bool has_backend(const struct model_version *v, enum perch_family family)
{
	for (size_t i = 0; i < v->n_backends; i++)
		if (address_family(&v->backends[i].address) == family)
			return true;
	return false;
}

/* Whoever reaches a version must find a backend there: nothing translates
 * between the families.  The reader is at the version's backends. */
static int check_families(struct reader *r, const struct model_service *s, const struct model_version *v)
{
	for (int family = 0; family < PERCH_FAMILIES; family++) {
		const struct perch_endpoint *e = endpoint_of_family(s, v, family);
		const struct reader_place *place;
		char text[ADDRESS_TEXT];

		if (!e || has_backend(v, family))
			continue;
		place = find_place(r, e);
		return reader_fail_line(r, v->backends[0].line,
					"none is %s, and %s leads here (%s, line %d); add one: nat does not translate between families",
					family_names[family], endpoint_format(e, text), place->path, place->line);
	}
	return 0;
}

static int check_version(struct reader *r, const struct model_service *s, const struct model_version *v, size_t *total)
{
	size_t back = reader_enter(r, "backends");

	for (size_t i = 0; i < v->n_backends; i++) {
		size_t list = reader_enter_element(r, i);

		if (++*total > PERCH_BACKENDS - 1)
			return reader_fail_line(r, v->backends[i].line, "is backend number %zu; at most %d are possible",
						*total, PERCH_BACKENDS - 1);
		if (check_backend(r, s, v, i))
			return -EINVAL;
		reader_leave(r, list);
	}
	if (check_families(r, s, v))
		return -EINVAL;
	reader_leave(r, back);
	return 0;
}

static int check_versions(struct reader *r, const struct model_config *c)
{
	size_t total = 0;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct model_service *s = &c->services[i];

		for (size_t j = 0; j < s->n_versions; j++) {
			snprintf(r->path, READER_PATH, "services[%zu].versions[%zu]", i, j);
			if (check_version(r, s, &s->versions[j], &total))
				return -EINVAL;
		}
	}
	return 0;
}

int check_config(struct reader *r, const struct model_config *c)
{
	int err;

	err = check_interfaces(r, c);
	if (!err)
		err = check_service_names(r, c);
	if (!err)
		err = check_endpoints(r);
	return err ?: check_versions(r, c);
}

int config_check_new_service(const struct model_config *c, const struct model_service *s, char error[CONFIG_ERROR])
{
	struct reader r = { .name = s->file, .error = error };
	const struct model_version *stable = NULL;

	for (size_t i = 0; i < s->n_versions; i++) {
		const struct model_version *v = &s->versions[i];

		if (v->role != PERCH_ROLE_STABLE)
			continue;
		if (stable) {
			snprintf(r.path, READER_PATH, "services[%td].versions[%zu].role", s - c->services, i);
			return reader_fail_line(&r, v->line,
						"version '%s' is stable already; a new service has one stable version",
						stable->name);
		}
		stable = v;
	}
	if (stable)
		return 0;
	snprintf(r.path, READER_PATH, "services[%td].versions", s - c->services);
	return reader_fail_line(&r, s->versions[0].line,
				"no version has role stable; a new service needs one, which takes the traffic at first");
}
