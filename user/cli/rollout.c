// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch rollout: take a canary through its steps, and see why it stands. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "output.h"
#include "text.h"

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

static void rollout_gates(const json_t *rollout)
{
	struct table *t = table_new("  ", "GATE", "VERDICT", ">CANARY BAD", ">STABLE BAD", ">MAX", ">SLOWER THAN",
				    ">RATIO", ">E", ">FAILS AT");
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(rollout, "gates"), i, gate) {
		table_text(t, gate, "name");
		table_cell(t, "%s%s", field_text(gate, "verdict"), field_true(gate, "stableFails") ? ", stable fails too" : "");
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

static void rollout_text(const json_t *rollout)
{
	double step = field_number(rollout, "step");

	printf("%s  %s", field_line(rollout, "service"), field_line(rollout, "phase"));
	if (step > 0)
		printf("  step %.0f of %zu", step, json_array_size(field_list(rollout, "steps")));
	if (field_is(rollout, "canary"))
		printf("  %s against %s", field_line(rollout, "canary"), field_line(rollout, "stable"));
	putchar('\n');
	rollout_state(rollout);
	rollout_gates(rollout);
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
	const char *name = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &name), {} };
	struct client_path path;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	client_path(&path, name ? "/v1/services/" : "/v1/rollouts", name ?: "", name ? "/rollout" : "");
	ret = client_get(cli, path.text, &doc);
	return ret ?: cli_print(cli, doc, name ? rollout_text : rollout_list);
}

static int rollout_act(const struct cli *cli, const char *action, int argc, char **argv)
{
	const char *name = NULL, *comment = NULL, *force = NULL;
	const struct word forced[] = { WORD_NEEDED("service", "NAME", &name), WORD("comment", "TEXT", &comment),
				       WORD_FLAG("force", &force), {} };
	const struct word plain[] = { WORD_NEEDED("service", "NAME", &name), WORD("comment", "TEXT", &comment), {} };
	struct client_path path;
	json_t *body, *doc;
	int ret;

	ret = words_read(cli, argc, argv, strcmp(action, "promote") == 0 ? forced : plain);
	if (ret)
		return ret;
	body = json_pack("{s:s,s:b,s:s*}", "action", action, "force", force != NULL, "comment", comment);
	if (!body)
		return cli_usage(cli, "a comment is UTF-8 text");
	client_path(&path, "/v1/services/", name, "/rollout");
	ret = client_send(cli, "POST", path.text, body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, rollout_text);
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

const struct command rollout_commands[] = {
	COMMAND("show", do_show, "[NAME]", "phase, step, what blocks it, and each gate with its numbers"),
	COMMAND("start", do_start, "NAME [comment TEXT]", "take the canary through its steps"),
	COMMAND("pause", do_pause, "NAME [comment TEXT]", "stay at this weight; gates go on judging"),
	COMMAND("resume", do_resume, "NAME [comment TEXT]", "go on after a pause"),
	COMMAND("advance", do_advance, "NAME [comment TEXT]", "go on to the next step now"),
	COMMAND("promote", do_promote, "NAME [force] [comment TEXT]", "skip the steps that are left; force: past a failing gate"),
	COMMAND("abort", do_abort, "NAME [comment TEXT]", "roll back and reject the canary"),
	COMMAND("retry", do_retry, "NAME [comment TEXT]", "take a rejection back and start again"),
	COMMAND_LATER("watch"), COMMAND_LATER("why"), COMMAND_LATER("plan"), COMMAND_LATER("skip"), COMMAND_LATER("wait"),
	{}
};
