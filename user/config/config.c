// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the way from a file, and texts beside it, to a checked model, and the
 * top of the file; its parts have a file each.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "parts.h"
#include "values.h"

#define SCHEMA_KNOWN "1"
#define INTERFACES (PERCH_DEVICES - 2)	/* 0 is none, the last one the stack */

int schema_number_read(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, SCHEMA_KNOWN, &text))
		return -EINVAL;
	if (strcmp(text, SCHEMA_KNOWN))
		return reader_fail(r, node, "%s is not known to this perch; write schema: " SCHEMA_KNOWN,
				   value_quote(text).text);
	return 0;
}

struct service_list {
	struct model_service *list;
	size_t n_list;
};

static const struct schema_list service_list = {
	.what = "services", .size = sizeof(struct model_service), .max = PERCH_SERVICES_MOST, .read = service_read,
};
static const struct schema_key services_key = {
	.type = SCHEMA_LIST, SCHEMA_FIELDS(struct service_list, list), .list = &service_list,
};

/* Takes over what the list owns. */
static int add_services(struct reader *r, struct model_config *c, const struct service_list *more)
{
	struct model_service *all;

	if (!more->n_list)
		return 0;
	all = realloc(c->services, (c->n_services + more->n_list) * sizeof(*all));
	if (!all)
		return reader_no_memory(r);
	memcpy(all + c->n_services, more->list, more->n_list * sizeof(*all));
	c->services = all;
	c->n_services += more->n_list;
	return 0;
}

int services_read(struct reader *r, yaml_node_t *node, void *config)
{
	struct service_list more = {};
	int err;

	err = schema_field(r, node, &services_key, &more);
	if (!err)
		err = add_services(r, config, &more);
	for (size_t i = 0; err && i < more.n_list; i++)
		service_free(&more.list[i]);
	free(more.list);
	return err;
}

static const struct schema_list interface_list = {
	.what = "interfaces", .size = sizeof(struct model_interface), .max = INTERFACES, .read = interface_read,
};

/* It is read before or after the rest, out of turn. */
static int read_out_of_turn(struct reader *r, yaml_node_t *node, void *field)
{
	return 0;
}

static const struct schema_key config_keys[] = {
	{ .name = "schema", .required = true, .read = read_out_of_turn },
	{ .name = "agent", SCHEMA_FIELD(struct model_config, agent), .read = agent_read },
	{ .name = "interfaces", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_config, interfaces),
	  .list = &interface_list },
	{ .name = "services", .read = services_read },
	{ .name = "defaults", .read = read_out_of_turn },
	{ .name = "include", .read = read_out_of_turn },
	SCHEMA_NOT_YET("fleet", SCHEMA_OFF_MAP),
	{}
};
static const struct schema config_schema = { "a configuration", config_keys };

/* The keys of another schema would only be called unknown, and services begin
 * with the defaults, wherever those stand. */
static int read_first(struct reader *r, yaml_node_t *root, struct model_config *c)
{
	yaml_node_t *schema = schema_value(r, root, "schema"), *defaults = schema_value(r, root, "defaults");
	size_t back = reader_enter(r, "schema");

	if (schema && schema_number_read(r, schema, NULL))
		return -EINVAL;
	reader_leave(r, back);
	if (!defaults || schema_is_empty(defaults))
		return 0;
	reader_enter(r, "defaults");
	if (defaults_read(r, defaults, &c->defaults))
		return -EINVAL;
	reader_leave(r, back);
	r->defaults = c->defaults;
	return 0;
}

static int read_root(struct reader *r, yaml_node_t *root, void *config)
{
	struct model_config *c = config;
	yaml_node_t *include;
	int err;

	if (!root)
		return reader_fail_at(r, 1, "schema",
				      "is missing, the file is empty; write schema: " SCHEMA_KNOWN ", interfaces and services");
	err = read_first(r, root, c);
	if (!err)
		err = schema_read(r, root, &config_schema, c);
	include = schema_value(r, root, "include");
	return !err && include ? include_read(r, include) : err;
}

static int read_service(struct reader *r, yaml_node_t *root, void *config)
{
	struct service_list one = { .n_list = 1 };
	int err;

	if (!root)
		return reader_fail_line(r, 1, "is empty; write a service: { name: ..., listen: [...], versions: [...] }");
	one.list = calloc(1, sizeof(*one.list));
	if (!one.list)
		return reader_no_memory(r);
	err = service_read(r, root, one.list);
	if (!err)
		err = add_services(r, config, &one);
	if (err)
		service_free(one.list);
	free(one.list);
	return err;
}

/* Services outside files come after those in files, which stand first. */
static int read_texts(struct reader *r, const struct config_text *texts, size_t n)
{
	int err = 0;

	r->in_file = false;
	for (size_t i = 0; !err && i < n; i++) {
		r->name = texts[i].name;
		r->path[0] = 0;
		err = document_walk(r, texts[i].text, texts[i].length, read_service, r->config);
	}
	return err;
}

static struct model_config *config_new(const char *name)
{
	struct model_config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->file = strdup(name);
	if (!c->file || agent_set_defaults(&c->agent)) {
		config_free(c);
		return NULL;
	}
	return c;
}

/* *ret is c, or c is no more. */
static int finish(struct reader *r, int err, struct model_config *c, struct model_config **ret)
{
	reader_free_places(r);
	if (err)
		config_free(c);
	else
		*ret = c;
	return err;
}

int config_parse_with(const char *name, const char *text, size_t length, const struct config_text *texts,
		      size_t n_texts, struct model_config **ret, char error[CONFIG_ERROR])
{
	struct reader r = { .name = name, .error = error, .in_file = true };
	struct model_config *c = config_new(name);
	int err;

	*error = 0;
	if (!c)
		return reader_no_memory(&r);
	r.config = c;
	err = reader_used_file(&r, name);
	if (!err)
		err = document_walk(&r, text, length, read_root, c);
	if (!err)
		err = read_texts(&r, texts, n_texts);
	r.name = name;
	if (!err)
		err = check_config(&r, c);
	return finish(&r, err, c, ret);
}

int config_parse(const char *name, const char *text, size_t length, struct model_config **ret,
		 char error[CONFIG_ERROR])
{
	return config_parse_with(name, text, length, NULL, 0, ret, error);
}

int config_load_with(const char *path, const struct config_text *texts, size_t n_texts, struct model_config **ret,
		     char error[CONFIG_ERROR])
{
	size_t length;
	char *text;
	int err;

	err = document_read(path, &text, &length, error);
	if (err)
		return err;
	err = config_parse_with(path, text, length, texts, n_texts, ret, error);
	free(text);
	return err;
}

int config_load(const char *path, struct model_config **ret, char error[CONFIG_ERROR])
{
	return config_load_with(path, NULL, 0, ret, error);
}

int config_parse_service(const char *name, const char *text, size_t length, const struct model_config *defaults_from,
			 struct model_config **ret, char error[CONFIG_ERROR])
{
	const struct config_text one = { .name = name, .text = text, .length = length };
	struct reader r = { .name = name, .error = error };
	struct model_config *c = config_new(name);
	int err;

	*error = 0;
	if (!c)
		return reader_no_memory(&r);
	r.config = c;
	r.defaults = defaults_from ? defaults_from->defaults : NULL;
	err = read_texts(&r, &one, 1);
	if (!err)
		err = check_services(&r, c);
	return finish(&r, err, c, ret);
}

static void texts_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void config_free(struct model_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_interfaces; i++)
		interface_free(&c->interfaces[i]);
	free(c->interfaces);
	for (size_t i = 0; i < c->n_services; i++)
		service_free(&c->services[i]);
	free(c->services);
	if (c->defaults)
		service_free(c->defaults);
	free(c->defaults);
	agent_free(&c->agent);
	texts_free(c->files, c->n_files);
	texts_free(c->includes, c->n_includes);
	free(c->file);
	free(c);
}
