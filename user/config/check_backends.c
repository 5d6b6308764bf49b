// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns where the backends of a version may be: in the families that lead to
 * it, and at no address that perch splits itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "parts.h"

static const char *const family_names[PERCH_FAMILIES] = { [PERCH_IPV4] = "IPv4", [PERCH_IPV6] = "IPv6" };

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

/* The first of the sorted places that is not below the endpoint. */
static size_t first_place(const struct reader *r, const struct perch_endpoint *e)
{
	size_t low = 0, high = r->n_places;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(r->places[middle].endpoint, e, sizeof(*e)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct reader_place *find_place(const struct reader *r, const struct perch_endpoint *e)
{
	size_t i = first_place(r, e);

	return i < r->n_places && !memcmp(r->places[i].endpoint, e, sizeof(*e)) ? &r->places[i] : NULL;
}

/* What splits packets to this address, port and protocol: a listener or door
 * of that port, else one with every port that does not leave it alone. */
static const struct reader_place *find_split(const struct reader *r, const struct perch_endpoint *e)
{
	const struct reader_place *place = find_place(r, e);
	struct perch_endpoint every = *e;

	if (place || !e->port)
		return place;
	every.port = 0;
	place = find_place(r, &every);
	return place && !exclude_has(&r->config->services[place->service], ntohs(e->port)) ? place : NULL;
}

/* A backend without a port behind every port gets packets to all ports but the
 * excluded ones: what splits any of them? */
static const struct reader_place *find_split_of_any(const struct reader *r, const struct model_service *s,
						    const struct perch_endpoint *e)
{
	for (size_t i = first_place(r, e); i < r->n_places; i++) {
		const struct perch_endpoint *other = r->places[i].endpoint;

		if (memcmp(&other->address, &e->address, sizeof(e->address)))
			break;
		if (other->protocol == e->protocol && (!other->port || !exclude_has(s, ntohs(other->port))))
			return &r->places[i];
	}
	return NULL;
}

/* Where a backend's packets would go if they came to `from`: is that ours? */
static const struct reader_place *leads_to_place(const struct reader *r, const struct model_service *s,
						 const struct model_backend *b, const struct perch_endpoint *from)
{
	struct perch_endpoint to = *from;

	if (address_family(&from->address) != address_family(&b->address))
		return NULL;
	to.address = b->address;
	if (b->port)
		to.port = b->port;
	return to.port ? find_split(r, &to) : find_split_of_any(r, s, &to);
}

static const struct reader_place *backend_place(const struct reader *r, const struct model_service *s,
						const struct model_version *v, const struct model_backend *b)
{
	const struct reader_place *found = NULL;

	for (size_t i = 0; !found && i < s->n_listen; i++)
		found = leads_to_place(r, s, b, &s->listen[i]);
	for (size_t i = 0; !found && i < v->n_doors; i++)
		found = leads_to_place(r, s, b, &v->doors[i]);
	return found;
}

/* "services[1].listen[0], line 7": from where the reader is. */
#define PLACE_TEXT (READER_PATH + 192)

static const char *format_place(const struct reader *r, const struct reader_place *p, char out[PLACE_TEXT])
{
	if (strcmp(p->file, r->name))
		snprintf(out, PLACE_TEXT, "%s, line %d of %.140s", p->path, p->line, p->file);
	else
		snprintf(out, PLACE_TEXT, "%s, line %d", p->path, p->line);
	return out;
}

static int is_split(struct reader *r, const struct model_backend *b, const struct reader_place *place)
{
	char text[ADDRESS_TEXT], where[PLACE_TEXT];

	address_port_format(&b->address, b->port, text);
	format_place(r, place, where);
	if (place->endpoint->port)
		return reader_fail_line(r, b->line, "%s is an address that perch splits (%s); give the server's own",
					text, where);
	return reader_fail_line(r, b->line,
				"%s is an address whose every port perch splits (%s); give the server's own, or exclude: [%s] there",
				text, where, b->port ? strrchr(text, ':') + 1 : "PORT");
}

static int check_backend(struct reader *r, const struct model_service *s, const struct model_version *v, size_t i)
{
	const struct model_backend *b = &v->backends[i];
	enum perch_family family = address_family(&b->address);
	const struct reader_place *place;
	char text[ADDRESS_TEXT];

	address_port_format(&b->address, b->port, text);
	if (!perch_tunnels(s->forward) && !endpoint_of_family(s, v, family))
		return reader_fail_line(r, b->line,
					"%s is %s, and no listener or door of that family leads here; add one or take it out: %s does not translate between families",
					text, family_names[family], config_forward(s->forward));
	place = backend_place(r, s, v, b);
	if (place)
		return is_split(r, b, place);
	if (forward_check_backend(r, s, v, b))
		return -EINVAL;
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
 * between the families, tunnels alone carry one inside the other.  The reader
 * is at the version's backends. */
static int check_families(struct reader *r, const struct model_service *s, const struct model_version *v)
{
	for (int family = 0; family < PERCH_FAMILIES; family++) {
		const struct perch_endpoint *e = endpoint_of_family(s, v, family);
		const struct reader_place *place;
		char text[ADDRESS_TEXT], where[PLACE_TEXT];

		if (!e || has_backend(v, family) || perch_tunnels(s->forward))
			continue;
		place = find_place(r, e);
		return reader_fail_line(r, v->backends[0].line,
					"none is %s, and %s leads here (%s); add one: %s does not translate between families",
					family_names[family], endpoint_format(e, text), format_place(r, place, where),
					config_forward(s->forward));
	}
	return 0;
}

static int check_version(struct reader *r, const struct model_service *s, size_t index, size_t *total)
{
	const struct model_version *v = &s->versions[index];

	for (size_t i = 0; i < v->n_backends; i++) {
		check_at(r, s, "versions[%zu].backends[%zu]", index, i);
		if (++*total > PERCH_BACKENDS_MOST - 1)
			return reader_fail_line(r, v->backends[i].line, "is backend number %zu; at most %d are possible",
						*total, PERCH_BACKENDS_MOST - 1);
		if (check_backend(r, s, v, i))
			return -EINVAL;
	}
	check_at(r, s, "versions[%zu].backends", index);
	return check_families(r, s, v);
}

int check_backends(struct reader *r, const struct model_config *c)
{
	size_t total = 0;

	for (size_t i = 0; i < c->n_services; i++)
		for (size_t j = 0; j < c->services[i].n_versions; j++)
			if (check_version(r, &c->services[i], j, &total))
				return -EINVAL;
	return 0;
}
