// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch top: how it goes, again and again.  Each look is one document, which
 * is printed (-j, or where there is no terminal) or drawn; rates are the
 * difference to the look before.
 */
#define _GNU_SOURCE	/* open_memstream */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "output.h"
#include "overview.h"
#include "screen.h"
#include "text.h"

#define NS_PER_MS 1000000ull
#define INTERVAL_NS (1000 * NS_PER_MS)
#define INTERVAL_LEAST_NS (100 * NS_PER_MS)
#define INTERVAL_MOST_NS (3600000 * NS_PER_MS)
#define COUNT_MAX 1000000000
#define EVENTS "5"
#define PATIENCE_MS 2000	/* keys are not read meanwhile */
#define LINE 512

struct top {
	const struct cli *cli;
	const char *service;	/* NULL: all */
	unsigned long long interval;
	json_t *before;		/* the last look's services */
	double before_at;
	char why[512];		/* the last look failed */
};

static double monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Per second since the look before; null when there was none, or when the
 * counter began anew. */
static json_t *rate(const json_t *now, const json_t *before, const char *key, double seconds)
{
	double n = field_number(now, key) - field_number(before, key);

	return isnan(n) || n < 0 || seconds <= 0 ? json_null() : json_real(n / seconds);
}

static void add_rates(struct top *t, json_t *services)
{
	double now = monotonic(), seconds = t->before ? now - t->before_at : 0;
	json_t *service, *version;
	size_t i, k;

	json_array_foreach(services, i, service) {
		const json_t *old = field_list(field_find(t->before, "name", field_text(service, "name")), "versions");

		json_array_foreach(json_object_get(service, "versions"), k, version) {
			const json_t *was = field_find(old, "name", field_text(version, "name"));

			json_object_set_new(version, "connectionRate", rate(version, was, "connections", seconds));
			json_object_set_new(version, "byteRate", rate(version, was, "bytes", seconds));
		}
	}
	json_decref(t->before);
	t->before = json_deep_copy(services);
	t->before_at = now;
}

/* A question whose answer the view can do without. */
static json_t *ask(const struct top *t, const char *path)
{
	json_t *doc = NULL;
	int status;

	if (client_call(t->cli, "GET", path, NULL, PATIENCE_MS, &status, &doc))
		return json_null();
	if (status == 200)
		return doc;
	json_decref(doc);
	return json_null();
}

static json_t *services_of(const struct top *t, const json_t *status)
{
	json_t *kept = json_array(), *service;
	size_t i;

	json_array_foreach(json_object_get(status, "services"), i, service)
		if (!t->service || !strcmp(field_text(service, "name"), t->service))
			json_array_append(kept, service);
	return kept;
}

static json_t *events(const struct top *t)
{
	struct client_path path;

	client_path(&path, "/v1/events", "", "");
	client_query(&path, "limit", EVENTS);
	client_query(&path, "service", t->service);
	return ask(t, path.text);
}

static int top_failed(struct top *t, const char *format, const char *what)
{
	snprintf(t->why, sizeof(t->why), format, what);
	return -EINVAL;
}

/* 0 and the document; -EINVAL, or another -errno of a perchd that is silent,
 * with the sentence in t->why. */
static int top_look(struct top *t, json_t **ret)
{
	json_t *status = NULL, *services, *datapath;
	int err, http = 200;

	err = client_call(t->cli, "GET", "/v1/status", NULL, PATIENCE_MS, &http, &status);
	if (err) {
		client_silence(t->cli, err, t->why, sizeof(t->why));
		return err;
	}
	if (http != 200) {
		err = top_failed(t, "perchd answered: %s", field_text(status, "error"));
		goto out;
	}
	services = services_of(t, status);
	if (t->service && !json_array_size(services)) {
		json_decref(services);
		err = top_failed(t, "no service '%s'; perch service show lists them", t->service);
		goto out;
	}
	add_rates(t, services);
	datapath = ask(t, "/v1/datapath");
	*ret = json_pack("{s:f, s:f, s:O, s:O, s:O, s:O*, s:O*, s:O*, s:O*, s:o, s:o, s:o}", "time", (double)time(NULL),
			 "interval", t->interval / 1e9, "version", json_object_get(status, "version"), "uptime",
			 json_object_get(status, "uptime"), "alarms", json_object_get(status, "alarms"), "flowEntries",
			 json_object_get(datapath, "flowEntries"), "flowCapacity", json_object_get(datapath, "flowCapacity"),
			 "samplesLost", json_object_get(datapath, "samplesLost"), "eventsLost",
			 json_object_get(datapath, "eventsLost"), "services", services, "rollouts", ask(t, "/v1/rollouts"),
			 "events", events(t));
	json_decref(datapath);
	err = *ret ? 0 : top_failed(t, "perchd's answer lacks a part%s", "");
out:
	json_decref(status);
	return err;
}

static void title(FILE *to, const json_t *doc)
{
	double entries = field_number(doc, "flowEntries"), capacity = field_number(doc, "flowCapacity");
	char n[TEXT_NUMBER], most[TEXT_NUMBER], percent[TEXT_NUMBER], clock[TEXT_NUMBER];

	fprintf(to, "perch top  %s  up %s  ", text_clock(field_number(doc, "time"), clock) + strlen("2024-06-10 "),
		text_seconds(field_number(doc, "uptime"), n));
	fprintf(to, "flows %s of %s (%s)  ", text_count(entries, n), text_count(capacity, most),
		text_percent(100 * entries / capacity, percent));
	fprintf(to, "lost %s samples, %s events\n", text_count(field_number(doc, "samplesLost"), n),
		text_count(field_number(doc, "eventsLost"), most));
}

static void alarms(FILE *to, const json_t *doc)
{
	const json_t *alarm;
	size_t i;

	json_array_foreach(field_list(doc, "alarms"), i, alarm)
		fprintf(to, "ALARM  %s%s%s\n", field_is(alarm, "service") ? field_line(alarm, "service") : "",
			field_is(alarm, "service") ? ": " : "", field_line(alarm, "text"));
}

static void table_rate(struct table *t, const json_t *version)
{
	double n = field_number(version, "connectionRate");

	if (isnan(n))
		table_cell(t, "-");
	else
		table_cell(t, n < 9.95 ? "%.1f" : "%.0f", n);
}

static void version_row(struct table *t, const json_t *version)
{
	char bytes[TEXT_NUMBER];

	table_text(t, version, "name");
	table_text(t, version, "role");
	table_percent(t, version, "weight");
	table_percent(t, version, "newShare");
	table_percent(t, version, "activeShare");
	table_rate(t, version);
	table_count(t, version, "active");
	table_count(t, version, "connectFailures");
	table_count(t, version, "resets");
	table_seconds(t, json_object_get(version, "responseTime"), "p99");
	table_cell(t, "%s/s", text_bytes(field_number(version, "byteRate"), bytes));
}

static void services(FILE *to, const json_t *doc)
{
	struct table *t = table_new("  ", "VERSION", "ROLE", ">WEIGHT", ">NEW", ">ACTIVE", ">CONN/S", ">OPEN", ">FAILED",
				    ">RESET", ">P99", ">TRAFFIC");
	const json_t *service, *version;
	char text[LINE];
	size_t i, k;

	json_array_foreach(field_list(doc, "services"), i, service) {
		const char *name = field_text(service, "name");

		overview_line(service, field_find(field_list(doc, "rollouts"), "service", name), text, sizeof(text));
		table_span(t, "%s", text);
		json_array_foreach(field_list(service, "versions"), k, version)
			version_row(t, version);
	}
	table_write(t, to);
}

static void last_events(FILE *to, const json_t *doc)
{
	char clock[TEXT_NUMBER];
	const json_t *event;
	size_t i;

	fputc('\n', to);
	json_array_foreach(field_list(doc, "events"), i, event) {
		fprintf(to, "%s  %s %s", text_clock(field_number(event, "time"), clock),
			field_is(event, "service") ? field_line(event, "service") : "", field_line(event, "kind"));
		if (field_is(event, "from") || field_is(event, "to"))
			fprintf(to, "  %s -> %s", field_line(event, "from"), field_line(event, "to"));
		if (field_is(event, "reason"))
			fprintf(to, "  %s", field_line(event, "reason"));
		fputc('\n', to);
	}
}

static void top_write(FILE *to, const json_t *doc)
{
	title(to, doc);
	alarms(to, doc);
	services(to, doc);
	last_events(to, doc);
}

static void top_text(const json_t *doc)
{
	top_write(stdout, doc);
}

static void screen_doc(const json_t *doc)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return;
	top_write(to, doc);
	if (!fclose(to))
		screen_draw(text);
	free(text);
}

static void screen_silence(const struct top *t)
{
	char text[600];

	snprintf(text, sizeof(text), "perch top  no view: trying again every %.10g s; q leaves\nALARM  %s\n",
		 t->interval / 1e9, t->why);
	screen_draw(text);
}

/* Until the next look: true when the user has had enough. */
static bool top_left(const struct top *t, const json_t *doc)
{
	double until = monotonic() + t->interval / 1e9, left;

	while ((left = until - monotonic()) > 0) {
		int key = screen_wait(left * 1000 + 1);

		if (key == 'q' || key == 'Q' || key == SCREEN_STOP)
			return true;
		if (key == SCREEN_RESIZED && doc)
			screen_doc(doc);
		if (key == ' ' || key == '\r' || key == '\n')
			return false;
	}
	return false;
}

/* The view stays when perchd goes, and goes on when it is back. */
static int top_view(struct top *t, long count)
{
	json_t *doc = NULL;
	int err = top_look(t, &doc);
	bool left = false;

	if (err)
		return cli_error(t->cli, "%s", t->why);
	screen_open();
	for (long i = 1; !left; i++) {
		if (err)
			screen_silence(t);
		else
			screen_doc(doc);
		left = top_left(t, doc) || i == count;
		json_decref(doc);
		doc = NULL;
		err = left ? 0 : top_look(t, &doc);
	}
	screen_close();
	return CLI_OK;
}

/* A first look is taken for the sake of the rates alone. */
static int top_print(struct top *t, long count)
{
	const struct timespec nap = { t->interval / 1000000000, t->interval % 1000000000 };

	for (long i = 0; i <= count; i++) {
		json_t *doc = NULL;

		if (i)
			nanosleep(&nap, NULL);
		if (top_look(t, &doc))
			return cli_error(t->cli, "%s", t->why);
		if (!i) {
			json_decref(doc);
			continue;
		}
		cli_print(t->cli, doc, top_text);
		if (fflush(stdout))
			return CLI_FAILED;
	}
	return CLI_OK;
}

int do_top(struct cli *cli, int argc, char **argv)
{
	const char *interval = NULL, *number = NULL;
	struct top t = { .cli = cli, .interval = INTERVAL_NS };
	const struct word words[] = { WORD_BARE("service", "NAME", &t.service), WORD("interval", "DURATION", &interval),
				      WORD("count", "N", &number), {} };
	long count = 0;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && interval)
		ret = words_duration(cli, "interval", interval, INTERVAL_LEAST_NS, INTERVAL_MOST_NS, &t.interval);
	if (!ret && number)
		ret = words_number(cli, "count", number, 1, COUNT_MAX, &count);
	if (ret)
		return ret;
	if (cli->json || !screen_here())
		ret = top_print(&t, count ? count : 1);
	else
		ret = top_view(&t, count);
	json_decref(t.before);
	return ret;
}
