// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch version: the versions of services, their traffic and their times, and
 * those that are added to a service that was applied. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "output.h"
#include "service.h"
#include "show.h"
#include "text.h"

static void version_labels(struct table *t, const json_t *version)
{
	char text[512] = "";
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(version, "labels"), key, value)
		text_append(text, sizeof(text), "%s%s=%s", *text ? " " : "", key, json_string_value(value) ?: "");
	text_printable(text);
	table_cell(t, "%s", *text ? text : "-");
}

static void version_list(const json_t *versions)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "ROLE", ">WEIGHT", ">CONNECTIONS", ">OPEN", ">FAILED", ">RESET",
				    ">CONNECT P50", ">P99", ">RESPONSE P50", ">P99", "BACKENDS", "LABELS");
	const json_t *version;
	char backends[128];
	size_t i;

	json_array_foreach(versions, i, version) {
		const json_t *connect = json_object_get(version, "connectTime");
		const json_t *response = json_object_get(version, "responseTime");

		table_text(t, version, "service");
		table_text(t, version, "name");
		table_cell(t, "%s%s", field_text(version, "role"),
			   json_is_object(json_object_get(version, "rejected")) ? ", rejected" : "");
		table_percent(t, version, "weight");
		table_count(t, version, "connections");
		table_count(t, version, "active");
		table_count(t, version, "connectFailures");
		table_count(t, version, "resets");
		table_seconds(t, connect, "p50");
		table_seconds(t, connect, "p99");
		table_seconds(t, response, "p50");
		table_seconds(t, response, "p99");
		service_backends(version, backends, sizeof(backends));
		table_cell(t, "%s", backends);
		version_labels(t, version);
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show_of_service(cli, argc, argv, "/v1/versions", version_list);
}

static void version_changed(const json_t *service)
{
	service_text(service, NULL);
}

static int label_add(const struct cli *cli, json_t *labels, const char *word)
{
	const char *equal = strchr(word, '=');
	char key[128];

	if (!equal || equal == word || (size_t)(equal - word) >= sizeof(key))
		return cli_usage(cli, "label '%s' is not K=V, like commit=ab12", word);
	snprintf(key, sizeof(key), "%.*s", (int)(equal - word), word);
	if (json_object_get(labels, key))
		return cli_usage(cli, "label '%s' stands there twice", key);
	if (json_object_set_new(labels, key, json_string(equal + 1)))
		return cli_usage(cli, "a label is UTF-8");
	return CLI_OK;
}

/* backend ADDR... door ADDR... label K=V... into the version. */
static int version_words(const struct cli *cli, char **word, int n, json_t *version)
{
	static const char *const lists[] = { "backend", "door", "label" }, *const keys[] = { "backends", "door", "labels" };
	int list = -1, ret = CLI_OK;
	json_t *to = NULL;

	for (int i = 0; i < n && !ret; i++) {
		int other = -1;

		for (int k = 0; k < 3; k++)
			if (!strcmp(word[i], lists[k]))
				other = k;
		if (other >= 0) {
			if (i + 1 == n)
				return cli_usage(cli, "'%s' needs %s after it", word[i], other == 2 ? "K=V" : "an address");
			list = other;
			to = json_object_get(version, keys[list]);
			if (!to)
				json_object_set_new(version, keys[list], to = list == 2 ? json_object() : json_array());
		} else if (list < 0) {
			ret = cli_usage(cli, "'%s' is unexpected; here may stand: backend ADDR[:PORT]..., door ADDR:PORT/PROTOCOL..., label K=V..., role ROLE, comment TEXT",
					word[i]);
		} else if (list == 2) {
			ret = label_add(cli, to, word[i]);
		} else if (json_array_append_new(to, json_string(word[i]))) {
			ret = cli_usage(cli, "an address is UTF-8");
		}
	}
	if (!ret && !json_object_get(version, "backends"))
		ret = cli_usage(cli, "which backends? backend ADDR[:PORT], once or more");
	return ret;
}

/* [service] NAME VERSION at the front of rest; what is left begins at *ret_at. */
static int version_names(const struct cli *cli, const char **service, const char **version, char **rest, int n, int *ret_at)
{
	int at = 0;

	if (!*service && at < n)
		*service = rest[at++];
	if (!*service)
		return cli_usage(cli, "NAME of the service is missing: service NAME VERSION");
	if (at == n)
		return cli_usage(cli, "VERSION is missing: service NAME VERSION");
	*version = rest[at++];
	*ret_at = at;
	return CLI_OK;
}

static int do_add(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *version = NULL, *role = NULL, *comment = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("role", "ROLE", &role),
				      WORD("comment", "TEXT", &comment), {} };
	json_t *body = json_object(), *doc;
	struct client_path path;
	char *rest[argc + 1];
	int n, at = 0, ret;

	ret = words_split(cli, argc, argv, words, rest, &n);
	if (!ret)
		ret = version_names(cli, &service, &version, rest, n, &at);
	if (!ret)
		ret = version_words(cli, rest + at, n - at, body);
	if (!ret && (json_object_set_new(body, "name", json_string(version)) ||
		     (role && json_object_set_new(body, "role", json_string(role))) ||
		     (comment && json_object_set_new(body, "comment", json_string(comment)))))
		ret = cli_usage(cli, "names and comments are UTF-8");
	if (!ret) {
		client_path(&path, "/v1/services/", service, "/versions");
		ret = client_send(cli, "POST", path.text, body, &doc);
	}
	json_decref(body);
	return ret ?: cli_print(cli, doc, version_changed);
}

static int do_delete(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *version = NULL, *comment = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("comment", "TEXT", &comment), {} };
	struct client_path path, front;
	char *rest[argc + 1];
	json_t *doc;
	int n, at = 0, ret;

	ret = words_split(cli, argc, argv, words, rest, &n);
	if (!ret)
		ret = version_names(cli, &service, &version, rest, n, &at);
	if (!ret && at < n)
		ret = cli_usage(cli, "'%s' is unexpected; here may stand: service NAME VERSION, comment TEXT", rest[at]);
	if (ret)
		return ret;
	client_path(&front, "/v1/services/", service, "/versions/");
	client_path(&path, front.text, version, "");
	client_query(&path, "comment", comment);
	ret = client_send(cli, "DELETE", path.text, NULL, &doc);
	return ret ?: cli_print(cli, doc, version_changed);
}

const struct command version_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "versions with their counts, times and labels"),
	COMMAND("add", do_add, "service NAME VERSION backend ADDR[:PORT]... [label K=V]... [door ADDR:PORT/PROTOCOL]... [comment TEXT]",
		"one more version of a service that was applied; it takes traffic by rollout start or weight set"),
	COMMAND("delete", do_delete, "service NAME VERSION [comment TEXT]",
		"take a version without traffic out of a service that was applied", .whole = true),
	{}
};
