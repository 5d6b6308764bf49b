// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `exclude` of a service: the ports that its listeners with port
 * 0 (every port) leave alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"

#define PORT_MOST 65535

static int read_excluded(struct reader *r, yaml_node_t *node, void *element)
{
	static const struct schema_key range = { .type = SCHEMA_COUNT, .size = sizeof(__u32), .min = 1, .max = PORT_MOST };
	__u16 *port = element;
	__u32 n;
	int err = schema_field(r, node, &range, &n);

	if (!err)
		*port = n;
	return err;
}

static const struct schema_list exclude_list = {
	.what = "ports", .size = sizeof(__u16), .max = PORT_MOST, .read = read_excluded,
};
static const struct schema_key exclude_key = {
	.type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_service, exclude), .list = &exclude_list,
};

int exclude_read(struct reader *r, yaml_node_t *node, void *service)
{
	struct model_service *s = service;
	bool seen[PORT_MOST + 1] = { false };
	int err;

	free(s->exclude);	/* that of the defaults */
	s->exclude = NULL;
	s->n_exclude = 0;
	err = schema_field(r, node, &exclude_key, s);
	if (err)
		return err;
	for (size_t i = 0; i < s->n_exclude; i++) {
		if (seen[s->exclude[i]])
			return reader_fail(r, reader_node(r, node->data.sequence.items.start[i]),
					   "%u is there twice; keep one", s->exclude[i]);
		seen[s->exclude[i]] = true;
	}
	return 0;
}

bool exclude_has(const struct model_service *s, __u16 port)
{
	for (size_t i = 0; i < s->n_exclude; i++)
		if (s->exclude[i] == port)
			return true;
	return false;
}

static const struct perch_endpoint *any_port(const struct model_service *s, const struct perch_endpoint *like)
{
	for (size_t i = 0; i < s->n_listen; i++)
		if (!s->listen[i].port && (!like || (s->listen[i].protocol == like->protocol &&
		    !memcmp(&s->listen[i].address, &like->address, sizeof(like->address)))))
			return &s->listen[i];
	return NULL;
}

int exclude_check(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	char text[ADDRESS_TEXT];

	if (!s->n_exclude)
		return 0;
	if (!any_port(s, NULL)) {
		if (node)
			return reader_fail_at(r, reader_line(node), "exclude",
					      "no listener has port 0 (every port); take it out, or listen like 192.0.2.10:0/tcp");
		s->n_exclude = 0;	/* the defaults' is for others */
	}
	for (size_t i = 0; i < s->n_listen && node; i++) {
		const struct perch_endpoint *e = &s->listen[i];

		if (e->port && exclude_has(s, ntohs(e->port)) && any_port(s, e))
			return reader_fail_at(r, reader_line(node), "exclude",
					      "%u is a listener of its own here (%s); take it out here or there",
					      ntohs(e->port), endpoint_format(e, text));
	}
	return 0;
}
