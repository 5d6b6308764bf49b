// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the gates that look at what others measured: pushed values, queries of
 * Prometheus and URLs, in the same list as the gates on signals.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/judge/mannwhitney.h"
#include "parts.h"
#include "values.h"

#define TIME_MOST (24 * NS_PER_H)
#define MILLION 1000000

static int read_number(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;
	double value;
	char *end;

	if (schema_text(r, node, "a number", &text))
		return -EINVAL;
	errno = 0;
	value = strtod(text, &end);
	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || end == text || *end || errno || !isfinite(value))
		return schema_misread(r, node, "a number like 98.5, without quotes");
	*(double *)field = value;
	return 0;
}

static int read_pointer(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, "a JSON pointer like /data/score", &text))
		return -EINVAL;
	if (*text != '/' || strlen(text) >= MODEL_POINTER)
		return schema_misread(r, node, "a JSON pointer like /data/score, at most 255 bytes");
	snprintf(field, MODEL_POINTER, "%s", text);
	return 0;
}

static const struct schema_choice yes_no[] = { SCHEMA_WORD("true", true), SCHEMA_WORD("false", false), {} };
static const struct schema_choice compares[] = { SCHEMA_WORD("mannWhitney", true), {} };
static const struct schema_choice directions[] = {
	SCHEMA_WORD("increase", MANNWHITNEY_INCREASE), SCHEMA_WORD("decrease", MANNWHITNEY_DECREASE),
	SCHEMA_WORD("either", MANNWHITNEY_EITHER), {}
};
static const struct schema_choice effects[] = {
	SCHEMA_WORD("meanRatio", MANNWHITNEY_MEAN_RATIO), SCHEMA_WORD("cles", MANNWHITNEY_CLES), {}
};
static const struct schema_choice actions[] = { SCHEMA_WORD("rollback", false), SCHEMA_WORD("hold", true), {} };

#define FIELD(member_) SCHEMA_FIELD(struct model_outside, member_)
static const struct schema_key outside_keys[] = {
	{ .name = "name", .required = true, FIELD(name), .read = name_read },
	{ .name = "metric", FIELD(metric), .read = name_read },
	{ .name = "prometheus", FIELD(prometheus), .read = target_read_url },
	{ .name = "query", FIELD(query), .read = target_read_text },
	{ .name = "url", FIELD(target.url), .read = target_read_url },
	{ .name = "urlFile", FIELD(target.url_file), .read = target_read_file },
	{ .name = "pointer", FIELD(pointer), .read = read_pointer },
	{ .name = "headers", FIELD(target), .read = target_read_headers },
	{ .name = "caFile", FIELD(target.ca_file), .read = target_read_file },
	{ .name = "min", FIELD(min), .read = read_number },
	{ .name = "max", FIELD(max), .read = read_number },
	{ .name = "threshold", .type = SCHEMA_COUNT, FIELD(threshold), .min = 1, .max = 1000 },
	{ .name = "consecutive", .type = SCHEMA_CHOICE, FIELD(consecutive), .choices = yes_no },
	{ .name = "critical", .type = SCHEMA_CHOICE, FIELD(critical), .choices = yes_no },
	{ .name = "checkInterval", .type = SCHEMA_DURATION, FIELD(check_interval), .min = NS_PER_S, .max = NS_PER_H },
	{ .name = "maxAge", .type = SCHEMA_DURATION, FIELD(max_age), .min = NS_PER_S, .max = TIME_MOST },
	{ .name = "initialDelay", .type = SCHEMA_DURATION, FIELD(initial_delay), .max = TIME_MOST },
	{ .name = "compare", .type = SCHEMA_CHOICE, FIELD(compare), .choices = compares },
	{ .name = "direction", .type = SCHEMA_CHOICE, FIELD(direction), .choices = directions },
	{ .name = "tolerance", .type = SCHEMA_FRACTION, FIELD(tolerance), .max = MILLION - 1 },
	{ .name = "confidence", .type = SCHEMA_FRACTION, FIELD(confidence), .min = MILLION / 2, .max = MILLION - 1 },
	{ .name = "effect", .type = SCHEMA_CHOICE, FIELD(effect), .choices = effects },
	{ .name = "group", FIELD(group), .read = name_read },
	{ .name = "weight", FIELD(weight), .read = read_number },
	{ .name = "action", .type = SCHEMA_CHOICE, FIELD(hold), .choices = actions },
	{}
};
static const struct schema outside_schema = { "a gate from outside", outside_keys };

bool outside_is(const struct reader *r, const yaml_node_t *node)
{
	static const char *const keys[] = { "name", "metric", "prometheus", "url", "urlFile" };

	if (node->type != YAML_MAPPING_NODE || schema_value(r, node, "signal"))
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (schema_value(r, node, keys[i]))
			return true;
	return false;
}

/* The first of the keys that is written there, or NULL. */
static const char *first_of(const struct reader *r, const yaml_node_t *node, const char *const *keys)
{
	while (*keys && !schema_value(r, node, *keys))
		keys++;
	return *keys;
}

static int key_line(const struct reader *r, const yaml_node_t *node, const char *key)
{
	return reader_line(schema_value(r, node, key) ?: node);
}

static int check_source(struct reader *r, yaml_node_t *node, const struct model_outside *g)
{
	static const char *const of_requests[] = { "headers", "caFile", NULL };
	unsigned n = !!g->metric[0] + !!g->prometheus[0] + !!g->target.url[0] + !!g->target.url_file[0];
	const char *key = first_of(r, node, of_requests);

	if (n != 1)
		return reader_fail_line(r, g->line, "'%s' has %s source; give one of metric, prometheus with query, url, urlFile",
					g->name, n ? "more than one" : "no");
	if (g->prometheus[0] && !g->query[0])
		return reader_fail_at(r, g->line, "query", "is missing; prometheus needs it");
	if (!g->prometheus[0] && g->query[0])
		return reader_fail_at(r, key_line(r, node, "query"), "query", "is for prometheus; take it out");
	if (!g->target.url[0] && !g->target.url_file[0] && g->pointer[0])
		return reader_fail_at(r, key_line(r, node, "pointer"), "pointer", "is for url and urlFile; take it out");
	if (g->metric[0] && key)
		return reader_fail_at(r, key_line(r, node, key), key, "is for requests, and metric makes none; take it out");
	return 0;
}

/* Without $version both arms would be one series. */
static int check_compared(struct reader *r, yaml_node_t *node, const struct model_outside *g)
{
	static const char *const of_bounds[] = { "min", "max", "threshold", "consecutive", NULL };
	const char *key = first_of(r, node, of_bounds);
	const char *asked = g->prometheus[0] ? g->query : g->target.url;

	if (key)
		return reader_fail_at(r, key_line(r, node, key), key, "is for gates with a limit, and this one compares; take it out");
	if (!g->metric[0] && !g->target.url_file[0] && !strstr(asked, "$version"))
		return reader_fail_at(r, key_line(r, node, g->prometheus[0] ? "query" : "url"), g->prometheus[0] ? "query" : "url",
				      "has no $version; compare asks for the canary and for stable, so put it in");
	if (!isnan(g->weight) && (g->weight < 0 || g->weight > 100))
		return reader_fail_at(r, key_line(r, node, "weight"), "weight", "%g is out of range; it must be from 0 to 100", g->weight);
	return 0;
}

static int check_bounded(struct reader *r, yaml_node_t *node, const struct model_outside *g)
{
	static const char *const of_compare[] = { "direction", "tolerance", "confidence", "effect", "group", "weight", NULL };
	const char *key = first_of(r, node, of_compare);

	if (key)
		return reader_fail_at(r, key_line(r, node, key), key, "is for compare: mannWhitney; take it out");
	if (isinf(g->min) && isinf(g->max))
		return reader_fail_at(r, g->line, "max", "is missing; a gate needs min, max or compare: mannWhitney");
	if (g->min > g->max)
		return reader_fail_at(r, key_line(r, node, "min"), "min", "%g is above max (%g); no value would pass, so raise max", g->min, g->max);
	return 0;
}

int outside_read(struct reader *r, yaml_node_t *node, struct model_outside *g)
{
	int err;

	*g = (struct model_outside){
		.min = -INFINITY, .max = INFINITY, .threshold = 3, .consecutive = true, .check_interval = 10 * NS_PER_S,
		.max_age = NS_PER_M, .direction = MANNWHITNEY_EITHER, .tolerance = 0.25, .confidence = 0.98, .weight = NAN,
		.line = reader_line(node),
	};
	err = schema_read(r, node, &outside_schema, g);
	if (err)
		return err;
	if (g->compare && !schema_value(r, node, "action"))
		g->hold = true;
	if (!g->group[0])
		snprintf(g->group, sizeof(g->group), "%s", g->name);
	err = check_source(r, node, g) ?: g->compare ? check_compared(r, node, g) : check_bounded(r, node, g);
	if (!err && g->max_age < g->check_interval)
		return reader_fail_at(r, key_line(r, node, "maxAge"), "maxAge",
				      "is shorter than checkInterval, so every value would be too old; make it longer");
	return err;
}

int outside_check_weights(struct reader *r, const struct model_rollout *p)
{
	double sum = 0;

	for (size_t i = 0; i < p->n_outside; i++) {
		const struct model_outside *g = &p->outside[i];
		bool first = !isnan(g->weight);

		for (size_t j = 0; j < i; j++) {
			const struct model_outside *h = &p->outside[j];

			if (strcmp(h->group, g->group) || isnan(h->weight) || isnan(g->weight))
				continue;
			first = false;
			if (h->weight != g->weight)
				return reader_fail_at(r, g->line, "gates", "group %s has two weights, %g and %g; give it one", g->group,
						      h->weight, g->weight);
		}
		sum += first ? g->weight : 0;
		if (sum > 100 + 1e-9)
			return reader_fail_at(r, g->line, "gates", "the groups' weights are %g together; they may be 100", sum);
	}
	return 0;
}

int outside_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to)
{
	to->outside = NULL;
	if (!from->n_outside)
		return 0;
	to->outside = malloc(from->n_outside * sizeof(*to->outside));
	if (!to->outside)
		return reader_no_memory(r);
	memcpy(to->outside, from->outside, from->n_outside * sizeof(*to->outside));
	return 0;
}
