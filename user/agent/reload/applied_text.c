// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Editing the tree of a YAML text and writing it again. */
#include "applied_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static bool scalar_is(const yaml_node_t *node, const char *text)
{
	return node && node->type == YAML_SCALAR_NODE && !strcmp((const char *)node->data.scalar.value, text);
}

static yaml_node_t *map_value(yaml_document_t *d, const yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
		if (scalar_is(yaml_document_get_node(d, p->key), key))
			return yaml_document_get_node(d, p->value);
	return NULL;
}

static yaml_node_t *versions_of(yaml_document_t *d)
{
	yaml_node_t *versions = map_value(d, yaml_document_get_root_node(d), "versions");

	return versions && versions->type == YAML_SEQUENCE_NODE ? versions : NULL;
}

/* Where the version is in the list, NULL without. */
static yaml_node_item_t *version_find(yaml_document_t *d, const yaml_node_t *versions, const char *name)
{
	for (yaml_node_item_t *i = versions->data.sequence.items.start; i < versions->data.sequence.items.top; i++)
		if (scalar_is(map_value(d, yaml_document_get_node(d, *i), "name"), name))
			return i;
	return NULL;
}

static int add_scalar(yaml_document_t *d, const char *text, yaml_scalar_style_t style)
{
	return yaml_document_add_scalar(d, NULL, (const yaml_char_t *)text, strlen(text), style);
}

static int add_value(yaml_document_t *d, const json_t *value);

static int add_list(yaml_document_t *d, const json_t *array)
{
	int node = yaml_document_add_sequence(d, NULL, YAML_FLOW_SEQUENCE_STYLE);
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item) {
		int child = node ? add_value(d, item) : 0;

		if (!child || !yaml_document_append_sequence_item(d, node, child))
			return 0;
	}
	return node;
}

static int add_map(yaml_document_t *d, const json_t *object)
{
	int node = yaml_document_add_mapping(d, NULL, YAML_FLOW_MAPPING_STYLE);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		int name = node ? add_scalar(d, key, YAML_ANY_SCALAR_STYLE) : 0, child = name ? add_value(d, value) : 0;

		if (!child || !yaml_document_append_mapping_pair(d, node, name, child))
			return 0;
	}
	return node;
}

/* A JSON value as a node; 0: no memory. */
static int add_value(yaml_document_t *d, const json_t *value)
{
	char *text;
	int node;

	if (json_is_object(value))
		return add_map(d, value);
	if (json_is_array(value))
		return add_list(d, value);
	if (json_is_string(value))
		return add_scalar(d, json_string_value(value), YAML_DOUBLE_QUOTED_SCALAR_STYLE);
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	node = text ? add_scalar(d, text, YAML_PLAIN_SCALAR_STYLE) : 0;
	free(text);
	return node;
}

struct output {
	char *text;
	size_t length;
};

static int output_write(void *arg, unsigned char *buffer, size_t size)
{
	struct output *o = arg;
	char *more = realloc(o->text, o->length + size + 1);

	if (!more)
		return 0;
	memcpy(more + o->length, buffer, size);
	o->text = more;
	o->length += size;
	more[o->length] = 0;
	return 1;
}

/* Takes the document, which libyaml frees whatever comes of it. */
static int document_write(yaml_document_t *d, char **ret)
{
	struct output o = { NULL, 0 };
	yaml_emitter_t e;
	int ok;

	if (!yaml_emitter_initialize(&e)) {
		yaml_document_delete(d);
		return -ENOMEM;
	}
	yaml_emitter_set_output(&e, output_write, &o);
	yaml_emitter_set_unicode(&e, 1);
	yaml_emitter_set_width(&e, -1);
	d->start_implicit = d->end_implicit = 1;
	ok = yaml_emitter_open(&e);
	if (ok)
		ok = yaml_emitter_dump(&e, d) && yaml_emitter_close(&e) && yaml_emitter_flush(&e);
	else
		yaml_document_delete(d);
	yaml_emitter_delete(&e);
	if (!ok || !o.text) {
		free(o.text);
		return -ENOMEM;
	}
	*ret = o.text;
	return 0;
}

static int document_load(const char *text, yaml_document_t *d)
{
	yaml_parser_t p;
	int ok;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, strlen(text));
	ok = yaml_parser_load(&p, d);
	yaml_parser_delete(&p);
	return ok ? 0 : -EINVAL;
}

/* The versions of the text, as a tree to be edited. */
static int versions_load(const char *text, yaml_document_t *d, yaml_node_t **ret)
{
	int r = document_load(text, d);

	if (r)
		return r;
	*ret = versions_of(d);
	if (*ret)
		return 0;
	yaml_document_delete(d);
	return -EINVAL;
}

int applied_text_add(const char *text, const json_t *version, char **ret)
{
	const char *name = json_string_value(json_object_get(version, "name"));
	yaml_node_t *versions;
	yaml_document_t d;
	int list, node, r = versions_load(text, &d, &versions);

	if (r)
		return r;
	if (name && version_find(&d, versions, name)) {
		yaml_document_delete(&d);
		return -EEXIST;
	}
	/* nodes move when others are added; their numbers do not */
	list = versions - d.nodes.start + 1;
	node = add_value(&d, version);
	if (!node || !yaml_document_append_sequence_item(&d, list, node)) {
		yaml_document_delete(&d);
		return -ENOMEM;
	}
	return document_write(&d, ret);
}

int applied_text_remove(const char *text, const char *version, char **ret)
{
	yaml_node_item_t *item;
	yaml_node_t *versions;
	yaml_document_t d;
	int r = versions_load(text, &d, &versions);

	if (r)
		return r;
	item = version_find(&d, versions, version);
	if (!item) {
		yaml_document_delete(&d);
		return -ENOENT;
	}
	versions->data.sequence.items.top--;
	memmove(item, item + 1, (versions->data.sequence.items.top - item) * sizeof(*item));
	return document_write(&d, ret);
}
