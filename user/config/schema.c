// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the walk of a mapping along its table: unknown, double, missing and
 * not yet built keys, and the values whose type the table knows.  What is the
 * same for every key is said here once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "schema.h"
#include "suggest.h"
#include "values.h"

#define KEYS 64			/* in one table */

static const char *const kinds[] = {
	[YAML_NO_NODE] = "nothing", [YAML_SCALAR_NODE] = "a single value",
	[YAML_SEQUENCE_NODE] = "a list", [YAML_MAPPING_NODE] = "a mapping",
};

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static size_t elements_of(const yaml_node_t *list)
{
	return list->data.sequence.items.top - list->data.sequence.items.start;
}

static size_t pairs_of(const yaml_node_t *map)
{
	return map->data.mapping.pairs.top - map->data.mapping.pairs.start;
}

static bool is_plain(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

bool schema_is_empty(const yaml_node_t *node)
{
	static const char *const names[] = { "", "~", "null", "Null", "NULL" };

	for (size_t i = 0; is_plain(node) && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(scalar(node), names[i]))
			return true;
	return false;
}

/* -EINVAL in so many words: readers rely on *ret after 0, analyzers too. */
int schema_text(struct reader *r, const yaml_node_t *node, const char *what, const char **ret)
{
	if (node->type != YAML_SCALAR_NODE) {
		reader_fail(r, node, "is %s; write %s", kinds[node->type], what);
		return -EINVAL;
	}
	if (schema_is_empty(node) || !*scalar(node)) {
		reader_fail(r, node, "has no value; write %s", what);
		return -EINVAL;
	}
	*ret = scalar(node);
	return 0;
}

int schema_misread(struct reader *r, const yaml_node_t *node, const char *what)
{
	return reader_fail(r, node, "%s is not understood; write %s", value_quote(scalar(node)).text, what);
}

/* A number's text: YAML's quotes make it text, and that is said. */
static int number_text(struct reader *r, const yaml_node_t *node, const char *what, const char **ret)
{
	int err = schema_text(r, node, what, ret);

	if (!err && !is_plain(node))
		return reader_fail(r, node, "is text in quotes; write %s, without quotes", what);
	return err;
}

static void store(void *field, size_t size, __u64 value)
{
	if (size == sizeof(__u64))
		*(__u64 *)field = value;
	else if (size == sizeof(__u32))
		*(__u32 *)field = value;
	else if (size == sizeof(bool))
		*(bool *)field = value;
}

static int read_duration(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *field)
{
	static const char what[] = "a duration like 100ms, 30s, 5m or 2h";
	char low[VALUE_TEXT], high[VALUE_TEXT];
	const char *text;
	__u64 ns;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (config_duration(text, &ns))
		return schema_misread(r, node, what);
	if (ns < key->min || ns > key->max)
		return reader_fail(r, node, "%s is out of range; it must be from %s to %s", value_quote(text).text,
				   value_format_duration(key->min, low), value_format_duration(key->max, high));
	store(field, key->size, ns);
	return 0;
}

static int read_percent(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *field)
{
	static const char what[] = "a number from 0 to 100 with up to 2 decimals (percent)";
	char low[VALUE_TEXT], high[VALUE_TEXT];
	const char *text;
	__u32 share;

	if (number_text(r, node, what, &text))
		return -EINVAL;
	if (config_percent(text, &share))
		return schema_misread(r, node, what);
	if (share < key->min || share > key->max)
		return reader_fail(r, node, "%s is out of range; it must be from %s to %s percent",
				   value_quote(text).text, value_format_percent(key->min, low),
				   value_format_percent(key->max, high));
	store(field, key->size, share);
	return 0;
}

static int read_count(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *field)
{
	static const char what[] = "a whole number";
	const char *text;
	__u64 n;

	if (number_text(r, node, what, &text))
		return -EINVAL;
	if (value_decimal_all(text, 0, &n))
		return schema_misread(r, node, what);
	if (n < key->min || n > key->max)
		return reader_fail(r, node, "%s is out of range; it must be from %llu to %llu",
				   value_quote(text).text, key->min, key->max);
	store(field, key->size, n);
	return 0;
}

static int read_fraction(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *field)
{
	static const char what[] = "a number below 1 like 0.99, with up to 6 decimals";
	char low[VALUE_TEXT], high[VALUE_TEXT];
	const char *text;
	__u64 millionths;

	if (number_text(r, node, what, &text))
		return -EINVAL;
	if (value_decimal_all(text, 6, &millionths))
		return schema_misread(r, node, what);
	if (millionths < key->min || millionths > key->max)
		return reader_fail(r, node, "%s is out of range; it must be from %s to %s", value_quote(text).text,
				   value_format_millionths(key->min, low), value_format_millionths(key->max, high));
	*(double *)field = millionths / 1e6;
	return 0;
}

static int read_choice(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *field)
{
	char built[SUGGEST_TEXT];
	const char *text;

	suggest_choices(key->choices, built);
	if (schema_text(r, node, built, &text))
		return -EINVAL;
	for (const struct schema_choice *c = key->choices; c->name; c++) {
		if (strcmp(c->name, text))
			continue;
		store(field, key->size, c->value);
		return 0;
	}
	return reader_fail(r, node, "%s is not known; write %s", value_quote(text).text, built);
}

static int read_list(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *target)
{
	const struct schema_list *l = key->list;
	char *elements = (char *)target + key->offset;
	size_t n, *count = (size_t *)((char *)target + key->n_offset);

	if (node->type != YAML_SEQUENCE_NODE)
		return reader_fail(r, node, "is %s; write a list of %s: [..., ...]", kinds[node->type],
				   l->what);
	n = elements_of(node);
	if (n < l->min || n > l->max)
		return reader_fail(r, node, "has %zu %s; it must have from %zu to %zu", n, l->what, l->min, l->max);
	if (!l->inlined && n) {
		elements = calloc(n, l->size);
		if (!elements)
			return reader_no_memory(r);
		memcpy((char *)target + key->offset, &elements, sizeof(elements));
	}
	*count = n;
	for (size_t i = 0; i < n; i++) {
		size_t back = reader_enter_element(r, i);
		int err = l->read(r, reader_node(r, node->data.sequence.items.start[i]), elements + i * l->size);

		if (err)
			return err;
		reader_leave(r, back);
	}
	return 0;
}

static bool is_off(const yaml_node_t *node, enum schema_off off)
{
	__u64 ns;

	switch (off) {
	case SCHEMA_OFF_FALSE:
		return is_plain(node) && !strcmp(scalar(node), "false");
	case SCHEMA_OFF_ZERO:
		return is_plain(node) && !config_duration(scalar(node), &ns) && !ns;
	case SCHEMA_OFF_MAP:
		return node->type == YAML_MAPPING_NODE && !pairs_of(node);
	case SCHEMA_NO_OFF:
		break;
	}
	return false;
}

static int read_later(struct reader *r, const yaml_node_t *node, const struct schema_key *key)
{
	static const char *const remedy[] = {
		[SCHEMA_NO_OFF] = "", [SCHEMA_OFF_FALSE] = " or write false", [SCHEMA_OFF_ZERO] = " or write 0s",
		[SCHEMA_OFF_MAP] = " or write {}",
	};

	if (is_off(node, key->off))
		return 0;
	return reader_fail(r, node, "is not supported yet; leave it out%s", remedy[key->off]);
}

int schema_field(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *target)
{
	void *field = (char *)target + key->offset;

	switch (key->type) {
	case SCHEMA_VALUE:
		return key->read(r, node, field);
	case SCHEMA_DURATION:
		return read_duration(r, node, key, field);
	case SCHEMA_PERCENT:
		return read_percent(r, node, key, field);
	case SCHEMA_COUNT:
		return read_count(r, node, key, field);
	case SCHEMA_FRACTION:
		return read_fraction(r, node, key, field);
	case SCHEMA_CHOICE:
		return read_choice(r, node, key, field);
	case SCHEMA_MAP:
		return schema_read(r, node, key->map, field);
	case SCHEMA_LIST:
		return read_list(r, node, key, target);
	case SCHEMA_ELSEWHERE:
		return reader_fail(r, node, "does not belong here; %s", key->place);
	case SCHEMA_LATER:
		break;
	}
	return read_later(r, node, key);
}

/* The element of the table, or -EINVAL, said. */
static int find_key(struct reader *r, const yaml_node_t *node, const struct schema *s)
{
	char help[SUGGEST_TEXT];
	const char *name;

	if (node->type != YAML_SCALAR_NODE)
		return reader_fail(r, node, "has %s as a key; keys are words", kinds[node->type]);
	name = scalar(node);
	for (int i = 0; s->keys[i].name; i++)
		if (!strcmp(s->keys[i].name, name))
			return i;
	return reader_fail_at(r, reader_line(node), config_is_name(name) ? name : value_quote(name).text,
			      "is not a key of %s; %s", s->what, suggest_key(s, name, help));
}

static int check_required(struct reader *r, const yaml_node_t *node, const struct schema *s, const int *seen)
{
	for (size_t i = 0; s->keys[i].name; i++)
		if (s->keys[i].required && !seen[i])
			return reader_fail_at(r, reader_line(node), s->keys[i].name, "is missing; %s needs it",
					      s->what);
	return 0;
}

int schema_read(struct reader *r, yaml_node_t *node, const struct schema *s, void *target)
{
	int seen[KEYS] = {};	/* line of each key */

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(r, node, "is %s; %s is a mapping: { %s: ... }", kinds[node->type], s->what,
				   s->keys[0].name);
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *name = reader_node(r, p->key), *value = reader_node(r, p->value);
		int err, i = find_key(r, name, s);
		size_t back;

		if (i < 0)
			return i;
		if (seen[i])
			return reader_fail_at(r, reader_line(name), s->keys[i].name,
					      "is given twice, first on line %d; keep one", seen[i]);
		seen[i] = reader_line(name);
		back = reader_enter(r, s->keys[i].name);
		if (schema_is_empty(value))
			return reader_fail(r, name, "has no value; give it one or leave the key out");
		err = schema_field(r, value, &s->keys[i], target);
		if (err)
			return err;
		reader_leave(r, back);
	}
	return check_required(r, node, s, seen);
}

yaml_node_t *schema_value(const struct reader *r, const yaml_node_t *map, const char *key)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *name = reader_node(r, p->key);

		if (name->type == YAML_SCALAR_NODE && !strcmp(scalar(name), key))
			return reader_node(r, p->value);
	}
	return NULL;
}

#define BITS_MOST 32

struct nodes {
	yaml_node_t *node[BITS_MOST];
	size_t n;
};

int schema_node(struct reader *r, yaml_node_t *node, void *element)
{
	*(yaml_node_t **)element = node;
	return 0;
}

int schema_bits(struct reader *r, yaml_node_t *node, const char *what, const struct schema_choice *choices, bool none,
		__u32 *ret)
{
	struct schema_list list = {
		.what = what, .size = sizeof(yaml_node_t *), .min = !none, .inlined = true, .read = schema_node,
	};
	const struct schema_key key = {
		.type = SCHEMA_LIST, .offset = offsetof(struct nodes, node), .n_offset = offsetof(struct nodes, n), .list = &list,
	};
	const struct schema_key word = { .type = SCHEMA_CHOICE, .size = sizeof(__u32), .choices = choices };
	struct nodes read = {};
	int err;

	while (list.max < BITS_MOST && choices[list.max].name)
		list.max++;
	err = schema_field(r, node, &key, &read);
	*ret = 0;
	for (size_t i = 0; !err && i < read.n; i++) {
		size_t back = reader_enter_element(r, i);
		__u32 bit = 0;

		err = schema_field(r, read.node[i], &word, &bit);
		if (!err && *ret & bit)
			err = reader_fail(r, read.node[i], "is here twice; keep one");
		*ret |= bit;
		if (!err)
			reader_leave(r, back);
	}
	return err;
}
