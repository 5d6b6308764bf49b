// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch rollout why, plan: what decided last with the numbers it had, and what
 * the steps would be. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "output.h"
#include "rollout.h"
#include "text.h"

#define EVENTS "200"

static bool is_decision(const json_t *event)
{
	static const char *const kinds[] = { "rollout", "step", "pause", "resume", "hold", "advance", "promote", "rollback",
					     "retry", "reflex", "deadman", "weights", NULL };
	const char *kind = field_text(event, "kind");

	for (int i = 0; kinds[i]; i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

/* The decisions of the rollout, from its start on, oldest first. */
static json_t *why_decisions(const json_t *rollout, const json_t *events)
{
	double started = field_number(rollout, "started");
	json_t *decisions = json_array(), *event;
	size_t i;

	json_array_foreach(events, i, event)
		/* the first step is taken a moment before it is told */
		if (is_decision(event) && !(field_number(event, "time") < started - 1))
			json_array_append(decisions, event);
	return decisions;
}

/* One of the canary's backends, or all of them? */
static void why_worst(const json_t *worst)
{
	if (!json_is_object(worst))
		return;
	if (field_true(worst, "only"))
		printf("  the canary has one backend, %s: host and version can't be told apart\n", field_line(worst, "backend"));
	else
		printf("  %s has %.0f of the canary's %.0f bad votes of %s; E without it is %.3g\n", field_line(worst, "backend"),
		       field_number(worst, "bad"), field_number(worst, "of"), field_line(worst, "gate"),
		       exp(field_number(worst, "logEWithout")));
}

static void why_text(const json_t *doc)
{
	const json_t *rollout = json_object_get(doc, "rollout"), *decided = json_object_get(doc, "decided"), *event;
	char line[ROLLOUT_LINE];
	size_t i;

	rollout_line(rollout, line);
	printf("%s  %s%s%s\n", field_line(rollout, "service"),
	       field_is(rollout, "canary") ? field_line(rollout, "canary") : "", field_is(rollout, "canary") ? "  " : "", line);
	if (json_is_object(decided)) {
		puts("decided last:");
		event_line(decided);
	} else {
		puts("nothing was decided yet");
	}
	if (json_array_size(field_list(doc, "decisions")) > 1)
		puts("since the rollout began:");
	json_array_foreach(field_list(doc, "decisions"), i, event)
		if (json_array_size(field_list(doc, "decisions")) > 1)
			event_line(event);
	if (json_array_size(field_list(rollout, "compared")))
		printf("compared with %s (E is the evidence that the canary is worse than the margin; their mean decides, "
		       "and is wrong for one good canary in %.3g at most):\n", field_line(rollout, "against"),
		       exp(field_number(rollout, "threshold")));
	rollout_compared(rollout);
	why_worst(json_object_get(rollout, "worst"));
	if (json_is_object(json_object_get(doc, "votes")))
		printf("  `perch -j rollout why %s | perch judge votes -` makes this evidence again of its votes\n",
		       field_line(rollout, "service"));
	if (json_array_size(field_list(rollout, "gates")))
		puts("gates (E is the evidence that the canary is over its limit; their mean decides, under the same alpha on its own):");
	rollout_gates(rollout);
	if (json_array_size(field_list(rollout, "outside")))
		puts("gates from outside (their false alarms are not bounded by alpha, nor are those of the reflex):");
	rollout_outside(rollout);
}

/* Votes of the comparison; null when nothing was compared. */
static json_t *why_votes(const struct cli *cli, const char *service)
{
	struct client_path path;
	json_t *doc = NULL;
	int status;

	rollout_path(&path, service, "/votes");
	if (client_call(cli, "GET", path.text, NULL, CLIENT_ROLLBACK_MS, &status, &doc))
		return json_null();
	if (status == 200)
		return doc;
	json_decref(doc);
	return json_null();
}

int do_rollout_why(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service), {} };
	json_t *rollout, *events, *decisions, *last;
	struct client_path path;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	rollout_path(&path, service, "");
	ret = client_get(cli, path.text, &rollout);
	if (ret)
		return ret;
	client_path(&path, "/v1/events", "", "");
	client_query(&path, "service", service);
	client_query(&path, "limit", EVENTS);
	ret = client_get(cli, path.text, &events);
	if (ret) {
		json_decref(rollout);
		return ret;
	}
	decisions = why_decisions(rollout, events);
	json_decref(events);
	last = json_array_get(decisions, json_array_size(decisions) - 1);
	return cli_print(cli, json_pack("{s:o,s:O?,s:o,s:o}", "rollout", rollout, "decided", last, "decisions", decisions,
					"votes", why_votes(cli, service)), why_text);
}

static void plan_stages(const json_t *plan)
{
	struct table *t = table_new("  ", ">STEP", ">WEIGHT", ">AFTER", ">FOR AT LEAST", ">CONNECTIONS", "THEN", "");
	const json_t *stage;
	size_t i, n = json_array_size(field_list(plan, "stages"));

	json_array_foreach(field_list(plan, "stages"), i, stage) {
		bool manual = field_true(stage, "manual");

		table_cell(t, "%.0f", field_number(stage, "step"));
		table_percent(t, stage, "weight");
		table_seconds(t, stage, "at");
		table_seconds(t, stage, "seconds");
		table_count(t, stage, "connections");
		table_cell(t, "%s%s", manual ? "perch rollout advance, then " : "", i + 1 < n ? "the next step" : "promotion");
		table_cell(t, "%s%s", field_true(stage, "watching") ? "watched" : "",
			   strcmp(field_text(stage, "state"), "now") == 0 ? "  <- now" :
			   strcmp(field_text(stage, "state"), "done") == 0 ? "  done" : "");
	}
	table_print(t);
}

static void plan_text(const json_t *plan)
{
	char number[TEXT_NUMBER];

	printf("%s  %s", field_line(plan, "service"), field_line(plan, "phase"));
	rollout_arms(plan);
	putchar('\n');
	plan_stages(plan);
	printf("  %s in all at least", text_seconds(field_number(plan, "seconds"), number));
	if (!isnan(field_number(plan, "maxStepTime")))
		printf("; a step of more than %s holds", text_seconds(field_number(plan, "maxStepTime"), number));
	if (!isnan(field_number(plan, "progressDeadline")))
		printf("; so does the whole after %s", text_seconds(field_number(plan, "progressDeadline"), number));
	printf("\n  the version before stays for %s\n", text_seconds(field_number(plan, "keepPrevious"), number));
	if (field_is(plan, "refused"))
		printf("  would not start: %s\n", field_line(plan, "refused"));
}

int do_rollout_plan(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service), {} };
	struct client_path path;
	json_t *plan;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	rollout_path(&path, service, "/plan");
	ret = client_get(cli, path.text, &plan);
	return ret ?: cli_print(cli, plan, plan_text);
}
