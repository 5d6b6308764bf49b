// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The plan of a rollout as JSON: its stages with the time they take at least,
 * which of them is done, and what would keep it from starting. */
#include "../../core/rollout_plan.h"
#include "../clock.h"
#include "../rollout/rollouts.h"
#include "view.h"

static double seconds(__u64 ns)
{
	return (double)ns / NS_PER_S;
}

static const char *stage_state(const struct service *s, const struct rollout_stage *stage)
{
	const struct rollout *r = &s->keep.rollout;

	if (!service_in_rollout(s))
		return "planned";
	if (stage->step != r->step)
		return stage->step < r->step ? "done" : "planned";
	if (stage->watching == !!r->watching)
		return "now";
	return r->watching ? "done" : "planned";
}

static json_t *view_stages(const struct service *s, double *ret_seconds)
{
	struct rollout_stage stage[ROLLOUT_STAGES];
	unsigned n = rollout_plan(&s->model->rollout, stage);
	json_t *stages = json_array();
	double at = 0;

	for (unsigned i = 0; i < n; i++) {
		double time = seconds(stage[i].time);
		json_t *o = json_pack("{s:i, s:o, s:f, s:f, s:I, s:b, s:b, s:s}", "step", (int)stage[i].step + 1, "weight",
				      view_percent(stage[i].share), "at", at, "seconds", time, "connections",
				      (json_int_t)stage[i].connections, "watching", (int)stage[i].watching, "manual",
				      (int)stage[i].manual, "state", stage_state(s, &stage[i]));

		json_array_append_new(stages, o);
		at += time;
	}
	*ret_seconds = at;
	return stages;
}

static json_t *seconds_or_null(__u64 ns)
{
	return ns ? json_real(seconds(ns)) : json_null();
}

json_t *view_rollout_plan(const struct agent *a, const struct service *s)
{
	const struct model_rollout *policy = &s->model->rollout;
	int stable = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	const char *canary = view_rollout_canary(s);
	char why[AGENT_WHY] = "";
	json_t *o, *stages;
	double all;

	if (!service_in_rollout(s))
		rollouts_start_refused(s, false, why);
	stages = view_stages(s, &all);
	o = json_pack("{s:s, s:s?, s:s?, s:s, s:s?, s:o, s:f}", "service", s->name, "canary", canary[0] ? canary : NULL,
		      "stable", stable >= 0 ? s->slot[stable].name : NULL, "phase",
		      rollout_phase_name(s->keep.rollout.phase), "refused", why[0] ? why : NULL, "stages", stages, "seconds",
		      all);
	json_object_set_new(o, "maxStepTime", seconds_or_null(policy->max_step_time));
	json_object_set_new(o, "progressDeadline", seconds_or_null(policy->progress_deadline));
	json_object_set_new(o, "keepPrevious", json_real(seconds(policy->keep_previous)));
	return o;
}
