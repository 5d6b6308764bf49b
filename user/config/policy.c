// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `rollout` of a service: steps, times, gates, and the rules
 * that hold between them.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/freeze.h"
#include "parts.h"
#include "policy_steps.h"
#include "values.h"

#define TIME_MOST (8760 * NS_PER_H)	/* a year */
#define MILLION 1000000

void policy_set_defaults(struct model_rollout *p)
{
	*p = (struct model_rollout){
		.interval = 60 * NS_PER_S,
		.min_connections = 30,
		.max_step_time = 30 * NS_PER_M,
		.progress_deadline = 24 * NS_PER_H,
		.watch = NS_PER_H,
		.holdback = 500,
		.keep_previous = 24 * NS_PER_H,
		.alpha = 0.01,
		.reflex = 10,
		.score_pass = 9500, .score_marginal = 7500,
	};
	policy_steps_default(p);
}

static int read_pause(struct reader *r, yaml_node_t *node, void *step)
{
	static const struct schema_key length = {
		.type = SCHEMA_DURATION, .size = sizeof(__u64), .min = 100 * NS_PER_MS, .max = TIME_MOST,
	};
	struct model_step *s = step;
	const char *text;

	if (schema_text(r, node, "manual or a duration", &text))
		return -EINVAL;
	s->manual = !strcmp(text, "manual");
	return s->manual ? 0 : schema_field(r, node, &length, &s->pause);
}

static const struct schema_key step_keys[] = {
	{ .name = "weight", .type = SCHEMA_PERCENT, .required = true, SCHEMA_FIELD(struct model_step, share),
	  .max = PERCH_SHARE_ALL },
	{ .name = "pause", .read = read_pause },
	{}
};
static const struct schema step_schema = { "a step", step_keys };

static int read_step(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_step *s = element;

	*s = (struct model_step){};
	if (node->type == YAML_MAPPING_NODE)
		return schema_read(r, node, &step_schema, s);
	return schema_field(r, node, &step_keys[0], s);
}

/* A gate as it is written: what max means depends on the signal. */
struct gate_text {
	unsigned signal;
	double quantile;
	yaml_node_t *max;
};

static int read_max(struct reader *r, yaml_node_t *node, void *field)
{
	*(yaml_node_t **)field = node;
	return 0;
}

static const struct schema_choice signals[] = {
	SCHEMA_WORD("connect_failure", MODEL_CONNECT_FAILURE),
	SCHEMA_WORD("reset", MODEL_RESET),
	SCHEMA_WORD("response_time", MODEL_RESPONSE_TIME),
	SCHEMA_WORD_LATER("connect_time"), SCHEMA_WORD_LATER("no_response"), SCHEMA_WORD_LATER("retransmits"),
	SCHEMA_WORD_LATER("http_4xx"), SCHEMA_WORD_LATER("http_5xx"), SCHEMA_WORD_LATER("udp_no_reply"), {}
};

#define FROM_OUTSIDE "it is for gates from outside, which have a name and a source and no signal"
static const struct schema_key gate_keys[] = {
	{ .name = "signal", .type = SCHEMA_CHOICE, .required = true, SCHEMA_FIELD(struct gate_text, signal),
	  .choices = signals },
	{ .name = "max", SCHEMA_FIELD(struct gate_text, max), .read = read_max },
	{ .name = "quantile", .type = SCHEMA_FRACTION, SCHEMA_FIELD(struct gate_text, quantile), .min = 1,
	  .max = MILLION - 1 },
	SCHEMA_NOT_HERE("action", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("caFile", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("checkInterval", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("compare", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("confidence", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("consecutive", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("critical", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("direction", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("effect", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("group", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("headers", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("initialDelay", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("maxAge", FROM_OUTSIDE),
	SCHEMA_NOT_YET("maxRatio", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("maxSlowdown", SCHEMA_NO_OFF),
	SCHEMA_NOT_HERE("metric", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("min", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("name", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("pointer", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("prometheus", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("query", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("threshold", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("tolerance", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("url", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("urlFile", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("weight", FROM_OUTSIDE),
	{}
};
static const struct schema gate_schema = { "a gate", gate_keys };

/* A share of bad connections; none or all of them is no limit to test. */
static int gate_share(struct reader *r, const struct gate_text *t, struct model_gate *g)
{
	static const struct schema_key range = {
		.type = SCHEMA_PERCENT, .size = sizeof(__u32), .min = 1, .max = PERCH_SHARE_ALL - 1,
	};
	size_t back;
	__u32 share;

	if (t->quantile)
		return reader_fail_at(r, g->line, "quantile", "is for response_time only; leave it out");
	back = reader_enter(r, "max");
	if (schema_field(r, t->max, &range, &share))
		return -EINVAL;
	reader_leave(r, back);
	g->max = (double)share / PERCH_SHARE_ALL;
	snprintf(g->name, sizeof(g->name), "%s", signals[t->signal].name);
	return 0;
}

static int gate_limit(struct reader *r, const struct gate_text *t, struct model_gate *g)
{
	static const struct schema_key range = {
		.type = SCHEMA_DURATION, .size = sizeof(__u64), .min = NS_PER_MS / 100, .max = NS_PER_M,
	};
	size_t back;

	if (!t->quantile)
		return reader_fail_at(r, g->line, "quantile", "is missing; max of response_time needs it, like 0.99");
	back = reader_enter(r, "max");
	if (schema_field(r, t->max, &range, &g->limit))
		return -EINVAL;
	reader_leave(r, back);
	g->quantile = t->quantile;
	/* 1 - 0.99 is not 0.01 in doubles */
	g->max = (MILLION - round(t->quantile * MILLION)) / MILLION;
	snprintf(g->name, sizeof(g->name), "response_time p%g", t->quantile * 100);
	return 0;
}

static int read_gate(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_gate *g = element;
	struct gate_text text = {};
	int err;

	*g = (struct model_gate){ .line = reader_line(node) };
	err = schema_read(r, node, &gate_schema, &text);
	if (err)
		return err;
	g->signal = text.signal;
	if (!text.max)
		return reader_fail_at(r, g->line, "max",
				      "is missing; to compare %s with stable is not supported yet, an absolute limit is",
				      signals[text.signal].name);
	return text.signal == MODEL_RESPONSE_TIME ? gate_limit(r, &text, g) : gate_share(r, &text, g);
}

/* The list as it is written: gates on signals and from outside. */
struct gate_nodes {
	yaml_node_t *gate[MODEL_GATES + MODEL_OUTSIDE];
	size_t n_gates;
};

static int keep_node(struct reader *r, yaml_node_t *node, void *element)
{
	*(yaml_node_t **)element = node;
	return 0;
}

static int read_one(struct reader *r, yaml_node_t *node, struct model_rollout *p, size_t i)
{
	int err;

	if (outside_is(r, node)) {
		if (p->n_outside == MODEL_OUTSIDE)
			return reader_fail(r, node, "is one gate from outside too many; there may be %d", MODEL_OUTSIDE);
		err = outside_read(r, node, &p->outside[p->n_outside]);
		p->outside[p->n_outside++].element = i;
		return err;
	}
	if (p->n_gates == MODEL_GATES)
		return reader_fail(r, node, "is one gate on a signal too many; there may be %d", MODEL_GATES);
	err = read_gate(r, node, &p->gate[p->n_gates]);
	p->gate[p->n_gates++].element = i;
	return err;
}

static int read_gates(struct reader *r, yaml_node_t *node, void *rollout)
{
	static const struct schema_list list = {
		.what = "gates", .size = sizeof(yaml_node_t *), .max = MODEL_GATES + MODEL_OUTSIDE, .inlined = true,
		.read = keep_node,
	};
	static const struct schema_key key = {
		.type = SCHEMA_LIST, .offset = offsetof(struct gate_nodes, gate), .n_offset = offsetof(struct gate_nodes, n_gates),
		.list = &list,
	};
	struct model_rollout *p = rollout;
	struct gate_nodes nodes = {};
	int err = schema_field(r, node, &key, &nodes);

	free(p->outside);	/* of the defaults */
	p->n_gates = p->n_outside = 0;
	p->outside = nodes.n_gates ? calloc(nodes.n_gates, sizeof(*p->outside)) : NULL;
	if (nodes.n_gates && !p->outside)
		return reader_no_memory(r);
	for (size_t i = 0; !err && i < nodes.n_gates; i++) {
		size_t back = reader_enter_element(r, i);

		err = read_one(r, nodes.gate[i], p, i);
		if (!err)
			reader_leave(r, back);
	}
	return err;
}

static const struct schema_key score_keys[] = {
	{ .name = "pass", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, score_pass), .max = PERCH_SHARE_ALL },
	{ .name = "marginal", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, score_marginal), .max = PERCH_SHARE_ALL },
	{}
};
static const struct schema score_schema = { "score", score_keys };
static const struct schema_choice strategies[] = {
	SCHEMA_WORD("canary", MODEL_CANARY), SCHEMA_WORD("blueGreen", MODEL_BLUE_GREEN),
	SCHEMA_WORD("experiment", MODEL_EXPERIMENT), {}
};
static const struct schema_choice modes[] = { SCHEMA_WORD("act", 0), SCHEMA_WORD_LATER("observe"), {} };
static const struct schema_choice inconclusives[] = {
	SCHEMA_WORD("hold", MODEL_HOLD), SCHEMA_WORD("advance", MODEL_ADVANCE), SCHEMA_WORD("rollback", MODEL_ROLL_BACK), {}
};
static const struct schema_key reflex_keys[] = {
	{ .name = "connectFailures", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_rollout, reflex), .max = 1000 }, {}
};
static const struct schema reflex_schema = { "reflex", reflex_keys };
static const struct schema_list step_list = {
	.what = "steps", .size = sizeof(struct model_step), .min = 1, .max = MODEL_STEPS, .inlined = true,
	.read = read_step,
};

static int read_freeze(struct reader *r, yaml_node_t *node, void *element)
{
	const char *text;

	if (schema_text(r, node, "a time of the week like \"Fri 16:00-Mon 08:00\"", &text))
		return -EINVAL;
	if (freeze_parse(text, element))
		return schema_misread(r, node, "a time of the week like \"Fri 16:00-Mon 08:00\"");
	return 0;
}

static const struct schema_list freeze_list = {
	.what = "freezes", .size = sizeof(struct model_freeze), .max = MODEL_FREEZES, .inlined = true, .read = read_freeze,
};

static const struct schema_key rollout_keys[] = {
	{ .name = "strategy", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_rollout, strategy), .choices = strategies },
	{ .name = "mode", .type = SCHEMA_CHOICE, .choices = modes },
	{ .name = "steps", .type = SCHEMA_LIST, .offset = offsetof(struct model_rollout, step),
	  .n_offset = offsetof(struct model_rollout, n_steps), .list = &step_list },
	{ .name = "interval", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, interval),
	  .min = 100 * NS_PER_MS, .max = TIME_MOST },
	{ .name = "minConnections", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_rollout, min_connections), .min = 1,
	  .max = 1000000000 },
	{ .name = "maxStepTime", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, max_step_time),
	  .min = 100 * NS_PER_MS, .max = TIME_MOST },
	{ .name = "onInconclusive", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_rollout, on_inconclusive),
	  .choices = inconclusives },
	{ .name = "stepWeight", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, step_weight), .min = 1,
	  .max = PERCH_SHARE_ALL },
	{ .name = "maxWeight", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, max_weight), .min = 1,
	  .max = PERCH_SHARE_ALL },
	{ .name = "freeze", .type = SCHEMA_LIST, .offset = offsetof(struct model_rollout, freeze),
	  .n_offset = offsetof(struct model_rollout, n_freeze), .list = &freeze_list },
	{ .name = "progressDeadline", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, progress_deadline),
	  .min = NS_PER_S, .max = TIME_MOST },
	{ .name = "watch", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, watch), .max = TIME_MOST },
	{ .name = "holdback", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, holdback),
	  .max = PERCH_SHARE_ALL - 1 },
	{ .name = "keepPrevious", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, keep_previous),
	  .max = TIME_MOST },
	{ .name = "alpha", .type = SCHEMA_FRACTION, SCHEMA_FIELD(struct model_rollout, alpha), .min = 1,
	  .max = MILLION / 2 },
	{ .name = "reflex", .type = SCHEMA_MAP, .map = &reflex_schema },
	{ .name = "gates", .read = read_gates },
	{ .name = "webhooks", .read = webhooks_read },
	{ .name = "score", .type = SCHEMA_MAP, .map = &score_schema },
	SCHEMA_NOT_YET("beta", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("maxLoss", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("maxLossPerHour", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("maxRatio", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("maxSlowdown", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("warmup", SCHEMA_OFF_ZERO),
	{}
};
static const struct schema rollout_schema = { "a rollout", rollout_keys };

static int check_times(struct reader *r, yaml_node_t *node, const struct model_rollout *p)
{
	char longer[VALUE_TEXT], shorter[VALUE_TEXT];
	yaml_node_t *named = schema_value(r, node, "maxStepTime");

	if (p->interval <= p->max_step_time)
		return 0;
	return reader_fail_at(r, reader_line(named ?: node), "maxStepTime",
			      "%s is shorter than interval (%s); no step could end, so make it longer",
			      value_format_duration(p->max_step_time, shorter),
			      value_format_duration(p->interval, longer));
}

/* Names are what a gate is told, skipped and found by. */
static int check_outside(struct reader *r, yaml_node_t *node, const struct model_rollout *p)
{
	size_t back = reader_enter(r, "gates");

	for (size_t i = 0; i < p->n_outside; i++) {
		const struct model_outside *g = &p->outside[i];
		size_t up = reader_enter_element(r, g->element);

		for (size_t j = 0; j < p->n_gates; j++)
			if (!strcmp(g->name, p->gate[j].name))
				return reader_fail_at(r, g->line, "name", "'%s' is a gate on a signal; take another name", g->name);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(g->name, p->outside[j].name))
				return reader_fail_at(r, g->line, "name", "'%s' is a gate already, on line %d; take another name", g->name,
						      p->outside[j].line);
		reader_leave(r, up);
	}
	reader_leave(r, back);
	if (p->score_marginal > p->score_pass)
		return reader_fail_at(r, reader_line(schema_value(r, node, "score") ?: node), "score",
				      "marginal is above pass; lower it");
	return outside_check_weights(r, p);
}

static int check_gates(struct reader *r, const struct model_rollout *p)
{
	size_t back = reader_enter(r, "gates"), timed = 0;

	for (size_t i = 0; i < p->n_gates; i++) {
		const struct model_gate *g = &p->gate[i];
		size_t up = reader_enter_element(r, g->element);

		for (size_t j = 0; j < i; j++)
			if (!strcmp(g->name, p->gate[j].name))
				return reader_fail_line(r, g->line,
							"%s has a gate already, on line %d; keep the lower limit",
							g->name, p->gate[j].line);
		timed += g->signal == MODEL_RESPONSE_TIME;
		if (timed > PERCH_LIMITS)
			return reader_fail_line(r, g->line,
						"is the fifth gate on response_time; the kernel counts %d limits",
						PERCH_LIMITS);
		reader_leave(r, up);
	}
	reader_leave(r, back);
	return 0;
}

int policy_read(struct reader *r, yaml_node_t *node, void *field)
{
	struct model_rollout *p = field;
	enum model_strategy strategy = p->strategy;
	int err;

	err = schema_read(r, node, &rollout_schema, p);
	err = err ?: policy_steps_make(r, node, p, strategy);
	err = err ?: check_times(r, node, p);
	err = err ?: policy_steps_check(r, node, p);
	return err ?: check_gates(r, p) ?: check_outside(r, node, p);
}

int policy_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to)
{
	*to = *from;
	to->webhooks = NULL;
	return outside_copy(r, from, to) ?: webhooks_copy(r, from, to);
}

void policy_free(struct model_rollout *p)
{
	free(p->outside);
	free(p->webhooks);
}
