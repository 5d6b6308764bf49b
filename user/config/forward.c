// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns how a service's packets get to its backends: the key `tunnel`, and what
 * each way asks of the other keys.  Ways that leave packets as they are
 * translate no port, and see no replies.
 */
#include <errno.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

static const char *const words[] = {
	[PERCH_NAT] = "nat", [PERCH_FULLNAT] = "fullnat", [PERCH_DSR] = "dsr", [PERCH_IPIP] = "ipip", [PERCH_GUE] = "gue",
};

const char *config_forward(enum perch_forward forward)
{
	return words[forward];
}

static int read_source(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	static const char what[] = "an address of this host, like 10.0.0.9 or \"2001:db8::9\"";
	struct perch_address address;
	enum perch_family family;
	const char *text, *refused;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (address_parse(text, &address))
		return schema_misread(r, node, what);
	refused = endpoint_refused(&address);
	if (refused)
		return reader_fail(r, node, "%s %s", value_quote(text).text, refused);
	family = address_family(&address);
	if (!address_is_none(&s->tunnel[family]))
		return reader_fail(r, node, "%s is the second of its family; a tunnel has one source for IPv4 and one for IPv6",
				   value_quote(text).text);
	s->tunnel[family] = address;
	return 0;
}

static int read_sources(struct reader *r, yaml_node_t *node, void *service)
{
	size_t n;

	if (node->type != YAML_SEQUENCE_NODE)
		return read_source(r, node, service);
	n = node->data.sequence.items.top - node->data.sequence.items.start;
	for (size_t i = 0; i < n; i++) {
		size_t back = reader_enter_element(r, i);

		if (read_source(r, reader_node(r, node->data.sequence.items.start[i]), service))
			return -EINVAL;
		reader_leave(r, back);
	}
	return 0;
}

static const struct schema_key tunnel_keys[] = { { .name = "source", .read = read_sources }, {} };
static const struct schema tunnel_schema = { "a tunnel", tunnel_keys };

int tunnel_read(struct reader *r, yaml_node_t *node, void *service)
{
	struct model_service *s = service;

	memset(s->tunnel, 0, sizeof(s->tunnel));	/* those of the defaults */
	return schema_read(r, node, &tunnel_schema, s);
}

/* Nobody sees what these gates look at. */
static int check_gates(struct reader *r, bool own, const struct model_service *s)
{
	const struct model_gate *g = s->rollout.gate;

	if (!s->rollout.n_gates && !model_compares(&s->rollout.compare))
		return 0;
	if (own && !s->rollout.n_gates)
		return reader_fail_at(r, s->line, "rollout.gates",
				      "forward: %s sees no replies to compare by; take the gates out, and move its weights by hand",
				      words[s->forward]);
	if (own)
		return reader_fail_at(r, g->line, "rollout.gates[0]",
				      "%s is blind with forward: %s, whose replies do not pass this host; take the gate out, and move its weights by hand",
				      g->name, words[s->forward]);
	return reader_fail_at(r, s->line, "rollout.gates",
			      "those of defaults are blind with forward: %s, whose replies do not pass this host; write rollout: { gates: [] } here",
			      words[s->forward]);
}

int forward_check(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	yaml_node_t *tunnel = schema_value(r, node, "tunnel"), *rollout = schema_value(r, node, "rollout");

	if (tunnel && !perch_tunnels(s->forward))
		return reader_fail_at(r, reader_line(tunnel), "tunnel", "is for forward: ipip or gue, and this is %s; take it out",
				      words[s->forward]);
	if (!perch_tunnels(s->forward))
		memset(s->tunnel, 0, sizeof(s->tunnel));	/* the defaults' are for others */
	return perch_one_sided(s->forward) ? check_gates(r, rollout && schema_value(r, rollout, "gates"), s) : 0;
}

/* The first of these that leads to another port than the backend's. */
static const struct perch_endpoint *other_port(const struct perch_endpoint *e, size_t n, __be16 port)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].port != port)
			return &e[i];
	return NULL;
}

int forward_check_backend(struct reader *r, const struct model_service *s, const struct model_version *v,
			  const struct model_backend *b)
{
	char text[ADDRESS_TEXT], from[ADDRESS_TEXT];
	const struct perch_endpoint *e;

	if (!perch_one_sided(s->forward) || !b->port)
		return 0;
	e = other_port(s->listen, s->n_listen, b->port) ?: other_port(v->doors, v->n_doors, b->port);
	if (!e)
		return 0;
	return reader_fail_line(r, b->line,
				"%s has another port than %s, and forward: %s changes none; let the server listen there, and leave the port out here",
				address_port_format(&b->address, b->port, text), endpoint_format(e, from), words[s->forward]);
}
