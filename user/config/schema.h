/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What may stand where: tables of keys with their types, bounds and the place
 * in the model they fill.  A key of the documented language that is not built
 * yet stands in the tables too, so that it is refused by name.
 */
#ifndef PERCH_CONFIG_SCHEMA_H
#define PERCH_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "reader.h"

enum schema_type {
	SCHEMA_VALUE,		/* read by the key's own function */
	SCHEMA_DURATION,	/* __u64 ns; bounds in ns */
	SCHEMA_PERCENT,		/* __u32 0.01 %; bounds likewise */
	SCHEMA_COUNT,		/* __u32 or __u64; bounds as they are */
	SCHEMA_FRACTION,	/* double; bounds in millionths */
	SCHEMA_CHOICE,		/* an enum or a bool, or nothing with size 0 */
	SCHEMA_MAP,		/* a mapping with keys of its own */
	SCHEMA_LIST,
	SCHEMA_LATER,		/* not built yet */
	SCHEMA_ELSEWHERE,	/* stands elsewhere: refused with `place` */
};

/* The value of a key not built yet that asks for nothing, and is taken. */
enum schema_off { SCHEMA_NO_OFF, SCHEMA_OFF_FALSE, SCHEMA_OFF_ZERO, SCHEMA_OFF_MAP };

struct schema_choice {
	const char *name;
	unsigned value;
};

#define SCHEMA_WORD(name_, value_) { .name = (name_), .value = (value_) }

struct schema;
/* Fill the field a key or an element stands for.  0 or -errno, error said. */
typedef int schema_reader(struct reader *r, yaml_node_t *node, void *field);

struct schema_list {
	const char *what;	/* "versions" */
	size_t size;		/* of an element */
	size_t min, max;
	bool inlined;		/* the field is the array, not a pointer to one */
	schema_reader *read;
};

struct schema_key {
	const char *name;	/* NULL ends the table */
	enum schema_type type;
	bool required;
	enum schema_off off;
	size_t offset, size;
	size_t n_offset;	/* of a list's count */
	__u64 min, max;
	union {
		schema_reader *read;
		const struct schema_choice *choices;
		const struct schema *map;
		const struct schema_list *list;
		const char *place;
	};
};

struct schema {
	const char *what;	/* "a service" */
	const struct schema_key *keys;
};

#define SCHEMA_FIELD(type_, member_) \
	.offset = offsetof(type_, member_), .size = sizeof(((type_ *)0)->member_)
#define SCHEMA_FIELDS(type_, member_) \
	.offset = offsetof(type_, member_), .n_offset = offsetof(type_, n_##member_)
#define SCHEMA_NOT_HERE(name_, place_) { .name = (name_), .type = SCHEMA_ELSEWHERE, .place = (place_) }
#define SCHEMA_NOT_YET(name_, off_) { .name = (name_), .type = SCHEMA_LATER, .off = (off_) }

/* Read a mapping into target.  0 or -errno, error said. */
int schema_read(struct reader *r, yaml_node_t *node, const struct schema *s, void *target);
/* The value of a key of a mapping, NULL without. */
yaml_node_t *schema_value(const struct reader *r, const yaml_node_t *map, const char *key);
/* Nothing, or a null. */
bool schema_is_empty(const yaml_node_t *node);
/* A scalar's text.  0 or -EINVAL, said with `what` is expected. */
int schema_text(struct reader *r, const yaml_node_t *node, const char *what, const char **ret);
/* A scalar's text that is not `what` is expected.  Returns -EINVAL. */
int schema_misread(struct reader *r, const yaml_node_t *node, const char *what);
/* Read one value by the type, bounds and choices of `key`. */
int schema_field(struct reader *r, yaml_node_t *node, const struct schema_key *key, void *target);
/* The node itself, into a yaml_node_t *: elements that are read by hand. */
schema_reader schema_node;
/* A list of words, each a bit of *ret; an empty one only if `none`. */
int schema_bits(struct reader *r, yaml_node_t *node, const char *what, const struct schema_choice *choices, bool none,
		__u32 *ret);

#endif
