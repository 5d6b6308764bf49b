// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch rollout watch on a terminal: a rollout as a tree that is drawn again
 * and again: the service, its versions, its gates with what they count, and
 * what happened last.
 */
#define _GNU_SOURCE	/* open_memstream */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rollout.h"
#include "rollout_tree.h"
#include "screen.h"
#include "text.h"

#define LOOK_MS 1000
#define EVENTS "5"

static const char *branch(bool last)
{
	return last ? "`-" : "|-";
}

static void version_line(FILE *to, const json_t *v, bool last)
{
	char weight[TEXT_NUMBER], share[TEXT_NUMBER], n[TEXT_NUMBER], failures[TEXT_NUMBER], resets[TEXT_NUMBER], p99[TEXT_NUMBER];

	fprintf(to, "%s %-16s %-8s %7s  new %7s  connections %s  failed %s  reset %s", branch(last), field_line(v, "name"),
		field_line(v, "role"), text_percent(field_number(v, "weight"), weight),
		text_percent(field_number(v, "newShare"), share), text_count(field_number(v, "connections"), n),
		text_count(field_number(v, "connectFailures"), failures), text_count(field_number(v, "resets"), resets));
	if (!isnan(field_number(json_object_get(v, "responseTime"), "p99")))
		fprintf(to, "  p99 %s", text_seconds(field_number(json_object_get(v, "responseTime"), "p99"), p99));
	fputc('\n', to);
}

static void counts(FILE *to, const char *what, const json_t *c)
{
	char bad[TEXT_NUMBER], of[TEXT_NUMBER];

	if (json_is_object(c))
		fprintf(to, "  %s %s of %s", what, text_count(field_number(c, "bad"), bad), text_count(field_number(c, "of"), of));
}

static void number(FILE *to, const char *what, double n)
{
	if (!isnan(n))
		fprintf(to, "  %s %.3g", what, n);
}

static void gate_line(FILE *to, const json_t *g, bool last)
{
	fprintf(to, "   %s %-24s %s%s", branch(last), field_line(g, "name"), field_line(g, "verdict"),
		field_true(g, "skipped") ? ", left out" : field_true(g, "stableFails") ? ", stable fails too" : "");
	counts(to, "canary", json_object_get(g, "canary"));
	counts(to, "stable", json_object_get(g, "stable"));
	number(to, "ratio", field_number(g, "ratio"));
	if (!isnan(field_number(g, "ratioLow")))
		fprintf(to, " (%.3g to %.3g)", field_number(g, "ratioLow"), field_number(g, "ratioHigh"));
	number(to, "E", field_number(g, "e"));
	number(to, "fails at", field_number(g, "threshold"));
	fputc('\n', to);
}

static void outside_line(FILE *to, const json_t *g, bool last)
{
	fprintf(to, "   %s %-24s %s%s  %s", branch(last), field_line(g, "name"), field_line(g, "verdict"),
		field_true(g, "skipped") ? ", left out" : "", field_line(g, "source"));
	number(to, "value", field_number(g, "value"));
	number(to, "at least", field_number(g, "min"));
	number(to, "at most", field_number(g, "max"));
	if (field_is(g, "trouble"))
		fprintf(to, "  %s", field_line(g, "trouble"));
	fputc('\n', to);
}

static void compared_line(FILE *to, const json_t *g, bool last)
{
	fprintf(to, "   %s %-24s %s%s", branch(last), field_line(g, "name"), field_line(g, "verdict"),
		field_true(g, "skipped") ? ", left out" : "");
	counts(to, "canary", json_object_get(g, "canary"));
	counts(to, "stable", json_object_get(g, "stable"));
	number(to, "margin", field_number(g, "margin"));
	number(to, "ratio", field_number(g, "ratio"));
	number(to, "E", field_number(g, "e"));
	number(to, "fails at", field_number(g, "threshold"));
	fputc('\n', to);
}

static void gates(FILE *to, const json_t *rollout)
{
	const json_t *list = field_list(rollout, "gates"), *outside = field_list(rollout, "outside"), *g;
	const json_t *compared = field_list(rollout, "compared");
	size_t n = json_array_size(list), m = json_array_size(outside), c = json_array_size(compared), i;

	fputs(n + m + c ? "`- gates\n" : "`- no gates\n", to);
	json_array_foreach(compared, i, g)
		compared_line(to, g, i + 1 == c && !n && !m);
	json_array_foreach(list, i, g)
		gate_line(to, g, i + 1 == n && !m);
	json_array_foreach(outside, i, g)
		outside_line(to, g, i + 1 == m);
}

void rollout_tree(FILE *to, const json_t *rollout, const json_t *service, const json_t *events)
{
	const json_t *versions = field_list(service, "versions"), *e;
	char line[ROLLOUT_LINE], when[TEXT_NUMBER];
	size_t i;

	rollout_line(rollout, line);
	fprintf(to, "%s  %s\n", field_line(rollout, "service"), line);
	json_array_foreach(versions, i, e)
		version_line(to, e, false);
	gates(to, rollout);
	fputs("\n", to);
	json_array_foreach(events, i, e)
		fprintf(to, "%s  %s  %s\n", text_clock(field_number(e, "time"), when), field_line(e, "kind"), field_line(e, "reason"));
}

static json_t *get(const struct cli *cli, const char *before, const char *service, const char *after)
{
	struct client_path path;
	json_t *doc = NULL;
	int status;

	client_path(&path, before, service, after);
	if (client_call(cli, "GET", path.text, NULL, CLIENT_ROLLBACK_MS, &status, &doc) || status != 200) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

static json_t *last_events(const struct cli *cli, const char *service)
{
	struct client_path path;
	json_t *doc = NULL;
	int status;

	client_path(&path, "/v1/events", "", "");
	client_query(&path, "limit", EVENTS);
	client_query(&path, "service", service);
	if (client_call(cli, "GET", path.text, NULL, CLIENT_ROLLBACK_MS, &status, &doc))
		return NULL;
	return doc;
}

/* False: the rollout is over. */
static bool draw(const struct cli *cli, const char *service, bool *seen)
{
	json_t *rollout = get(cli, "/v1/services/", service, "/rollout"), *of = get(cli, "/v1/services/", service, "");
	json_t *events = last_events(cli, service);
	bool go_on = true;
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	if (to && rollout)
		rollout_tree(to, rollout, of, events);
	else if (to)
		fprintf(to, "%s  perchd does not answer\n", service);
	if (to && !fclose(to))
		screen_draw(text);
	if (rollout) {
		go_on = rollout_goes_on(rollout, *seen);
		*seen = rollout_under_way(rollout);
	}
	free(text);
	json_decref(rollout);
	json_decref(of);
	json_decref(events);
	return go_on;
}

int rollout_tree_watch(const struct cli *cli, const char *service)
{
	struct client_path path;
	bool seen = false, go_on;
	json_t *doc;
	int ret, key;

	rollout_path(&path, service, "");
	ret = client_get(cli, path.text, &doc);
	if (ret)
		return ret;
	json_decref(doc);
	screen_open();
	do {
		go_on = draw(cli, service, &seen);
		key = go_on ? screen_wait(LOOK_MS) : 0;
	} while (go_on && key != SCREEN_STOP && key != 'q');
	screen_close();
	/* what it came to stays on the terminal */
	ret = client_get(cli, path.text, &doc);
	return ret ?: cli_print(cli, doc, rollout_text);
}
