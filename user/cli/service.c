// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch service: what is split, and how it goes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "client.h"
#include "output.h"
#include "service.h"
#include "show.h"
#include "text.h"

#define LISTENERS 1024
#define DRAIN_MOST_NS (86400 * 1000000000ull)

void service_backends(const json_t *version, char *out, size_t size)
{
	static const char *const states[] = { "up", "draining", "down" };
	const json_t *backend;
	size_t i;

	*out = 0;
	for (unsigned s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
		int n = 0;

		json_array_foreach(field_list(version, "backends"), i, backend)
			n += strcmp(field_text(backend, "state"), states[s]) == 0;
		if (n)
			text_append(out, size, "%s%d %s", *out ? ", " : "", n, states[s]);
	}
	if (!*out)
		text_append(out, size, "none");
}

static void service_versions(const json_t *service)
{
	struct table *t = table_new("  ", "VERSION", "ROLE", ">WEIGHT", ">NEW", ">ACTIVE", ">CONNECTIONS", ">OPEN",
				    ">FAILED", ">RESET", ">RESP P50", ">P99", "BACKENDS");
	const json_t *version;
	char backends[128];
	size_t i;

	json_array_foreach(field_list(service, "versions"), i, version) {
		const json_t *times = json_object_get(version, "responseTime");

		table_text(t, version, "name");
		table_text(t, version, "role");
		table_percent(t, version, "weight");
		table_percent(t, version, "newShare");
		table_percent(t, version, "activeShare");
		table_count(t, version, "connections");
		table_count(t, version, "active");
		table_count(t, version, "connectFailures");
		table_count(t, version, "resets");
		table_seconds(t, times, "p50");
		table_seconds(t, times, "p99");
		service_backends(version, backends, sizeof(backends));
		table_cell(t, "%s", backends);
	}
	table_print(t);
}

static void service_rejections(const json_t *service)
{
	const json_t *version;
	char when[TEXT_NUMBER];
	size_t i;

	json_array_foreach(field_list(service, "versions"), i, version) {
		const json_t *rejected = json_object_get(version, "rejected");

		if (!json_is_object(rejected))
			continue;
		printf("  %s was rejected at %s by %s: %s\n", field_line(version, "name"),
		       text_clock(field_number(rejected, "time"), when), field_line(rejected, "by"),
		       field_line(rejected, "reason"));
	}
}

static void service_rollout(const json_t *rollout)
{
	double step = field_number(rollout, "step"), eta = field_number(rollout, "eta");
	char number[TEXT_NUMBER];

	if (step > 0)
		printf("  step %.0f of %zu at %s", step, json_array_size(field_list(rollout, "steps")),
		       text_percent(field_number(rollout, "weight"), number));
	if (step > 0 && !isnan(eta))
		printf(", the next in about %s", text_seconds(eta, number));
	if (step > 0)
		putchar('\n');
	if (field_is(rollout, "reason") && strncmp(field_text(rollout, "reason"), "step ", 5) != 0)
		printf("  %s\n", field_line(rollout, "reason"));
	if (field_is(rollout, "blockedBy"))
		printf("  blocked by %s\n", field_line(rollout, "blockedBy"));
	if (field_is(rollout, "next"))
		printf("  next: %s\n", field_line(rollout, "next"));
}

/* On its way in from the stack, or out to it. */
static void service_passage(const json_t *service)
{
	const json_t *leaving = json_object_get(service, "leaving");
	double left = field_number(leaving, "connections");
	char count[TEXT_NUMBER], seconds[TEXT_NUMBER];

	if (json_is_number(json_object_get(service, "adopting")))
		printf("  connections from before it was taken over pass to the stack for %s\n",
		       text_seconds(field_number(service, "adopting"), seconds));
	if (json_is_object(leaving))
		printf("  %s connection%s left, %s\n", text_count(left, count), left == 1 ? "" : "s",
		       text_seconds(field_number(leaving, "seconds"), seconds));
}

/* Weights are not all: who is led by a rule or a pin. */
static void service_choosers(const json_t *service)
{
	char rules[TEXT_NUMBER], pins[TEXT_NUMBER];
	double n_rules = field_number(service, "rules"), n_pins = field_number(service, "pins");

	if (n_rules > 0 || n_pins > 0)
		printf("  before the hash: %s rule%s, %s pin%s\n", text_count(n_rules, rules), n_rules == 1 ? "" : "s",
		       text_count(n_pins, pins), n_pins == 1 ? "" : "s");
}

void service_text(const json_t *service, const json_t *rollout)
{
	char listen[LISTENERS];

	printf("%s  %s%s  %s\n", field_line(service, "name"), field_line(service, "phase"),
	       field_true(service, "rolledBack") && strcmp(field_text(service, "phase"), "RolledBack") != 0 ? " (rolled back)" : "",
	       field_words(service, "listen", listen, sizeof(listen)));
	service_passage(service);
	service_choosers(service);
	service_rollout(rollout);
	service_versions(service);
	service_rejections(service);
}

static void service_one(const json_t *services)
{
	service_text(json_array_get(services, 0), NULL);
}

static void service_list(const json_t *services)
{
	struct table *t = table_new("", "SERVICE", "PHASE", "LISTEN", "FORWARD", "AFFINITY", "VERSIONS");
	const json_t *service, *version;
	char text[LISTENERS], number[TEXT_NUMBER];
	size_t i, k;

	json_array_foreach(services, i, service) {
		table_text(t, service, "name");
		table_text(t, service, "phase");
		table_cell(t, "%s", field_words(service, "listen", text, sizeof(text)));
		table_text(t, service, "forward");
		table_text(t, service, "affinity");
		*text = 0;
		json_array_foreach(field_list(service, "versions"), k, version)
			text_append(text, sizeof(text), "%s%s %s", k ? ", " : "", field_text(version, "name"),
				    text_percent(field_number(version, "weight"), number));
		table_cell(t, "%s", text);
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	json_t *doc;
	bool one;
	int ret;

	ret = show_one_or_all(cli, argc, argv, "/v1/services", "", &doc, &one);
	if (ret)
		return ret;
	/* An array in any case, so that a script reads both alike. */
	if (one)
		doc = json_pack("[o]", doc);
	return cli_print(cli, doc, one ? service_one : service_list);
}

static void service_changed(const json_t *service)
{
	service_text(service, NULL);
}

static int do_apply(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("file", "FILE", &file), WORD("comment", "TEXT", &comment), {} };
	char error[CONFIG_ERROR], name[PERCH_NAME_LEN], *text;
	struct client_path path;
	size_t length;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words) ?: client_file(cli, file, &text, &length);
	if (ret)
		return ret;
	if (config_service_name(file, text, length, name, error)) {
		free(text);
		return cli_error(cli, "%s", error);
	}
	client_path(&path, "/v1/services/", name, "");
	client_query(&path, "comment", comment);
	ret = client_send_text(cli, "PUT", path.text, text, length, &doc);
	free(text);
	return ret ?: cli_print(cli, doc, service_changed);
}

static void service_deleted(const json_t *service)
{
	const json_t *leaving = json_object_get(service, "leaving");
	char number[TEXT_NUMBER], time[TEXT_NUMBER];

	if (leaving)
		printf("%s: leaving; %s connections have %s\n", field_line(service, "name"),
		       text_count(field_number(leaving, "connections"), number),
		       text_seconds(field_number(leaving, "seconds"), time));
	else
		printf("%s: deleted\n", field_line(service, "name"));
}

static int do_delete(struct cli *cli, int argc, char **argv)
{
	const char *name = NULL, *drain = NULL, *force = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &name), WORD("drain", "DURATION", &drain),
				      WORD_FLAG("force", &force), WORD("comment", "TEXT", &comment), {} };
	unsigned long long ns;
	struct client_path path;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && drain)
		ret = words_duration(cli, "drain", drain, 0, DRAIN_MOST_NS, &ns);
	if (ret)
		return ret;
	client_path(&path, "/v1/services/", name, "");
	client_query(&path, "drain", drain);
	client_query(&path, "force", force ? "1" : NULL);
	client_query(&path, "comment", comment);
	ret = client_send(cli, "DELETE", path.text, NULL, &doc);
	return ret ?: cli_print(cli, doc, service_deleted);
}

const struct command service_commands[] = {
	COMMAND("show", do_show, "[NAME]", "services with their versions"),
	COMMAND("apply", do_apply, "FILE [comment TEXT]",
		"make or change the service that FILE (YAML or JSON, - is stdin) says; not one that perch.yaml has"),
	COMMAND("delete", do_delete, "NAME [drain DURATION] [force] [comment TEXT]",
		"take away one that was applied; drain lets its connections end, force ends a rollout",
		.whole = true),
	{}
};
