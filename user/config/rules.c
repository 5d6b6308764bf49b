// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `rules` of a service: what a rule looks at and where it leads,
 * and that no two of them look at the same.
 */
#include "rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "parts.h"
#include "values.h"

#define DSCP_MOST 63

const char *rules_text(struct reader *r, struct model_service *s, const char *text)
{
	for (size_t i = s->n_rule_texts; i--;)
		if (!strcmp(s->rule_texts[i], text))
			return s->rule_texts[i];
	return reader_add_text(r, &s->rule_texts, &s->n_rule_texts, text) ? NULL : s->rule_texts[s->n_rule_texts - 1];
}

int rules_add(struct reader *r, struct model_service *s, const struct model_rule *rule)
{
	struct model_rule *more = reader_grown(s->rules, s->n_rules, sizeof(*more));

	if (!more)
		return reader_no_memory(r);
	s->rules = more;
	more[s->n_rules++] = *rule;
	return 0;
}

static int say(char why[RULES_WHY], const char *text, const char *wrong)
{
	snprintf(why, RULES_WHY, "%s %s", value_quote(text).text, wrong);
	return -EINVAL;
}

int rules_source(const char *text, struct model_rule *rule, char why[RULES_WHY])
{
	const struct perch_address mapped = { { 0, 0, htonl(0xffff), 0 } };
	struct perch_address start = mapped;
	char right[ADDRESS_TEXT];
	int err = prefix_parse(text, &rule->source, &rule->prefix);

	if (err == -EDOM) {
		snprintf(why, RULES_WHY, "%s has bits set behind its prefix; write %s, or the address alone",
			 value_quote(text).text, prefix_format(&rule->source, rule->prefix, right));
		return -EINVAL;
	}
	if (err)
		return say(why, text, "is not understood; write an address or CIDR, like 10.9.0.0/16 or 2001:db8::/32");
	/* one table holds both families, IPv4 below ::ffff:0:0/96 */
	address_mask(&start, rule->prefix);
	if (rule->prefix < 96 && !memcmp(&start, &rule->source, sizeof(start)))
		return say(why, text, "would hold all of IPv4 too; write 2000::/3 for every client by IPv6, 0.0.0.0/0 by IPv4");
	return 0;
}

/* A rule as it is written: one of three, and where to. */
struct rule_text {
	yaml_node_t *source, *file, *dscp, *version;
};

static int read_node(struct reader *r, yaml_node_t *node, void *field)
{
	*(yaml_node_t **)field = node;
	return 0;
}

static const struct schema_key rule_keys[] = {
	{ .name = "source", SCHEMA_FIELD(struct rule_text, source), .read = read_node },
	{ .name = "sourceFile", SCHEMA_FIELD(struct rule_text, file), .read = read_node },
	{ .name = "dscp", SCHEMA_FIELD(struct rule_text, dscp), .read = read_node },
	{ .name = "version", .required = true, SCHEMA_FIELD(struct rule_text, version), .read = read_node },
	{}
};
static const struct schema rule_schema = { "a rule", rule_keys };

static int read_source(struct reader *r, yaml_node_t *node, struct model_service *s, struct model_rule *rule)
{
	char why[RULES_WHY];
	const char *text;

	if (schema_text(r, node, "an address or CIDR, like 10.9.0.0/16", &text))
		return -EINVAL;
	return rules_source(text, rule, why) ? reader_fail(r, node, "%s", why) : rules_add(r, s, rule);
}

static int read_dscp(struct reader *r, yaml_node_t *node, struct model_service *s, struct model_rule *rule)
{
	static const struct schema_key range = { .type = SCHEMA_COUNT, .size = sizeof(__u32), .max = DSCP_MOST };
	__u32 dscp;

	if (schema_field(r, node, &range, &dscp))
		return -EINVAL;
	rule->by_dscp = true;
	rule->dscp = dscp;
	return rules_add(r, s, rule);
}

static int read_version(struct reader *r, yaml_node_t *node, struct model_service *s, struct model_rule *rule)
{
	size_t back = reader_enter(r, "version");
	const char *text;

	if (schema_text(r, node, "a role, or the name of a version", &text))
		return -EINVAL;
	if (!config_is_name(text))
		return schema_misread(r, node, "a role, or the name of a version");
	rule->version = rules_text(r, s, text);
	reader_leave(r, back);
	return rule->version ? 0 : -ENOMEM;
}

static int read_rule(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	struct model_rule rule = { .line = reader_line(node), .file = rules_text(r, s, r->name) };
	struct rule_text text = {};
	size_t back;
	int err;

	if (!rule.file)
		return -ENOMEM;
	err = schema_read(r, node, &rule_schema, &text);
	if (err)
		return err;
	if (!!text.source + !!text.file + !!text.dscp != 1)
		return reader_fail(r, node, "%s; write { source: 10.9.0.0/16, version: canary }",
				   text.source || text.file || text.dscp ?
				   "has more than one of source, sourceFile and dscp" :
				   "has none of source, sourceFile and dscp");
	err = read_version(r, text.version, s, &rule);
	if (err)
		return err;
	back = reader_enter(r, text.source ? "source" : text.file ? "sourceFile" : "dscp");
	if (text.source)
		err = read_source(r, text.source, s, &rule);
	else if (text.file)
		err = rules_read_file(r, text.file, s, &rule);
	else
		err = read_dscp(r, text.dscp, s, &rule);
	if (!err)
		reader_leave(r, back);
	return err;
}

void rules_free(struct model_service *s)
{
	for (size_t i = 0; i < s->n_rule_texts; i++)
		free(s->rule_texts[i]);
	free(s->rule_texts);
	free(s->rules);
	s->rule_texts = NULL;
	s->rules = NULL;
	s->n_rule_texts = s->n_rules = 0;
}

int rules_read(struct reader *r, yaml_node_t *node, void *service)
{
	struct model_service *s = service;
	yaml_node_item_t *start, *end;

	rules_free(s);		/* those of the defaults */
	if (node->type != YAML_SEQUENCE_NODE)
		return reader_fail(r, node, "is not a list; write [{ source: 10.9.0.0/16, version: canary }]");
	start = node->data.sequence.items.start;
	end = node->data.sequence.items.top;
	for (yaml_node_item_t *item = start; item < end; item++) {
		size_t back = reader_enter_element(r, item - start);
		int err = read_rule(r, reader_node(r, *item), s);

		if (err)
			return err;
		reader_leave(r, back);
	}
	return 0;
}

int rules_copy(struct reader *r, const struct model_service *from, struct model_service *to)
{
	for (size_t i = 0; i < from->n_rules; i++) {
		struct model_rule rule = from->rules[i];

		rule.file = rules_text(r, to, rule.file);
		rule.version = rule.file ? rules_text(r, to, rule.version) : NULL;
		if (!rule.version || rules_add(r, to, &rule))
			return -ENOMEM;
	}
	return 0;
}

int rules_compare(const struct model_rule *x, const struct model_rule *y)
{
	int order = (x->by_dscp - y->by_dscp) ?: (x->dscp - y->dscp);

	if (!order)
		order = memcmp(&x->source, &y->source, sizeof(x->source));
	if (!order && x->prefix != y->prefix)
		order = x->prefix < y->prefix ? -1 : 1;
	return order;
}

/* In order of reading among equals: qsort alone promises none. */
static int compare_in_order(const void *a, const void *b)
{
	const struct model_rule *x = *(const struct model_rule *const *)a, *y = *(const struct model_rule *const *)b;

	return rules_compare(x, y) ?: (x > y) - (x < y);
}

const struct model_rule **rules_sorted(const struct model_service *s)
{
	const struct model_rule **sorted = malloc((s->n_rules ?: 1) * sizeof(*sorted));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < s->n_rules; i++)
		sorted[i] = &s->rules[i];
	qsort(sorted, s->n_rules, sizeof(*sorted), compare_in_order);
	return sorted;
}

const char *rules_format(const struct model_rule *rule, char out[ADDRESS_TEXT])
{
	if (rule->by_dscp)
		snprintf(out, ADDRESS_TEXT, "dscp %u", rule->dscp);
	else
		prefix_format(&rule->source, rule->prefix, out);
	return out;
}

/* A reader at a rule, which may be the line of a list, where no key stands. */
static struct reader at_rule(const struct reader *r, const struct model_service *s, const struct model_rule *rule)
{
	struct reader at = *r;

	at.name = rule->file;
	if (strcmp(rule->file, s->origin))
		at.path[0] = 0;
	return at;
}

static int rule_twice(struct reader *r, const struct model_service *s, const struct model_rule *rule,
		      const struct model_rule *first)
{
	bool same_file = !strcmp(rule->file, first->file);
	struct reader at = at_rule(r, s, rule);
	char text[ADDRESS_TEXT];

	return reader_fail_line(&at, rule->line, "%s is there twice, first on line %d%s%.160s; keep one",
				rules_format(rule, text), first->line, same_file ? "" : " of ",
				same_file ? "" : first->file);
}

static int check_twice(struct reader *r, const struct model_service *s)
{
	const struct model_rule **sorted = rules_sorted(s);
	int err = 0;

	if (!sorted)
		return reader_no_memory(r);
	for (size_t i = 1; !err && i < s->n_rules; i++)
		if (!rules_compare(sorted[i - 1], sorted[i]))
			err = rule_twice(r, s, sorted[i], sorted[i - 1]);
	free(sorted);
	return err;
}

static bool names_version(const struct model_service *s, const char *name)
{
	for (size_t i = 0; i < s->n_versions; i++)
		if (!strcmp(s->versions[i].name, name))
			return true;
	return value_is_role(name);
}

static int check_versions(struct reader *r, const struct model_service *s)
{
	const char *known = NULL;	/* rules of one list share the text */

	for (size_t i = 0; i < s->n_rules; i++) {
		const struct model_rule *rule = &s->rules[i];
		struct reader at;

		if (rule->version == known)
			continue;
		known = rule->version;
		if (names_version(s, known))
			continue;
		at = at_rule(r, s, rule);
		return reader_fail_line(&at, rule->line,
					"'%s' is no version of '%s'; write a role (stable, canary, baseline or previous) or add the version",
					known, s->name);
	}
	return 0;
}

int rules_check(struct reader *r, const struct model_service *s)
{
	size_t back = reader_enter(r, "rules");
	int err = check_versions(r, s);

	if (!err && s->n_rules)
		err = check_twice(r, s);
	if (!err)
		reader_leave(r, back);
	return err;
}
