// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch rollout: take a canary through its steps, and see why it stands. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "output.h"
#include "rollout.h"
#include "show.h"
#include "text.h"

#define POOL_FEW 8		/* long connections */

void rollout_path(struct client_path *path, const char *service, const char *rest)
{
	char end[32];

	snprintf(end, sizeof(end), "/rollout%s", rest);
	client_path(path, "/v1/services/", service, end);
}

bool rollout_under_way(const json_t *rollout)
{
	return field_number(rollout, "step") > 0;
}

bool rollout_goes_on(const json_t *rollout, bool seen)
{
	return rollout_under_way(rollout) || (!seen && strcmp(field_text(rollout, "phase"), "Idle") == 0);
}

static void rollout_steps(const json_t *rollout, char *out, size_t size)
{
	double now = field_number(rollout, "step");
	const json_t *step;
	size_t i;

	*out = 0;
	json_array_foreach(field_list(rollout, "steps"), i, step)
		text_append(out, size, i + 1 == now ? "%s[%.10g]" : "%s%.10g", i ? " " : "", json_number_value(step));
}

/* "3 of 2,280" */
static void gate_counts(struct table *t, const json_t *counts)
{
	char bad[TEXT_NUMBER], of[TEXT_NUMBER];

	if (!json_is_object(counts)) {
		table_cell(t, "-");
		return;
	}
	table_cell(t, "%s of %s", text_count(field_number(counts, "bad"), bad), text_count(field_number(counts, "of"), of));
}

static void gate_number(struct table *t, double n)
{
	if (isnan(n))
		table_cell(t, "-");
	else
		table_cell(t, "%.3g", n);
}

void rollout_gates(const json_t *rollout)
{
	struct table *t = table_new("  ", "GATE", "VERDICT", ">CANARY BAD", ">STABLE BAD", ">MAX", ">SLOWER THAN",
				    ">RATIO", ">E", ">FAILS AT");
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(rollout, "gates"), i, gate) {
		table_text(t, gate, "name");
		table_cell(t, "%s%s", field_text(gate, "verdict"), field_true(gate, "skipped") ? ", left out" :
			   field_true(gate, "stableFails") ? ", stable fails too" : "");
		gate_counts(t, json_object_get(gate, "canary"));
		gate_counts(t, json_object_get(gate, "stable"));
		table_percent(t, gate, "max");
		table_seconds(t, gate, "limit");
		gate_number(t, field_number(gate, "ratio"));
		gate_number(t, field_number(gate, "e"));
		gate_number(t, field_number(gate, "threshold"));
	}
	table_print(t);
}

/* What long connections say, of whom there are few. */
static void rollout_pools(const json_t *rollout)
{
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(rollout, "compared"), i, gate) {
		const json_t *pools = json_object_get(gate, "pools");
		double canary = field_number(pools, "canary"), stable = field_number(pools, "stable");

		if (!json_is_object(pools) || canary + stable == 0)
			continue;
		printf("  long connections: %.0f of the canary, %.0f of %s, %.0f minutes, E %.3g%s\n", canary, stable,
		       field_line(rollout, "against"), field_number(pools, "minutes"), exp(field_number(pools, "logE")),
		       canary + stable < POOL_FEW || !canary || !stable ? "; needs more connections or weight" : "");
	}
}

/* Of what is compared with stable, or the baseline. */
void rollout_compared(const json_t *rollout)
{
	struct table *t = table_new("  ", "COMPARED", "VERDICT", ">CANARY BAD", ">STABLE BAD", ">MARGIN", ">RATIO", ">E",
				    ">FAILS AT");
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(rollout, "compared"), i, gate) {
		table_text(t, gate, "name");
		table_cell(t, "%s%s", field_text(gate, "verdict"), field_true(gate, "skipped") ? ", left out" : "");
		gate_counts(t, json_object_get(gate, "canary"));
		gate_counts(t, json_object_get(gate, "stable"));
		gate_number(t, field_number(gate, "margin"));
		gate_number(t, field_number(gate, "ratio"));
		gate_number(t, field_number(gate, "e"));
		gate_number(t, field_number(gate, "threshold"));
	}
	table_print(t);
	rollout_pools(rollout);
}

/* Did new clients come as the shares said? */
static void rollout_sample_ratio(const json_t *rollout)
{
	const json_t *o = json_object_get(rollout, "sampleRatio");
	double canary = field_number(o, "canary"), all = canary + field_number(o, "stable");
	const json_t *gate;
	size_t i;

	if (json_is_object(o) && all > 0)
		printf("  new clients: %.0f of %.0f to the canary, %.0f expected\n", canary, all, field_number(o, "expected"));
	json_array_foreach(field_list(o, "totals"), i, gate)
		printf("%s %s E %.3g", i ? "," : "  by totals, whatever the share:", field_line(gate, "name"),
		       exp(fmin(field_number(gate, "logE"), 700)));
	if (json_array_size(json_object_get(o, "totals")))
		putchar('\n');
}

static void rollout_state(const json_t *rollout)
{
	double eta = field_number(rollout, "eta"), wanted = field_number(rollout, "minConnections");
	char steps[512], number[TEXT_NUMBER], most[TEXT_NUMBER];

	rollout_steps(rollout, steps, sizeof(steps));
	if (*steps)
		printf("  steps %s\n", steps);
	if (field_number(rollout, "step") > 0) {
		printf("  at %s since %s", text_percent(field_number(rollout, "weight"), number),
		       text_clock(field_number(rollout, "since"), most));
		if (!isnan(wanted))
			printf(", %s connections of the canary (%s at least)",
			       text_count(field_number(rollout, "stepConnections"), number), text_count(wanted, most));
		putchar('\n');
	}
	if (!isnan(eta))
		printf("  the next step in about %s\n", text_seconds(eta, number));
	/* "step 2 of 6" stands above. */
	if (field_is(rollout, "reason") && strncmp(field_text(rollout, "reason"), "step ", 5) != 0)
		printf("  %s\n", field_line(rollout, "reason"));
	if (field_is(rollout, "blockedBy"))
		printf("  blocked by %s\n", field_line(rollout, "blockedBy"));
	if (field_is(rollout, "next"))
		printf("  next: %s\n", field_line(rollout, "next"));
}

void rollout_line(const json_t *rollout, char out[ROLLOUT_LINE])
{
	double eta = field_number(rollout, "eta"), need = field_number(rollout, "minConnections");
	char number[TEXT_NUMBER], most[TEXT_NUMBER];

	snprintf(out, ROLLOUT_LINE, "%s", field_line(rollout, "phase"));
	if (!rollout_under_way(rollout)) {
		if (field_is(rollout, "reason"))
			text_append(out, ROLLOUT_LINE, ": %s", field_line(rollout, "reason"));
		return;
	}
	text_append(out, ROLLOUT_LINE, ", step %.0f of %zu at %s, %s connections (%s at least)", field_number(rollout, "step"),
		    json_array_size(field_list(rollout, "steps")), text_percent(field_number(rollout, "weight"), number),
		    text_count(field_number(rollout, "stepConnections"), most), text_count(need, (char[TEXT_NUMBER]){}));
	if (!isnan(eta))
		text_append(out, ROLLOUT_LINE, ", the next in about %s", text_seconds(eta, number));
	if (field_is(rollout, "blockedBy"))
		text_append(out, ROLLOUT_LINE, "; blocked by %s", field_line(rollout, "blockedBy"));
	if (field_is(rollout, "next"))
		text_append(out, ROLLOUT_LINE, "; next: %s", field_line(rollout, "next"));
}

void rollout_arms(const json_t *doc)
{
	const char *canary = field_line(doc, "canary"), *stable = field_line(doc, "stable");

	if (!field_is(doc, "canary"))
		return;
	printf("  %s", canary);
	if (field_is(doc, "stable") && strcmp(canary, stable))
		printf(" against %s", stable);
}

void rollout_text(const json_t *rollout)
{
	double step = field_number(rollout, "step");

	printf("%s  %s", field_line(rollout, "service"), field_line(rollout, "phase"));
	if (step > 0)
		printf("  step %.0f of %zu", step, json_array_size(field_list(rollout, "steps")));
	rollout_arms(rollout);
	putchar('\n');
	rollout_state(rollout);
	rollout_sample_ratio(rollout);
	rollout_compared(rollout);
	rollout_gates(rollout);
	rollout_outside(rollout);
}

static void rollout_list(const json_t *rollouts)
{
	const json_t *rollout;
	size_t i;

	json_array_foreach(rollouts, i, rollout)
		rollout_text(rollout);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	json_t *doc;
	bool one;
	int ret;

	ret = show_one_or_all(cli, argc, argv, "/v1/rollouts", "/rollout", &doc, &one);
	return ret ?: cli_print(cli, doc, one ? rollout_text : rollout_list);
}

/* What was there before is said first. */
static void rollout_acted(const json_t *rollout)
{
	const char *outcome = field_text(rollout, "outcome");

	if (strcmp(outcome, "underWay") == 0)
		printf("%s: a rollout of %s is under way already\n", field_line(rollout, "service"),
		       field_line(rollout, "canary"));
	else if (strcmp(outcome, "alreadyStable") == 0)
		printf("%s: %s is stable already\n", field_line(rollout, "service"), field_line(rollout, "stable"));
	rollout_text(rollout);
}

static int rollout_act(const struct cli *cli, const char *action, int argc, char **argv)
{
	const char *name = NULL, *comment = NULL, *force = NULL, *version = NULL, *gate = NULL;
	struct word words[] = { WORD_NEEDED("service", "NAME", &name), WORD("comment", "TEXT", &comment), {}, {} };
	struct client_path path;
	json_t *body, *doc;
	int ret;

	if (strcmp(action, "promote") == 0)
		words[2] = (struct word)WORD_FLAG("force", &force);
	if (strcmp(action, "start") == 0)
		words[2] = (struct word)WORD("version", "VERSION", &version);
	if (strcmp(action, "skip") == 0)
		words[2] = (struct word){ .key = "gate", .what = "GATE", .value = &gate, .needed = true };
	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	body = json_pack("{s:s,s:b,s:s*,s:s*,s:s*}", "action", action, "force", force != NULL, "comment", comment, "version",
			 version, "gate", gate);
	if (!body)
		return cli_usage(cli, "a comment, a version and a gate are UTF-8 text");
	rollout_path(&path, name, "");
	ret = client_send(cli, "POST", path.text, body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, rollout_acted);
}

#define ACTION(verb)                                                           \
	static int do_##verb(struct cli *cli, int argc, char **argv)           \
	{                                                                      \
		return rollout_act(cli, #verb, argc, argv);                    \
	}
ACTION(start)
ACTION(pause)
ACTION(resume)
ACTION(advance)
ACTION(promote)
ACTION(abort)
ACTION(retry)
ACTION(skip)

const struct command rollout_commands[] = {
	COMMAND("show", do_show, "[NAME]", "phase, step, what blocks it, and each gate with its numbers"),
	COMMAND("start", do_start, "NAME [version VERSION] [comment TEXT]",
		"take the canary through its steps; VERSION must be it; doing it twice does no harm"),
	COMMAND("pause", do_pause, "NAME [comment TEXT]", "stay at this weight; gates go on judging"),
	COMMAND("resume", do_resume, "NAME [comment TEXT]", "go on after a pause"),
	COMMAND("advance", do_advance, "NAME [comment TEXT]", "go on to the next step now"),
	COMMAND("promote", do_promote, "NAME [force] [comment TEXT]",
		"skip the steps that are left; force: past a failing gate"),
	COMMAND("abort", do_abort, "NAME [comment TEXT]", "roll back and reject the canary"),
	COMMAND("retry", do_retry, "NAME [comment TEXT]", "take a rejection back and start again"),
	COMMAND("wait", do_rollout_wait, "NAME [version VERSION] [timeout DURATION]",
		"until it is over; exit 0 succeeded, 3 rolled back, 4 needs a person, 5 timeout, 6 superseded"),
	COMMAND("watch", do_rollout_watch, "NAME [lines]",
		"a live tree of versions and gates until it is over, q leaves; lines, -j, or no terminal: a line for all that happens"),
	COMMAND("why", do_rollout_why, "NAME", "what decided last, and the numbers of its gates"),
	COMMAND("plan", do_rollout_plan, "NAME", "what the steps are and how long they take"),
	COMMAND("skip", do_skip, "NAME gate GATE [comment TEXT]", "leave a gate out for the rest of this rollout"),
	{}
};
