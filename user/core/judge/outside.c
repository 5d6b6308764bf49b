// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Gates that look at what others measured. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "outside.h"
#include "score.h"

const char *outside_verdict_name(enum outside_verdict v)
{
	static const char *const names[] = { "inconclusive", "pass", "fail" };

	return v < sizeof(names) / sizeof(*names) ? names[v] : "unknown";
}

static void step_begin(struct outside_state *st, const struct model_outside *gate, const struct outside_now *t)
{
	st->step = t->step;
	st->watching = t->watching;
	st->looked = false;
	st->of_canary.n = st->of_baseline.n = 0;
	/* what held the step before was a person's to judge, and was judged */
	if (gate->hold)
		st->failures = 0;
}

void outside_begin(struct outside_state *st, const struct model_outside *gate, const struct outside_now *t)
{
	if (!st->begun || st->started != t->started) {
		*st = (struct outside_state){ .begun = true, .started = t->started, .value = NAN, .baseline = NAN,
					      .due = t->started + gate->initial_delay };
		step_begin(st, gate, t);
	} else if (st->step != t->step || st->watching != t->watching) {
		step_begin(st, gate, t);
	}
}

bool outside_due(struct outside_state *st, const struct model_outside *gate, const struct outside_now *t)
{
	if (t->now < st->due)
		return false;
	st->due = t->now + gate->check_interval;
	return true;
}

static bool out_of_bounds(const struct model_outside *gate, double value)
{
	return value < gate->min || value > gate->max;
}

void outside_value(struct outside_state *st, const struct model_outside *gate, __u64 at, double value)
{
	if (!isfinite(value)) {
		outside_trouble(st, "the value is not a number");
		return;
	}
	st->value = value;
	st->seen = at;
	st->checks++;
	st->trouble[0] = 0;
	if (out_of_bounds(gate, value))
		st->failures++;
	else if (gate->consecutive)
		st->failures = 0;
}

static void series_add(struct outside_series *s, double value)
{
	s->value[s->n++ % OUTSIDE_VALUES] = value;
}

void outside_pair(struct outside_state *st, __u64 at, double canary, double baseline)
{
	if (st->looked)		/* one look: what comes later does not count */
		return;
	st->value = canary;
	st->baseline = baseline;
	st->seen = at;
	st->checks++;
	st->trouble[0] = 0;
	series_add(&st->of_canary, isfinite(canary) ? canary : NAN);
	series_add(&st->of_baseline, isfinite(baseline) ? baseline : NAN);
}

void outside_trouble(struct outside_state *st, const char *why)
{
	snprintf(st->trouble, sizeof(st->trouble), "%s", why);
}

static size_t series_length(const struct outside_series *s)
{
	return s->n < OUTSIDE_VALUES ? s->n : OUTSIDE_VALUES;
}

static void compare(struct outside_state *st, const struct model_outside *gate)
{
	struct mannwhitney_policy policy = mannwhitney_policy_of(gate->effect);

	policy.tolerance = gate->tolerance;
	policy.confidence = gate->confidence;
	policy.direction = gate->direction;
	st->looked = true;
	if (mannwhitney_judge(&policy, st->of_baseline.value, series_length(&st->of_baseline), st->of_canary.value,
			      series_length(&st->of_canary), &st->test))
		st->test = (struct mannwhitney_result){ MANNWHITNEY_NODATA, NAN, NAN, NAN, NAN, "out of memory" };
}

static bool is_stale(const struct outside_state *st, const struct model_outside *gate, const struct outside_now *t)
{
	return !st->seen || st->seen < t->step_since || (t->now > st->seen && t->now - st->seen > gate->max_age);
}

static bool has_failed(const struct outside_state *st, const struct model_outside *gate)
{
	return st->failures >= (gate->critical ? 1 : gate->threshold);
}

enum outside_verdict outside_verdict(const struct outside_state *st, const struct model_outside *gate,
				     const struct outside_now *t)
{
	if (gate->compare && (!st->looked || st->test.class == MANNWHITNEY_NODATA))
		return OUTSIDE_INCONCLUSIVE;
	if (gate->compare)
		return st->test.class == MANNWHITNEY_PASS ? OUTSIDE_PASS : OUTSIDE_FAIL;
	if (has_failed(st, gate))
		return OUTSIDE_FAIL;
	return is_stale(st, gate, t) || out_of_bounds(gate, st->value) ? OUTSIDE_INCONCLUSIVE : OUTSIDE_PASS;
}

/* The harder ruling stays, of equals the first. */
static __attribute__((format(printf, 3, 4))) void rule(struct outside_ruling *r, enum outside_action action,
						       const char *format, ...)
{
	va_list args;

	if (action <= r->action)
		return;
	r->action = action;
	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
}

static enum outside_action action_of(const struct model_outside *gate)
{
	return gate->hold ? OUTSIDE_HOLD : OUTSIDE_ROLL_BACK;
}

/* "91.5 is below min 98"; of a value that is good again, that it is. */
static void bound_format(const struct outside_state *st, const struct model_outside *gate, char out[OUTSIDE_WHY])
{
	if (st->value < gate->min)
		snprintf(out, OUTSIDE_WHY, "%.6g is below min %.6g", st->value, gate->min);
	else if (st->value > gate->max)
		snprintf(out, OUTSIDE_WHY, "%.6g is above max %.6g", st->value, gate->max);
	else
		snprintf(out, OUTSIDE_WHY, "%.6g is good again", st->value);
}

static void rule_bounds(const struct outside_state *st, const struct model_outside *gate, const struct outside_now *t,
			struct outside_ruling *r)
{
	const char *plural = st->failures == 1 ? "" : "s", *row = gate->consecutive && st->failures > 1 ? " in a row" : "";
	char bound[OUTSIDE_WHY];

	bound_format(st, gate, bound);
	if (has_failed(st, gate))
		rule(r, action_of(gate), "gate %s: %.60s, %u check%s failed%s", gate->name, bound, st->failures, plural, row);
	else if (is_stale(st, gate, t) && st->trouble[0])
		rule(r, OUTSIDE_WAIT, "gate %s: %s", gate->name, st->trouble);
	else if (is_stale(st, gate, t))
		rule(r, OUTSIDE_WAIT, "gate %s: %s", gate->name,
		     !st->seen || st->seen < t->step_since ? "no value yet" : "its value is older than maxAge");
	else if (out_of_bounds(gate, st->value))
		rule(r, OUTSIDE_WAIT, "gate %s: %.60s, %u of %u checks failed%s", gate->name, bound, st->failures, gate->threshold, row);
}

static bool group_has(const struct score_group *groups, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(groups[i].name, name))
			return true;
	return false;
}

/* Those with one test each at the end of the step. */
static void rule_score(const struct model_rollout *policy, struct outside_state *const *st, struct outside_ruling *r)
{
	struct score_metric metrics[MODEL_OUTSIDE];
	struct score_group groups[SCORE_GROUPS];
	const struct model_outside *worst = NULL;
	size_t n = 0, n_groups = 0;
	double pass, marginal;
	bool shown = false;
	struct score score;

	for (size_t i = 0; i < policy->n_outside; i++) {
		const struct model_outside *g = &policy->outside[i];
		bool bad = st[i] && g->compare && st[i]->test.class != MANNWHITNEY_PASS;

		if (!st[i] || !g->compare)
			continue;
		metrics[n++] = (struct score_metric){ g->group, st[i]->test.class, g->critical };
		if (!isnan(g->weight) && !group_has(groups, n_groups, g->group))
			groups[n_groups++] = (struct score_group){ .name = g->group, .weight = g->weight };
		shown = shown || (bad && !g->hold && st[i]->test.class != MANNWHITNEY_NODATA);
		if (bad && (!worst || (worst->hold && !g->hold)))
			worst = g;
	}
	if (!n || score_metrics(metrics, n, groups, &n_groups, &score))
		return;
	r->score = score.summary;
	pass = policy->score_pass / 100.0;
	marginal = policy->score_marginal / 100.0;
	if (!worst || score.summary >= pass)
		return;
	if (score.summary >= marginal)
		rule(r, OUTSIDE_HOLD, "score %.4g is below pass (%.4g): gate %s", score.summary, pass, worst->name);
	else	/* what nobody measured is no proof */
		rule(r, shown ? action_of(worst) : OUTSIDE_HOLD, "score %.4g is below marginal (%.4g): gate %s", score.summary,
		     marginal, worst->name);
}

void outside_rule(const struct model_rollout *policy, struct outside_state *const *st, const struct outside_now *t,
		  struct outside_ruling *ret)
{
	bool compared = false;

	*ret = (struct outside_ruling){ .score = NAN };
	for (size_t i = 0; i < policy->n_outside; i++) {
		const struct model_outside *gate = &policy->outside[i];

		if (!st[i])
			continue;
		if (!gate->compare) {
			rule_bounds(st[i], gate, t, ret);
			continue;
		}
		if (t->step_over && !st[i]->looked)
			compare(st[i], gate);
		compared = compared || st[i]->looked;
	}
	if (compared)
		rule_score(policy, st, ret);
}
