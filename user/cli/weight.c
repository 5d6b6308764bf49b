// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch weight: percent of new connections per version. */
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "client.h"
#include "output.h"
#include "show.h"

static void weight_rows(struct table *t, const json_t *of)
{
	const json_t *weight;
	size_t i;

	json_array_foreach(field_list(of, "weights"), i, weight) {
		table_text(t, of, "service");
		table_text(t, weight, "version");
		table_text(t, weight, "role");
		table_percent(t, weight, "weight");
		table_cell(t, "%s%s", field_text(of, "phase"), field_true(of, "rolledBack") ? ", rolled back" : "");
	}
}

/* One service or an array of them. */
static void weight_list(const json_t *weights)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "ROLE", ">WEIGHT", "PHASE");
	const json_t *of;
	size_t i;

	if (json_is_object(weights))
		weight_rows(t, weights);
	json_array_foreach(weights, i, of)
		weight_rows(t, of);
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show_of_service(cli, argc, argv, "/v1/weights", weight_list);
}

/* VERSION PERCENT pairs into body. */
static int weight_pairs(const struct cli *cli, char **rest, int n, json_t *body)
{
	__u32 share;

	if (n == 0 || n % 2)
		return cli_usage(cli, n ? "'%s' has no percentage after it; VERSION PERCENT stand in pairs" :
				 "which weights? VERSION PERCENT, once or more%s", n ? rest[n - 1] : "");
	for (int i = 0; i < n; i += 2) {
		if (config_percent(rest[i + 1], &share))
			return cli_usage(cli, "'%s' is no percentage of %s: a number from 0 to 100 with up to two decimals",
					 rest[i + 1], rest[i]);
		if (json_object_get(body, rest[i]))
			return cli_usage(cli, "'%s' stands there twice", rest[i]);
		if (json_object_set_new(body, rest[i], json_real(share / 100.)))
			return cli_usage(cli, "a version's name is UTF-8");
	}
	return CLI_OK;
}

static int do_set(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *comment = NULL, *force = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("comment", "TEXT", &comment),
				      WORD_FLAG("force", &force), {} };
	json_t *body = json_object(), *doc;
	struct client_path path;
	char *rest[argc + 1];
	int n, ret, first;
	__u32 share;

	ret = words_split(cli, argc, argv, words, rest, &n);
	/* The key may be left out; then the name stands before the pairs. */
	first = !ret && !service && n && (n == 1 || config_percent(rest[1], &share));
	if (first)
		service = rest[0];
	if (!ret && !service)
		ret = cli_usage(cli, "NAME of the service is missing: weight set service NAME VERSION PERCENT");
	if (!ret)
		ret = weight_pairs(cli, rest + first, n - first, body);
	if (!ret) {
		json_object_set_new(body, "force", json_boolean(force));
		if (comment)
			json_object_set_new(body, "comment", json_string(comment));
		client_path(&path, "/v1/services/", service, "/weights");
		ret = client_send(cli, "PUT", path.text, body, &doc);
	}
	json_decref(body);
	return ret ?: cli_print(cli, doc, weight_list);
}

const struct command weight_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "percent of new connections per version"),
	COMMAND("set", do_set, "service NAME VERSION PERCENT [VERSION PERCENT]... [force] [comment TEXT]",
		"VERSION is a name or a role; stable has the rest; force pauses a rollout"),
	{}
};
