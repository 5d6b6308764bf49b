// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `fullnat`: the addresses and ports that clients become on their
 * way to the backends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "parts.h"
#include "values.h"

#define PORT_MOST 65535

static int read_source(struct reader *r, yaml_node_t *node, void *element)
{
	static const char what[] = "an address that leads back to this host, like 10.0.0.9 or \"2001:db8::9\"";
	struct perch_address *address = element;
	const char *text, *refused;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (address_parse(text, address))
		return schema_misread(r, node, what);
	refused = endpoint_refused(address);
	return refused ? reader_fail(r, node, "%s %s", value_quote(text).text, refused) : 0;
}

static int read_ports(struct reader *r, yaml_node_t *node, void *service)
{
	static const char what[] = "FIRST-LAST, two ports from 1 to 65535, like 61000-65000";
	struct model_service *s = service;
	unsigned long long first, last;
	const char *text, *end;
	__u64 n[2];

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (value_decimal(text, 0, &end, &n[0]) || *end != '-' || value_decimal_all(end + 1, 0, &n[1]) || !n[0] ||
	    n[0] > PORT_MOST || !n[1] || n[1] > PORT_MOST)
		return schema_misread(r, node, what);
	first = n[0];
	last = n[1];
	if (first > last)
		return reader_fail(r, node, "%llu is above %llu; write %llu-%llu", first, last, last, first);
	s->source_first = first;
	s->source_last = last;
	return 0;
}

static const struct schema_list source_list = {
	.what = "sources", .size = sizeof(struct perch_address), .min = 1, .max = PERCH_SOURCES, .inlined = true,
	.read = read_source,
};
static const struct schema_key fullnat_keys[] = {
	{ .name = "sources", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_service, sources), .list = &source_list },
	{ .name = "ports", .read = read_ports },
	{}
};
static const struct schema fullnat_schema = { "fullnat", fullnat_keys };

static void fullnat_clear(struct model_service *s)
{
	memset(s->sources, 0, sizeof(s->sources));
	s->n_sources = 0;
	s->source_first = s->source_last = 0;
}

int fullnat_read(struct reader *r, yaml_node_t *node, void *service)
{
	fullnat_clear(service);	/* what the defaults said */
	return schema_read(r, node, &fullnat_schema, service);
}

static bool has_family(const struct model_service *s, enum perch_family family)
{
	for (size_t i = 0; i < s->n_sources; i++)
		if (address_family(&s->sources[i]) == family)
			return true;
	return false;
}

static int check_twice(struct reader *r, int line, const struct model_service *s)
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < s->n_sources; i++)
		for (size_t k = 0; k < i; k++)
			if (!memcmp(&s->sources[i], &s->sources[k], sizeof(s->sources[i])))
				return reader_fail_at(r, line, "fullnat.sources", "%s is there twice; keep one",
						      address_format(&s->sources[i], text));
	return 0;
}

int fullnat_check(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	char text[ADDRESS_TEXT];
	int err;

	if (s->forward != PERCH_FULLNAT) {
		if (node)
			return reader_fail_at(r, reader_line(node), "fullnat", "is for forward: fullnat, and this is %s; take it out",
					      config_forward(s->forward));
		fullnat_clear(s);	/* the defaults' is for others */
		return 0;
	}
	err = check_twice(r, node ? reader_line(node) : s->line, s);
	for (size_t i = 0; i < s->n_listen && s->n_sources && !err; i++) {
		enum perch_family family = address_family(&s->listen[i].address);

		if (!has_family(s, family))
			err = reader_fail_at(r, node ? reader_line(node) : s->line, "fullnat.sources",
					     "none is %s, as the clients of %s are; name one, or leave the key out",
					     family == PERCH_IPV4 ? "IPv4" : "IPv6", endpoint_format(&s->listen[i], text));
	}
	return err;
}
