// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch flow: the connections in the flow table. */
#include <stdio.h>

#include "../core/address.h"
#include "client.h"
#include "output.h"
#include "text.h"

#define LIMIT_MAX 100000000
#define LIMIT_DEFAULT 1000	/* perchd's */

/* Does a backend see another source than the client's own? */
static bool flow_translated(const json_t *flows)
{
	const json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow)
		if (json_is_string(json_object_get(flow, "source")))
			return true;
	return false;
}

static void flow_list(const json_t *flows)
{
	bool translated = flow_translated(flows);
	struct table *t = translated ?
		table_new("", "CLIENT", "LISTENER", "SOURCE", "BACKEND", "VERSION", "CLASS", ">AGE", ">IDLE") :
		table_new("", "CLIENT", "LISTENER", "BACKEND", "VERSION", "CLASS", ">AGE", ">IDLE");
	const json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow) {
		table_text(t, flow, "client");
		table_text(t, flow, "listener");
		if (translated)
			table_text(t, flow, "source");
		table_text(t, flow, "backend");
		table_text(t, flow, "version");
		table_text(t, flow, "class");
		table_seconds(t, flow, "age");
		table_seconds(t, flow, "idle");
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *client = NULL, *limit = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("client", "IP", &client),
				      WORD("limit", "N", &limit), {} };
	struct perch_address address;
	struct client_path path;
	json_t *doc;
	long n;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && limit)
		ret = words_number(cli, "limit", limit, 0, LIMIT_MAX, &n);
	if (!ret && client && address_parse(client, &address))
		ret = cli_usage(cli, "client '%s' is not an IP address", client);
	if (ret)
		return ret;
	client_path(&path, "/v1/flows", "", "");
	client_query(&path, "service", service);
	client_query(&path, "client", client);
	client_query(&path, "limit", limit);
	ret = client_get(cli, path.text, &doc);
	if (ret)
		return ret;
	if (!limit && json_array_size(doc) == LIMIT_DEFAULT)
		cli_note(cli, "these are the first %d; limit 0 shows all", LIMIT_DEFAULT);
	return cli_print(cli, doc, flow_list);
}

static void flow_counts(const json_t *counts)
{
	const json_t *classes = json_object_get(counts, "classes"), *services = json_object_get(counts, "services");
	struct table *t = table_new("", "CLASS", ">FLOWS");
	char total[TEXT_NUMBER], capacity[TEXT_NUMBER];
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)classes, key, value) {
		table_cell(t, "%s", key);
		table_count(t, classes, key);
	}
	table_print(t);
	printf("%s of %s\n", text_count(field_number(counts, "total"), total),
	       text_count(field_number(counts, "capacity"), capacity));
	t = table_new("", "SERVICE", ">FLOWS");
	json_object_foreach((json_t *)services, key, value) {
		table_cell(t, "%s", key);
		table_count(t, services, key);
	}
	table_print(t);
}

static int do_count(struct cli *cli, int argc, char **argv)
{
	const struct word words[] = { {} };
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret)
		ret = client_get(cli, "/v1/flows/count", &doc);
	return ret ?: cli_print(cli, doc, flow_counts);
}

const struct command flow_commands[] = {
	COMMAND("show", do_show, "[service NAME] [client IP] [limit N]", "connections: who, where to, how old; limit 0: all"),
	COMMAND("count", do_count, NULL, "connections by class and by service"),
	{}
};
