// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how a rollout's steps, times and gates are written again. */
#include <math.h>
#include <stdio.h>

#include "../core/compare.h"
#include "../core/freeze.h"
#include "leaves.h"
#include "values.h"

#define MILLION 1000000

static void steps(struct leaves *l, const struct model_rollout *p)
{
	char weight[VALUE_TEXT], pause[VALUE_TEXT];
	struct leaves_list list;

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct model_step *s = &p->step[i];

		value_format_percent(s->share, weight);
		if (s->manual || s->pause)
			leaves_element(&list, "{ weight: %s, pause: %s }", weight,
				       s->manual ? "manual" : value_format_duration(s->pause, pause));
		else
			leaves_element(&list, "%s", weight);
	}
	leaves_close(l, "steps", &list);
}

static void compared(struct leaves_list *list, const struct model_compare *c)
{
	for (unsigned g = 0; g < MODEL_EVENTS + MODEL_WAITS; g++) {
		double own = g < MODEL_EVENTS ? c->max_ratio[g] : c->max_slowdown[g - MODEL_EVENTS];

		if (own > 0)
			leaves_element(list, "{ signal: %s, %s: %.6g }", compare_gate_name(g),
				       g < MODEL_EVENTS ? "maxRatio" : "maxSlowdown", own);
		else if (own != 0)
			leaves_element(list, "{ signal: %s }", compare_gate_name(g));
	}
}

static void margin(struct leaves *l, const char *name, double value)
{
	char text[VALUE_TEXT];

	snprintf(text, sizeof(text), "%.6g", value);
	leaves_add(l, name, text);
}

static void gates(struct leaves *l, const struct model_rollout *p)
{
	char quantile[VALUE_TEXT], max[VALUE_TEXT];
	struct leaves_list list;

	if (!p->compare.given && model_compares(&p->compare))
		return leaves_add(l, "gates", "every signal that is seen");
	if (p->compare.given && !p->n_gates && !p->n_outside && !model_compares(&p->compare))
		return leaves_add(l, "gates", "[]");
	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < p->n_gates; i++) {
		const struct model_gate *g = &p->gate[i];

		if (g->signal == MODEL_RESPONSE_TIME)
			leaves_element(&list, "{ signal: response_time, quantile: %s, max: %s }",
				       value_format_millionths(llround(g->quantile * MILLION), quantile),
				       value_format_duration(g->limit, max));
		else
			leaves_element(&list, "{ signal: %s, max: %s }", g->name,
				       value_format_percent(lround(g->max * PERCH_SHARE_ALL), max));
	}
	compared(&list, &p->compare);
	for (size_t i = 0; i < p->n_outside; i++) {
		leaves_element(&list, "%s", "");
		leaves_outside(list.f, &p->outside[i]);
	}
	leaves_close(l, "gates", &list);
}

static void freezes(struct leaves *l, const struct model_rollout *p)
{
	struct leaves_list list;
	char text[FREEZE_TEXT];

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < p->n_freeze; i++)
		leaves_element(&list, "\"%s\"", freeze_format(&p->freeze[i], text));
	leaves_close(l, "freeze", &list);
}

static void webhooks(struct leaves *l, const struct model_rollout *p)
{
	struct leaves_list list;

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < p->n_webhooks; i++) {
		leaves_element(&list, "%s", "");
		leaves_webhook(list.f, &p->webhooks[i]);
	}
	leaves_close(l, "webhooks", &list);
}

void leaves_of_rollout(struct leaves *l, const struct model_rollout *p)
{
	static const char *const strategies[] = { "canary", "blueGreen", "experiment" };
	static const char *const inconclusives[] = { "hold", "advance", "rollback" };
	char alpha[VALUE_TEXT];
	size_t back;

	leaves_add(l, "strategy", strategies[p->strategy]);
	leaves_add(l, "mode", p->observe ? "observe" : "act");
	steps(l, p);
	leaves_add(l, "onInconclusive", inconclusives[p->on_inconclusive]);
	freezes(l, p);
	leaves_duration(l, "interval", p->interval);
	leaves_count(l, "minConnections", p->min_connections);
	leaves_duration(l, "maxStepTime", p->max_step_time);
	leaves_duration(l, "progressDeadline", p->progress_deadline);
	leaves_duration(l, "watch", p->watch);
	leaves_percent(l, "holdback", p->holdback);
	leaves_duration(l, "keepPrevious", p->keep_previous);
	leaves_add(l, "alpha", value_format_millionths(llround(p->alpha * MILLION), alpha));
	leaves_add(l, "beta", value_format_millionths(llround(p->compare.beta * MILLION), alpha));
	margin(l, "maxRatio", p->compare.ratio);
	margin(l, "maxSlowdown", p->compare.slowdown);
	leaves_percent(l, "maxLoss", p->compare.max_loss);
	leaves_count(l, "maxLossPerHour", p->compare.max_loss_per_hour);
	leaves_duration(l, "warmup", p->compare.warmup);
	back = leaves_enter(l, "reflex");
	leaves_count(l, "connectFailures", p->reflex);
	leaves_leave(l, back);
	gates(l, p);
	webhooks(l, p);
	back = leaves_enter(l, "score");
	leaves_percent(l, "pass", p->score_pass);
	leaves_percent(l, "marginal", p->score_marginal);
	leaves_leave(l, back);
}
