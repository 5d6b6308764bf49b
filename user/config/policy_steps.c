// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the steps of a rollout: the keys `steps`, `stepWeight` with `maxWeight`,
 * and what a strategy makes of them.
 */
#include <errno.h>

#include "policy_steps.h"
#include "schema.h"
#include "values.h"

static const __u32 default_steps[] = { 100, 500, 1000, 2500, 5000, PERCH_SHARE_ALL };

void policy_steps_default(struct model_rollout *p)
{
	p->step_weight = p->max_weight = 0;
	p->n_steps = sizeof(default_steps) / sizeof(default_steps[0]);
	for (size_t i = 0; i < p->n_steps; i++)
		p->step[i] = (struct model_step){ .share = default_steps[i] };
}

/* 0 %, where its door is looked through; a person; all. */
static void blue_green(struct model_rollout *p)
{
	p->step_weight = p->max_weight = 0;
	p->step[0] = (struct model_step){ .manual = true };
	p->step[1] = (struct model_step){ .share = PERCH_SHARE_ALL };
	p->n_steps = 2;
}

/* stepWeight, twice that, ... up to maxWeight, which is the last. */
static int even_steps(struct reader *r, yaml_node_t *node, struct model_rollout *p)
{
	yaml_node_t *named = schema_value(r, node, "stepWeight") ?: schema_value(r, node, "maxWeight") ?: node;
	__u32 most = p->max_weight ? p->max_weight : PERCH_SHARE_ALL, share = 0;
	char text[VALUE_TEXT], least[VALUE_TEXT];

	if (p->step_weight > most)
		return reader_fail_at(r, reader_line(named), "stepWeight", "%s is above maxWeight (%s); make it smaller",
				      value_format_percent(p->step_weight, text), value_format_percent(most, least));
	if ((most + p->step_weight - 1) / p->step_weight > MODEL_STEPS)
		return reader_fail_at(r, reader_line(named), "stepWeight", "%s makes more than %d steps; write %s or more",
				      value_format_percent(p->step_weight, text), MODEL_STEPS,
				      value_format_percent((most + MODEL_STEPS - 1) / MODEL_STEPS, least));
	for (p->n_steps = 0; share < most; p->n_steps++) {
		share = share + p->step_weight < most ? share + p->step_weight : most;
		p->step[p->n_steps] = (struct model_step){ .share = share };
	}
	/* what stays on stable while the last step is watched is no step of its own */
	while (p->watch && most == PERCH_SHARE_ALL && p->n_steps > 1 &&
	       p->step[p->n_steps - 2].share > PERCH_SHARE_ALL - p->holdback)
		p->step[--p->n_steps - 1] = (struct model_step){ .share = PERCH_SHARE_ALL };
	return 0;
}

static int refuse_both(struct reader *r, yaml_node_t *value, const char *key, const char *why)
{
	return reader_fail_at(r, reader_line(value), key, "%s", why);
}

int policy_steps_make(struct reader *r, yaml_node_t *node, struct model_rollout *p, enum model_strategy before)
{
	yaml_node_t *steps = schema_value(r, node, "steps"), *even = schema_value(r, node, "stepWeight");
	yaml_node_t *most = schema_value(r, node, "maxWeight");

	if (p->strategy == MODEL_BLUE_GREEN && (steps || even || most))
		return refuse_both(r, steps ?: even ?: most, steps ? "steps" : even ? "stepWeight" : "maxWeight",
				   "does not belong to strategy blueGreen, whose steps are 0 and 100; leave it out or write strategy: canary");
	if (steps && (even || most))
		return refuse_both(r, even ?: most, even ? "stepWeight" : "maxWeight", "is given beside steps; keep one of them");
	if (p->strategy == MODEL_BLUE_GREEN)
		blue_green(p);
	else if (steps)
		p->step_weight = p->max_weight = 0;
	else if (p->step_weight)
		return even_steps(r, node, p);
	else if (most)
		return refuse_both(r, most, "maxWeight", "ends the steps that stepWeight makes; write stepWeight too, or steps");
	else if (before == MODEL_BLUE_GREEN)
		policy_steps_default(p);
	return 0;
}

static int check_step(struct reader *r, int line, const struct model_rollout *p, size_t i)
{
	bool watched = p->watch && p->step[p->n_steps - 1].share == PERCH_SHARE_ALL, last = i == p->n_steps - 1;
	__u32 share = p->step[i].share, most = PERCH_SHARE_ALL - p->holdback;
	char a[VALUE_TEXT], b[VALUE_TEXT];

	if (i && share <= p->step[i - 1].share)
		return reader_fail_line(r, line, "%s is not above the step before (%s); steps only grow",
					value_format_percent(share, a),
					value_format_percent(p->step[i - 1].share, b));
	if (!share && !p->step[i].manual)
		return reader_fail_line(r, line,
					"0 gets no connections to judge; write { weight: 0, pause: manual } or begin higher");
	if (!(watched && last) && p->step[i].pause > p->max_step_time)
		return reader_fail_line(r, line, "a pause of %s is longer than maxStepTime (%s); raise maxStepTime",
					value_format_duration(p->step[i].pause, a),
					value_format_duration(p->max_step_time, b));
	/* the final 100 means "all but holdback" while it is watched */
	if (watched && !last && share > most)
		return reader_fail_line(r, line,
					"%s is above 100 - holdback (%s), the last step; lower it or holdback",
					value_format_percent(share, a), value_format_percent(most, b));
	return 0;
}

int policy_steps_check(struct reader *r, yaml_node_t *node, const struct model_rollout *p)
{
	yaml_node_t *list = schema_value(r, node, "steps");
	size_t back = reader_enter(r, "steps");

	for (size_t i = 0; i < p->n_steps; i++) {
		yaml_node_t *step = list ? reader_node(r, list->data.sequence.items.start[i]) : node;
		size_t up = reader_enter_element(r, i);
		int err = check_step(r, reader_line(step), p, i);

		if (err)
			return err;
		reader_leave(r, up);
	}
	reader_leave(r, back);
	return 0;
}
