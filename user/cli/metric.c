// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch metric: values measured elsewhere, for gates to judge by. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "client.h"
#include "output.h"

#define NEEDED(k, w, v) { .key = (k), .what = (w), .value = (v), .needed = true }

static void metric_list(const json_t *list)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "NAME", ">VALUE", ">AGE", ">PUSHED");
	const json_t *series;
	size_t i;

	json_array_foreach(list, i, series) {
		table_text(t, series, "service");
		table_text(t, series, "version");
		table_text(t, series, "name");
		table_cell(t, "%.10g", field_number(series, "value"));
		table_seconds(t, series, "age");
		table_count(t, series, "count");
	}
	table_print(t);
}

static void metric_one(const json_t *series)
{
	json_t *list = json_pack("[O]", series);

	metric_list(list);
	json_decref(list);
}

static int do_push(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *version = NULL, *name = NULL, *value = NULL;
	const struct word words[] = { NEEDED("service", "NAME", &service), NEEDED("version", "VERSION", &version),
				      NEEDED("name", "NAME", &name), NEEDED("value", "VALUE", &value), {} };
	json_t *body, *doc;
	double number;
	char *end;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	errno = 0;
	number = strtod(value, &end);
	if (end == value || *end || errno || !isfinite(number))
		return cli_usage(cli, "value '%s' is not a number", value);
	body = json_pack("{s:s, s:s, s:s, s:f}", "service", service, "version", version, "name", name, "value", number);
	if (!body)
		return cli_usage(cli, "names are UTF-8 text");
	ret = client_send(cli, "POST", "/v1/metrics", body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, metric_one);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &service), {} };
	struct client_path path;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	client_path(&path, "/v1/metrics", "", "");
	client_query(&path, "service", service);
	ret = client_get(cli, path.text, &doc);
	return ret ?: cli_print(cli, doc, metric_list);
}

const struct command metric_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "values that were pushed: the last of each, and how old it is"),
	COMMAND("push", do_push, "service NAME version VERSION name NAME value VALUE", "one value measured elsewhere, for a gate"),
	{}
};
