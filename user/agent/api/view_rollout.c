// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A rollout as JSON: where it is, what holds it, and what its gates say. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../../core/compare.h"
#include "../clock.h"
#include "../outside/gates.h"
#include "../rollout/blaming.h"
#include "../rollout/comparing.h"
#include "view.h"

static const char *signal_name(enum model_signal signal)
{
	switch (signal) {
	case MODEL_CONNECT_FAILURE: return "connect_failure";
	case MODEL_RESET: return "reset";
	default: return "response_time";
	}
}

json_t *view_counts(__u64 bad, __u64 n)
{
	return json_pack("{s:I, s:I}", "bad", (json_int_t)bad, "of", (json_int_t)n);
}

/* Canary's share of bad connections over stable's. */
json_t *view_ratio(__u64 canary_bad, __u64 canary_n, __u64 stable_bad, __u64 stable_n)
{
	if (!canary_n || !stable_n || !stable_bad)
		return json_null();
	return view_number(((double)canary_bad / canary_n) / ((double)stable_bad / stable_n));
}

static json_t *view_gate(const struct service *s, unsigned g)
{
	const struct model_rollout *policy = &s->model->rollout;
	const struct model_gate *gate = &policy->gate[g];
	const struct rollout_keep *k = &s->keep;
	bool judged = g < k->rollout.judge.n;
	const struct judge_gate *j = &k->rollout.judge.gate[g];
	__u64 canary_bad, canary_n, stable_bad, stable_n;
	json_t *o;

	judge_gate_counts(policy, g, &k->canary.sum, &canary_bad, &canary_n);
	judge_gate_counts(policy, g, &k->stable.sum, &stable_bad, &stable_n);
	o = json_pack("{s:s, s:s, s:s, s:f}", "name", gate->name, "signal", signal_name(gate->signal), "verdict",
		      judge_verdict_name(judged ? j->verdict : JUDGE_INCONCLUSIVE), "max", gate->max * 100);
	json_object_set_new(o, "quantile", gate->quantile > 0 ? json_real(gate->quantile) : json_null());
	json_object_set_new(o, "limit", gate->limit ? json_real(gate->limit / 1e9) : json_null());
	json_object_set_new(o, "canary", view_counts(canary_bad, canary_n));
	json_object_set_new(o, "stable", view_counts(stable_bad, stable_n));
	json_object_set_new(o, "ratio", view_ratio(canary_bad, canary_n, stable_bad, stable_n));
	json_object_set_new(o, "ratioLow", json_null());
	json_object_set_new(o, "ratioHigh", json_null());
	json_object_set_new(o, "e", judged ? view_number(exp(fmin(j->log_e, 700))) : json_null());
	json_object_set_new(o, "logE", judged ? view_number(j->log_e) : json_null());
	json_object_set_new(o, "threshold", json_real(1 / policy->alpha));
	json_object_set_new(o, "stableFails", json_boolean(judged && j->stable_fails));
	json_object_set_new(o, "skipped", json_boolean(rollout_skips(&k->rollout, policy, g)));
	return o;
}

/* rollout_next speaks of NAME. */
static json_t *view_next(const struct service *s)
{
	const char *next = rollout_next(&s->keep.rollout, &s->model->rollout), *name = strstr(next, "NAME");
	char text[64 + PERCH_NAME_LEN];

	if (!next[0])
		return json_null();
	if (!name)
		return json_sprintf("perch %s", next);
	snprintf(text, sizeof(text), "perch %.*s%s%s", (int)(name - next), next, s->name, name + 4);
	return json_string(text);
}

const char *view_rollout_canary(const struct service *s)
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (s->keep.rollout.phase != ROLLOUT_IDLE)
		return s->keep.rollout.canary;
	return canary >= 0 ? s->slot[canary].name : "";
}

static void view_add_progress(json_t *o, const struct service *s)
{
	const struct rollout *r = &s->keep.rollout;
	const struct model_rollout *policy = &s->model->rollout;
	json_t *steps = json_array();

	for (size_t i = 0; i < policy->n_steps; i++)
		json_array_append_new(steps, view_percent(policy->step[i].share));
	json_object_set_new(o, "step", json_integer(service_in_rollout(s) ? r->step + 1 : 0));
	json_object_set_new(o, "steps", steps);
	json_object_set_new(o, "weight", view_percent(service_share(s, slot_of_name(s->slot, view_rollout_canary(s)))));
	json_object_set_new(o, "since", r->phase ? json_real(clock_to_wall(r->step_since)) : json_null());
	json_object_set_new(o, "started", r->phase ? json_real(clock_to_wall(r->started)) : json_null());
	json_object_set_new(o, "reason", view_text(r->reason));
	json_object_set_new(o, "blockedBy", view_text(r->blocked_by));
	json_object_set_new(o, "next", view_next(s));
	json_object_set_new(o, "eta", service_in_rollout(s) ? view_number(s->eta) : json_null());
	json_object_set_new(o, "stepConnections", json_integer(step_connections(&s->keep)));
	json_object_set_new(o, "armed", json_boolean(perch_word_flags(s->word) & PERCH_ARMED));
	json_object_set_new(o, "minConnections", json_integer(policy->min_connections));
	json_object_set_new(o, "logE", view_number(r->judge.log_e));
	json_object_set_new(o, "threshold", json_real(-log(policy->alpha)));
}

json_t *view_rollout(const struct agent *a, const struct service *s)
{
	int stable = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	json_t *o = json_object(), *gates = json_array();

	json_object_set_new(o, "service", json_string(s->name));
	json_object_set_new(o, "canary", view_text(view_rollout_canary(s)));
	json_object_set_new(o, "stable", view_text(stable >= 0 ? s->slot[stable].name : ""));
	json_object_set_new(o, "against", view_text(s->compare ? s->slot[comparing_against(s)].name : ""));
	json_object_set_new(o, "mode", json_string(s->model->rollout.observe ? "observe" : "act"));
	json_object_set_new(o, "phase", json_string(rollout_phase_name(s->keep.rollout.phase)));
	view_add_progress(o, s);
	for (unsigned g = 0; g < s->model->rollout.n_gates; g++)
		json_array_append_new(gates, view_gate(s, g));
	json_object_set_new(o, "gates", gates);
	json_object_set_new(o, "compared", view_compared(s));
	json_object_set_new(o, "comparedLogE", s->compare ? view_number(s->compare->log_e) : json_null());
	json_object_set_new(o, "worst", blaming_json(a, s));
	json_object_set_new(o, "sampleRatio", view_sample_ratio(s));
	json_object_set_new(o, "outside", outside_json(s));
	return o;
}
