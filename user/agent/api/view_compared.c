// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is compared in a rollout, as JSON: counts, edges, evidence. */
#include <math.h>

#include "../../core/compare.h"
#include "../../core/histogram.h"
#include "../../core/sequential.h"
#include "view.h"

static json_t *edge_json(const struct compare *c, unsigned w, unsigned i)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:f}", "quantile", wait_quantile[i],
			 "stable", histogram_high(c->edges[w].stable[i]), "canary", histogram_high(c->edges[w].canary[i]),
			 "beyond", c->edges[w].beyond[i], "canaryAbove", (json_int_t)c->trial.canary.wait[w].above[i],
			 "stableAbove", (json_int_t)c->trial.stable.wait[w].above[i],
			 "logE", bet_log_e(&c->trial.wait[w].edge[i]));
}

static json_t *edges_json(const struct compare *c, unsigned w)
{
	json_t *edges = json_array();

	for (unsigned i = 0; i < WAIT_EDGES; i++)
		if (c->edges[w].beyond[i] > 0)
			json_array_append_new(edges, edge_json(c, w, i));
	return edges;
}

static const char *verdict_of(const struct compare *c, unsigned gate)
{
	bool pools = c && gate == TRIAL_EVENTS + TRIAL_RESPONSE_TIME && c->trial.pool.minutes;

	if (c && c->blind >> gate & 1 && !pools)
		return "blind";
	return c && compare_failed(c) == gate + 1 ? "fail" : "inconclusive";
}

/* Long connections, and what their minutes say. */
static json_t *pools_json(const struct compare *c)
{
	const double log_e[] = { log(pool_e(&c->trial.pool, c->trial.pool.level)),
				 log(pool_e(&c->trial.pool, c->trial.pool.change)) };

	return json_pack("{s:i, s:i, s:i, s:o}", "canary", (int)c->pool_rows[1], "stable", (int)c->pool_rows[0], "minutes",
			 (int)c->trial.pool.minutes, "logE",
			 c->trial.pool.minutes ? view_number(sequential_log_mean(log_e, 2)) : json_null());
}

static json_t *gate_json(const struct service *s, unsigned gate)
{
	const struct model_rollout *policy = &s->model->rollout;
	const struct compare *c = s->compare;
	struct loss_counts canary = { 0 }, stable = { 0 };
	bool judged = c && c->gates >> gate & 1;
	json_t *o = json_pack("{s:s, s:s, s:f}", "name", compare_gate_name(gate), "verdict", verdict_of(c, gate),
			      "margin", compare_margin(&policy->compare, gate));

	if (judged)
		compare_counts(c, gate, &canary, &stable);
	json_object_set_new(o, "canary", view_counts(canary.bad, canary.n));
	json_object_set_new(o, "stable", view_counts(stable.bad, stable.n));
	json_object_set_new(o, "ratio", view_ratio(canary.bad, canary.n, stable.bad, stable.n));
	json_object_set_new(o, "e", judged ? view_number(exp(fmin(compare_gate_log_e(c, gate), 700))) : json_null());
	json_object_set_new(o, "logE", judged ? view_number(compare_gate_log_e(c, gate)) : json_null());
	json_object_set_new(o, "threshold", json_real(1 / policy->alpha));
	json_object_set_new(o, "skipped", json_boolean(c && c->policy.skipped >> gate & 1));
	json_object_set_new(o, "edges", judged && gate >= TRIAL_EVENTS ? edges_json(c, gate - TRIAL_EVENTS) : json_null());
	json_object_set_new(o, "pools", judged && gate == TRIAL_EVENTS + TRIAL_RESPONSE_TIME ? pools_json(c) : json_null());
	return o;
}

json_t *view_compared(const struct service *s)
{
	json_t *list = json_array();

	for (unsigned g = 0; g < COMPARE_GATES; g++)
		if (compare_margin(&s->model->rollout.compare, g) > 0)
			json_array_append_new(list, gate_json(s, g));
	return list;
}

/* Where the shares are not to be believed, what can be said without them. */
static json_t *totals_json(const struct compare *c)
{
	char why[128];
	json_t *list;

	if (!compare_off(c, why, sizeof(why)))
		return json_null();
	list = json_array();
	for (unsigned e = 0; e < TRIAL_EVENTS; e++)
		if (c->policy.max_ratio[e] > 0)
			json_array_append_new(list, json_pack("{s:s, s:o}", "name", compare_gate_name(e), "logE",
							      view_number(totals_log_e(&c->trial.totals[e]))));
	return list;
}

json_t *view_sample_ratio(const struct service *s)
{
	const struct compare *c = s->compare;

	if (!c)
		return json_null();
	return json_pack("{s:I, s:I, s:f, s:f, s:f, s:o}", "canary", (json_int_t)c->clients.canary, "stable",
			 (json_int_t)c->clients.stable, "expected", c->clients.expected, "logE", ratio_log_e(&c->clients),
			 "mostLogE", c->clients.most, "totals", totals_json(c));
}
