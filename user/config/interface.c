// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `interfaces`: names and patterns of names, and how perch is
 * attached to what they match.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>

#include "parts.h"
#include "values.h"

#define PATTERN_LENGTH 63

bool config_is_pattern(const char *name)
{
	return strpbrk(name, "*?[");
}

/* fnmatch takes a '[' that nothing closes for itself, which no name has. */
static bool is_open(const char *name)
{
	const char *bracket = strchr(name, '[');

	return bracket && !strchr(bracket, ']');
}

static int read_name(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;
	size_t longest;

	if (schema_text(r, node, "the name of an interface", &text))
		return -EINVAL;
	longest = config_is_pattern(text) ? PATTERN_LENGTH : IF_NAMESIZE - 1;
	if (strlen(text) > longest || strpbrk(text, "/: \t\r\n\\") || !strcmp(text, ".") || !strcmp(text, ".."))
		return reader_fail(r, node, "%s is not the name of an interface; `ip link` lists them",
				   value_quote(text).text);
	if (is_open(text))
		return reader_fail(r, node, "%s has a '[' without ']'; a pattern is like eth*, eth? or eth[0-3]",
				   value_quote(text).text);
	*(char **)field = strdup(text);
	return *(char **)field ? 0 : reader_no_memory(r);
}

static const struct schema_choice attachs[] = {
	SCHEMA_WORD("auto", MODEL_ATTACH_AUTO), SCHEMA_WORD("xdp", MODEL_ATTACH_XDP),
	SCHEMA_WORD("xdp-generic", MODEL_ATTACH_XDP_GENERIC), SCHEMA_WORD("tc", MODEL_ATTACH_TC), {}
};
static const struct schema_choice foreigns[] = {
	SCHEMA_WORD("refuse", MODEL_FOREIGN_REFUSE), SCHEMA_WORD("tc", MODEL_FOREIGN_TC),
	SCHEMA_WORD("replace", MODEL_FOREIGN_REPLACE), {}
};
static const struct schema_choice switches[] = { SCHEMA_WORD("true", true), SCHEMA_WORD("false", false), {} };
static const struct schema_key interface_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_interface, name), .read = read_name },
	{ .name = "attach", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_interface, attach), .choices = attachs },
	{ .name = "foreign", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_interface, foreign),
	  .choices = foreigns },
	{ .name = "decap", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_interface, decap), .choices = switches },
	{}
};
static const struct schema interface_schema = { "an interface", interface_keys };

int interface_read(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_interface *i = element;

	i->line = reader_line(node);
	i->attach = MODEL_ATTACH_AUTO;
	i->foreign = MODEL_FOREIGN_REFUSE;
	return schema_read(r, node, &interface_schema, i);
}

/* The first match wins, so what an earlier one covers would never be used. */
static int check_pair(struct reader *r, const struct model_interface *i, const struct model_interface *before)
{
	if (!strcmp(i->name, before->name))
		return reader_fail_line(r, i->line, "'%s' is there twice, first on line %d; rename or drop one", i->name,
					before->line);
	if (config_is_pattern(before->name) && !config_is_pattern(i->name) && !fnmatch(before->name, i->name, 0))
		return reader_fail_line(r, i->line,
					"'%s' is matched by '%s' on line %d, and the first match wins; put it before that",
					i->name, before->name, before->line);
	return 0;
}

int interfaces_check(struct reader *r, const struct model_config *c)
{
	if (c->n_services && !c->n_interfaces)
		return reader_fail_at(r, strcmp(c->services[0].origin, r->name) ? 1 : c->services[0].line, "interfaces",
				      "none is given, so no packet would reach a service; write interfaces: [{ name: eth0 }]");
	for (size_t i = 0; i < c->n_interfaces; i++) {
		for (size_t j = 0; j < i; j++) {
			snprintf(r->path, READER_PATH, "interfaces[%zu].name", i);
			if (check_pair(r, &c->interfaces[i], &c->interfaces[j]))
				return -EINVAL;
		}
	}
	r->path[0] = 0;
	return 0;
}

void interface_free(struct model_interface *i)
{
	free(i->name);
}
