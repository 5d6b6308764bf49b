// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Gates from outside: one state per gate of a service in a rollout, fed by
 * requests of its own or by values that were pushed.  A request belongs to its
 * gate; when that goes (a reload, the end of the rollout), it is cancelled.
 */
#include "gates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/judge/outside.h"
#include "../clock.h"
#include "answer.h"
#include "ask.h"
#include "fetch.h"
#include "pushed.h"

#define ASK_MOST_MS 10000
enum side { CANARY, BASELINE, ARMS };

struct outside_gate;

struct outside_ask {
	struct outside_gate *gate;
	struct fetch *fetch;	/* NULL: none is under way */
	double value;
	bool have;
};

struct outside_gate {
	struct model_outside model;	/* a copy: a reload frees the configuration */
	struct outside_state state;
	struct outside_ask ask[ARMS];
	__u64 asked;		/* ns */
	bool failed;		/* of the requests of this check */
};

struct outside {
	const struct model_service *of;	/* the configuration that the gates are from */
	__u64 started;		/* the rollout that they were looked up for */
	size_t n;
	struct outside_gate *gate[MODEL_OUTSIDE];
	struct outside_ruling ruling;
};

static void gate_free(struct outside_gate *g)
{
	for (int i = 0; g && i < ARMS; i++)
		fetch_cancel(g->ask[i].fetch);
	free(g);
}

void outside_free(struct outside *o)
{
	for (size_t i = 0; o && i < o->n; i++)
		gate_free(o->gate[i]);
	free(o);
}

/* The same question and the same limits, wherever they are written. */
static bool gate_same(const struct model_outside *a, const struct model_outside *b)
{
	return !memcmp(a, b, offsetof(struct model_outside, line));
}

static struct outside_gate *gate_new(const struct model_outside *m)
{
	struct outside_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	memcpy(&g->model, m, sizeof(g->model));
	for (int i = 0; i < ARMS; i++)
		g->ask[i].gate = g;
	return g;
}

/* Gates that a reload left alone keep what they know.  -ENOMEM: as before. */
static int outside_follow(struct outside *o, const struct service *s)
{
	const struct model_rollout *p = &s->model->rollout;
	struct outside_gate *gate[MODEL_OUTSIDE] = {};

	for (size_t i = 0; i < p->n_outside; i++) {
		for (size_t j = 0; j < o->n && !gate[i]; j++) {
			if (!o->gate[j] || !gate_same(&o->gate[j]->model, &p->outside[i]))
				continue;
			gate[i] = o->gate[j];
			o->gate[j] = NULL;
		}
		if (!gate[i])
			gate[i] = gate_new(&p->outside[i]);
		if (!gate[i]) {	/* the machine is told that they wait */
			for (size_t j = 0; j < i; j++)
				gate_free(gate[j]);
			p = NULL;
			break;
		}
	}
	for (size_t j = 0; j < o->n; j++)
		gate_free(o->gate[j]);
	o->n = p ? p->n_outside : 0;
	o->of = p ? s->model : NULL;
	o->started = s->keep.rollout.started;
	memcpy(o->gate, gate, sizeof(gate));
	return p ? 0 : -ENOMEM;
}

static void where(const struct service *s, struct outside_now *t)
{
	const struct rollout *r = &s->keep.rollout;
	__u64 now = clock_now();

	*t = (struct outside_now){
		.now = now, .started = r->started, .step_since = r->step_since, .step = r->step, .watching = r->watching,
		.step_over = !r->pending && now > r->step_since &&
			     now - r->step_since >= rollout_step_time(r, &s->model->rollout),
	};
}

static const char *version_of(const struct service *s, enum side side)
{
	int slot = -1;

	if (side == CANARY)
		return s->keep.rollout.canary;
	if (s->baseline_share)
		slot = slot_of_role(s->slot, PERCH_ROLE_BASELINE);
	if (slot < 0)
		slot = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	return slot >= 0 ? s->slot[slot].name : "";
}

/* The newest value of an arm, NAN when there is none since the last check. */
static double pushed_since(const struct agent *a, const struct service *s, const struct outside_gate *g, enum side side,
			   __u64 since, __u64 *ret_at)
{
	const struct pushed_series *series = pushed_find(&a->pushed, s->name, version_of(s, side), g->model.metric);

	if (!series || pushed_last(series)->at <= since)
		return NAN;
	*ret_at = pushed_last(series)->at;
	return pushed_last(series)->value;
}

static void look_at_pushed(const struct agent *a, const struct service *s, struct outside_gate *g)
{
	char why[OUTSIDE_WHY];
	__u64 at = 0;
	double canary = pushed_since(a, s, g, CANARY, g->asked, &at);

	if (g->model.compare) {
		double baseline = pushed_since(a, s, g, BASELINE, g->asked, &at);

		if (at)
			outside_pair(&g->state, at, canary, baseline);
	} else if (at) {
		outside_value(&g->state, &g->model, at, canary);
	}
	if (at) {
		g->asked = at;
		return;
	}
	snprintf(why, sizeof(why), "no new %.40s was pushed for %.40s", g->model.metric, version_of(s, CANARY));
	outside_trouble(&g->state, why);
}

/* All requests of this check have ended. */
static void check_done(struct outside_gate *g)
{
	if (g->failed)
		return;
	if (g->model.compare)
		outside_pair(&g->state, g->asked, g->ask[CANARY].value, g->ask[BASELINE].value);
	else
		outside_value(&g->state, &g->model, g->asked, g->ask[CANARY].value);
}

static int read_answer(const struct model_outside *m, const struct fetch_answer *answer, double *ret, char why[ANSWER_WHY])
{
	int r;

	if (answer->error) {
		snprintf(why, ANSWER_WHY, "%.100s", answer->error);
		return -EIO;
	}
	r = m->prometheus[0] ? answer_prometheus(answer->body, answer->length, ret, why) :
			       answer_pointer(answer->body, answer->length, m->pointer, ret, why);
	/* Prometheus says what is wrong in the body of a 400 */
	if (answer->status < 200 || answer->status > 299) {
		char said[ANSWER_WHY] = "";

		if (r && m->prometheus[0])
			snprintf(said, sizeof(said), ": %.80s", why);
		snprintf(why, ANSWER_WHY, "the answer has status %ld%.90s", answer->status, said);
		return -EIO;
	}
	return r;
}

static void answered(void *arg, const struct fetch_answer *answer)
{
	struct outside_ask *ask = arg;
	struct outside_gate *g = ask->gate;
	char why[ANSWER_WHY];

	ask->fetch = NULL;
	if (read_answer(&g->model, answer, &ask->value, why)) {
		g->failed = true;
		outside_trouble(&g->state, why);
	}
	if (!g->ask[CANARY].fetch && !g->ask[BASELINE].fetch)
		check_done(g);
}

static int ask_one(struct agent *a, const struct service *s, struct outside_gate *g, enum side side, char why[ASK_WHY])
{
	const struct model_outside *m = &g->model;
	struct ask_names names = { s->name, version_of(s, side) };
	__u64 ms = m->check_interval / NS_PER_MS;
	struct ask ask;
	int r;

	r = m->prometheus[0] ? ask_prometheus(&ask, m->prometheus, m->query, &m->target, &names, why) :
			       ask_target(&ask, &m->target, &names, why);
	if (r)
		return r;
	ask.fetch.timeout_ms = ms < ASK_MOST_MS ? ms : ASK_MOST_MS;
	g->ask[side].fetch = fetch_start(a->fetcher, &ask.fetch, answered, &g->ask[side]);
	if (!g->ask[side].fetch)
		snprintf(why, ASK_WHY, "out of memory");
	ask_clear(&ask);
	return g->ask[side].fetch ? 0 : -ENOMEM;
}

static void check(struct agent *a, const struct service *s, struct outside_gate *g)
{
	char why[ASK_WHY] = "";
	int r;

	if (g->model.metric[0]) {
		look_at_pushed(a, s, g);
		return;
	}
	if (g->ask[CANARY].fetch || g->ask[BASELINE].fetch)
		return;
	g->asked = clock_now();
	g->failed = false;
	r = ask_one(a, s, g, CANARY, why);
	if (!r && g->model.compare)
		r = ask_one(a, s, g, BASELINE, why);
	if (r) {
		g->failed = true;
		outside_trouble(&g->state, why);
	}
}

void outside_look(struct agent *a, struct service *s)
{
	struct outside_now t;

	/* another configuration may have come to lie where an old one was */
	if (s->outside && (s->outside->of != s->model || s->outside->started != s->keep.rollout.started))
		outside_follow(s->outside, s);
	if (!s->model->rollout.n_outside)
		return;
	if (!s->outside) {
		s->outside = calloc(1, sizeof(*s->outside));
		if (!s->outside || outside_follow(s->outside, s))
			return;
	}
	where(s, &t);
	for (size_t i = 0; i < s->outside->n; i++) {
		struct outside_gate *g = s->outside->gate[i];

		outside_begin(&g->state, &g->model, &t);
		if (outside_due(&g->state, &g->model, &t))
			check(a, s, g);
	}
}

void outside_input(struct service *s, struct rollout_input *in)
{
	struct outside *o = s->outside;
	struct outside_state *state[MODEL_OUTSIDE];
	struct outside_now t;

	if (!s->model->rollout.n_outside || !service_in_rollout(s))
		return;
	if (!o || o->of != s->model) {	/* before the first look, or no memory */
		in->outside_waits = "gates from outside were not looked at yet";
		return;
	}
	where(s, &t);
	for (size_t i = 0; i < o->n; i++) {
		state[i] = &o->gate[i]->state;
		outside_begin(state[i], &o->gate[i]->model, &t);
		if (rollout_skips(&s->keep.rollout, &s->model->rollout, MODEL_GATES + i))
			state[i] = NULL;
	}
	outside_rule(&s->model->rollout, state, &t, &o->ruling);
	if (o->ruling.action == OUTSIDE_ROLL_BACK)
		in->outside_fails = o->ruling.why;
	else if (o->ruling.action != OUTSIDE_GO_ON)
		in->outside_waits = o->ruling.why;
	in->outside_holds = o->ruling.action == OUTSIDE_HOLD;
}

static json_t *number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *test_json(const struct outside_gate *g)
{
	const struct mannwhitney_result *t = &g->state.test;

	if (!g->state.looked)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "classification", mannwhitney_class_name(t->class), "why", t->why,
			 "lower", number_or_null(t->lower), "upper", number_or_null(t->upper), "estimate",
			 number_or_null(t->estimate), "effect", number_or_null(t->effect));
}

static json_t *gate_json(const struct service *s, size_t i)
{
	const struct outside_gate *g = s->outside->gate[i];
	const struct model_outside *m = &g->model;
	const struct outside_state *st = &g->state;
	struct outside_now t;
	json_t *o;

	where(s, &t);
	o = json_pack("{s:s, s:s, s:s, s:b, s:s, s:b}", "name", m->name, "source",
		      m->metric[0] ? "metric" : m->prometheus[0] ? "prometheus" : "url", "verdict",
		      outside_verdict_name(outside_verdict(st, m, &t)), "critical", m->critical, "action",
		      m->hold ? "hold" : "rollback", "underAlpha", false);
	json_object_set_new(o, "skipped", json_boolean(rollout_skips(&s->keep.rollout, &s->model->rollout, MODEL_GATES + i)));
	json_object_set_new(o, "value", st->checks ? number_or_null(st->value) : json_null());
	json_object_set_new(o, "age", st->seen && t.now >= st->seen ? json_real((t.now - st->seen) / 1e9) : json_null());
	json_object_set_new(o, "min", number_or_null(m->min));
	json_object_set_new(o, "max", number_or_null(m->max));
	json_object_set_new(o, "checks", json_integer(st->checks));
	json_object_set_new(o, "failures", json_integer(st->failures));
	json_object_set_new(o, "threshold", m->compare ? json_null() : json_integer(m->critical ? 1 : m->threshold));
	json_object_set_new(o, "trouble", st->trouble[0] ? json_string(st->trouble) : json_null());
	json_object_set_new(o, "baseline", m->compare && st->checks ? number_or_null(st->baseline) : json_null());
	json_object_set_new(o, "group", m->compare ? json_string(m->group) : json_null());
	json_object_set_new(o, "test", m->compare ? test_json(g) : json_null());
	return o;
}

json_t *outside_json(const struct service *s)
{
	json_t *list = json_array();

	for (size_t i = 0; s->outside && i < s->outside->n; i++)
		json_array_append_new(list, gate_json(s, i));
	return list;
}
