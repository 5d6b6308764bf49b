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
	comparison_defaults(&p->compare);
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
static const struct schema_choice modes[] = { SCHEMA_WORD("act", false), SCHEMA_WORD("observe", true), {} };
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
	{ .name = "mode", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_rollout, observe), .choices = modes },
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
	{ .name = "gates", .read = gates_read },
	{ .name = "webhooks", .read = webhooks_read },
	{ .name = "score", .type = SCHEMA_MAP, .map = &score_schema },
	{ .name = "beta", .type = SCHEMA_FRACTION, SCHEMA_FIELD(struct model_rollout, compare.beta), .min = 1,
	  .max = MILLION / 2 },
	{ .name = "maxLoss", .type = SCHEMA_PERCENT, SCHEMA_FIELD(struct model_rollout, compare.max_loss),
	  .max = PERCH_SHARE_ALL },
	{ .name = "maxLossPerHour", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_rollout, compare.max_loss_per_hour),
	  .max = 1000000000 },
	{ .name = "maxRatio", SCHEMA_FIELD(struct model_rollout, compare.ratio), .read = comparison_margin },
	{ .name = "maxSlowdown", SCHEMA_FIELD(struct model_rollout, compare.slowdown), .read = comparison_margin },
	{ .name = "warmup", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_rollout, compare.warmup),
	  .max = TIME_MOST },
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
