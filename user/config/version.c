// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns a version of a service: its name and role, its backends, doors and
 * labels, as they are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

#define LABELS 32
#define LABEL_LENGTH 255
#define WEIGHT_MOST 256

static const struct schema_choice roles[] = {
	SCHEMA_WORD("stable", PERCH_ROLE_STABLE), SCHEMA_WORD("canary", PERCH_ROLE_CANARY),
	SCHEMA_WORD("baseline", PERCH_ROLE_BASELINE), {}
};

/* Commands take a name or a role where a version is meant. */
static int read_version_name(struct reader *r, yaml_node_t *node, void *field)
{
	int err = name_read(r, node, field);

	if (err)
		return err;
	if (value_is_role(field))
		return reader_fail(r, node, "'%s' is a role, which moves on; name the release, like v1.4.2",
				   (char *)field);
	return 0;
}

static int read_backend_address(struct reader *r, yaml_node_t *node, void *backend)
{
	static const char what[] =
		"ADDRESS or ADDRESS:PORT, like 10.0.1.2, 10.0.1.2:8080 or \"[2001:db8::2]:8080\" in quotes";
	struct model_backend *b = backend;
	const char *text, *refused;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (address_port_parse(text, &b->address, &b->port))
		return schema_misread(r, node, what);
	/* fd00::1:80 is an address and looks like one with a port */
	if (!address_is_v4(&b->address) && *text != '[')
		return reader_fail(r, node,
				   "%s could be an address or an address with a port; write \"[ADDRESS]\" or "
				   "\"[ADDRESS]:PORT\", in quotes", value_quote(text).text);
	refused = endpoint_refused(&b->address);
	return refused ? reader_fail(r, node, "%s %s", value_quote(text).text, refused) : 0;
}

static const struct schema_key backend_keys[] = {
	{ .name = "address", .required = true, .read = read_backend_address },
	{ .name = "weight", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_backend, weight),
	  .min = 1, .max = WEIGHT_MOST },
	{}
};
static const struct schema backend_schema = { "a backend", backend_keys };

static int read_backend(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_backend *b = element;

	b->weight = 1;
	b->line = reader_line(node);
	if (node->type == YAML_MAPPING_NODE)
		return schema_read(r, node, &backend_schema, b);
	return read_backend_address(r, node, b);
}

static int read_label(struct reader *r, const yaml_node_pair_t *pair, const struct model_version *v,
		      struct model_label *ret)
{
	yaml_node_t *key = reader_node(r, pair->key), *value = reader_node(r, pair->value);
	char name[PERCH_NAME_LEN];
	const char *text;
	size_t back;
	int err;

	err = name_read(r, key, name);
	if (err)
		return err;
	for (size_t i = 0; i < v->n_labels; i++)
		if (v->labels[i].key && !strcmp(v->labels[i].key, name))
			return reader_fail_at(r, reader_line(key), name, "is given twice; keep one");
	back = reader_enter(r, name);
	if (schema_text(r, value, "a text", &text))
		return -EINVAL;
	if (strlen(text) > LABEL_LENGTH)
		return reader_fail(r, value, "is %zu bytes long; at most %d are kept", strlen(text), LABEL_LENGTH);
	reader_leave(r, back);
	ret->key = strdup(name);
	ret->value = strdup(text);
	return ret->key && ret->value ? 0 : reader_no_memory(r);
}

static int read_labels(struct reader *r, yaml_node_t *node, void *version)
{
	struct model_version *v = version;
	yaml_node_pair_t *pair, *end;
	int err = 0;

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(r, node, "is not a mapping; labels are written { commit: ab12 }");
	end = node->data.mapping.pairs.top;
	if (end - node->data.mapping.pairs.start > LABELS)
		return reader_fail(r, node, "has %td labels; at most %d are kept",
				   end - node->data.mapping.pairs.start, LABELS);
	v->labels = calloc(LABELS, sizeof(*v->labels));
	if (!v->labels)
		return reader_no_memory(r);
	for (pair = node->data.mapping.pairs.start; !err && pair < end; pair++) {
		err = read_label(r, pair, v, &v->labels[v->n_labels]);
		v->n_labels++;
	}
	return err;
}

static const struct schema_list door_list = {
	.what = "addresses", .size = sizeof(struct perch_endpoint), .max = PERCH_LISTENERS_MOST - 1, .read = door_read,
};
static const struct schema_list backend_list = {
	.what = "backends", .size = sizeof(struct model_backend), .min = 1, .max = PERCH_BACKENDS_MOST - 1,
	.read = read_backend,
};

static const struct schema_key version_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_version, name), .read = read_version_name },
	{ .name = "role", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_version, role), .choices = roles },
	{ .name = "backends", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_version, backends),
	  .list = &backend_list },
	{ .name = "door", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_version, doors), .list = &door_list },
	{ .name = "labels", .read = read_labels },
	{}
};
static const struct schema version_schema = { "a version", version_keys };

int version_read(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_version *v = element;

	v->line = reader_line(node);
	v->role = PERCH_ROLE_CANARY;
	return schema_read(r, node, &version_schema, v);
}

void version_free(struct model_version *v)
{
	for (size_t i = 0; i < v->n_labels; i++) {
		free(v->labels[i].key);
		free(v->labels[i].value);
	}
	free(v->labels);
	free(v->doors);
	free(v->backends);
}
