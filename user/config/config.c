// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the way from a file to a checked model, and the top of the file:
 * schema, interfaces, and the lists of the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>

#include "config.h"
#include "document.h"
#include "parts.h"
#include "values.h"

#define SCHEMA_KNOWN "1"
#define INTERFACES (PERCH_DEVICES - 1)

static int read_interface_name(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, "the name of an interface", &text))
		return -EINVAL;
	if (strpbrk(text, "*?["))
		return reader_fail(r, node, "%s is a pattern, which is not supported yet; name each interface",
				   value_quote(text).text);
	if (strlen(text) >= IF_NAMESIZE || strpbrk(text, "/: \t\r\n") || !strcmp(text, ".") || !strcmp(text, ".."))
		return reader_fail(r, node, "%s is not the name of an interface; `ip link` lists them",
				   value_quote(text).text);
	*(char **)field = strdup(text);
	return *(char **)field ? 0 : reader_no_memory(r);
}

static const struct schema_choice attachs[] = {
	SCHEMA_WORD("auto", MODEL_ATTACH_AUTO), SCHEMA_WORD("xdp", MODEL_ATTACH_XDP),
	SCHEMA_WORD("xdp-generic", MODEL_ATTACH_XDP_GENERIC), SCHEMA_WORD("tc", MODEL_ATTACH_TC), {}
};
static const struct schema_choice foreigns[] = {
	SCHEMA_WORD("refuse", 0), SCHEMA_WORD_LATER("tc"), SCHEMA_WORD_LATER("replace"), {}
};
static const struct schema_key interface_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_interface, name), .read = read_interface_name },
	{ .name = "attach", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_interface, attach), .choices = attachs },
	{ .name = "foreign", .type = SCHEMA_CHOICE, .choices = foreigns },
	SCHEMA_NOT_YET("decap", SCHEMA_OFF_FALSE),
	{}
};
static const struct schema interface_schema = { "an interface", interface_keys };

static int read_interface(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_interface *i = element;

	i->line = reader_line(node);
	i->attach = MODEL_ATTACH_AUTO;
	return schema_read(r, node, &interface_schema, i);
}

static int read_schema(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, SCHEMA_KNOWN, &text))
		return -EINVAL;
	if (strcmp(text, SCHEMA_KNOWN))
		return reader_fail(r, node, "%s is not known to this perch; write schema: " SCHEMA_KNOWN,
				   value_quote(text).text);
	return 0;
}

static const struct schema_list interface_list = {
	.what = "interfaces", .size = sizeof(struct model_interface), .max = INTERFACES, .read = read_interface,
};
static const struct schema_list service_list = {
	.what = "services", .size = sizeof(struct model_service), .max = PERCH_SERVICES, .read = service_read,
};
static const struct schema_key config_keys[] = {
	{ .name = "schema", .required = true, .read = read_schema },
	{ .name = "agent", .type = SCHEMA_MAP, SCHEMA_FIELD(struct model_config, agent), .map = &agent_schema },
	{ .name = "interfaces", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_config, interfaces),
	  .list = &interface_list },
	{ .name = "services", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_config, services),
	  .list = &service_list },
	SCHEMA_NOT_YET("defaults", SCHEMA_OFF_MAP),
	SCHEMA_NOT_YET("fleet", SCHEMA_OFF_MAP),
	SCHEMA_NOT_YET("include", SCHEMA_OFF_LIST),
	{}
};
static const struct schema config_schema = { "a configuration", config_keys };

static int read_root(struct reader *r, struct model_config *c)
{
	yaml_node_t *root = yaml_document_get_root_node(r->document), *schema;

	if (!root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length))
		return reader_fail_at(r, 1, "schema",
				      "is missing, the file is empty; write schema: " SCHEMA_KNOWN ", interfaces and services");
	/* the keys of another schema would only be called unknown */
	schema = schema_value(r, root, "schema");
	if (schema) {
		size_t back = reader_enter(r, "schema");

		if (read_schema(r, schema, NULL))
			return -EINVAL;
		reader_leave(r, back);
	}
	return schema_read(r, root, &config_schema, c);
}

int config_parse(const char *name, const char *text, size_t length, struct model_config **ret,
		 char error[CONFIG_ERROR])
{
	yaml_document_t document;
	struct reader r = { .name = name, .document = &document, .error = error };
	struct model_config *c = calloc(1, sizeof(*c));
	int err;

	*error = 0;
	if (!c || !(c->file = strdup(name)) || agent_set_defaults(&c->agent)) {
		err = reader_no_memory(&r);
		goto out;
	}
	err = document_load(&r, text, length);
	if (err)
		goto out;
	err = read_root(&r, c);
	if (!err)
		err = check_config(&r, c);
	yaml_document_delete(&document);
	if (!err) {
		*ret = c;
		c = NULL;
	}
out:
	reader_free_places(&r);
	config_free(c);
	return err;
}

int config_load(const char *path, struct model_config **ret, char error[CONFIG_ERROR])
{
	size_t length;
	char *text;
	int err;

	err = document_read(path, &text, &length, error);
	if (err)
		return err;
	err = config_parse(path, text, length, ret, error);
	free(text);
	return err;
}

void config_free(struct model_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_interfaces; i++)
		free(c->interfaces[i].name);
	free(c->interfaces);
	for (size_t i = 0; i < c->n_services; i++)
		service_free(&c->services[i]);
	free(c->services);
	agent_free(&c->agent);
	free(c->file);
	free(c);
}
