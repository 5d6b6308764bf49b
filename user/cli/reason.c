// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch reason: why packets left the programs as they did. */
#include "client.h"
#include "output.h"

static bool shows_all;

static void reason_list(const json_t *reasons)
{
	struct table *t = table_new("", "REASON", "VERDICT", ">XDP", ">TC IN", ">TC OUT", ">ALL", "MEANING");
	const json_t *reason;
	size_t i;

	json_array_foreach(reasons, i, reason) {
		const json_t *hooks = json_object_get(reason, "hooks");

		if (!shows_all && field_number(reason, "count") == 0)
			continue;
		table_text(t, reason, "name");
		table_text(t, reason, "verdict");
		table_count(t, hooks, "xdp");
		table_count(t, hooks, "tcIn");
		table_count(t, hooks, "tcOut");
		table_count(t, reason, "count");
		table_text(t, reason, "text");
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *all = NULL;
	const struct word words[] = { WORD_FLAG("all", &all), {} };
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret)
		ret = client_get(cli, "/v1/reasons", &doc);
	shows_all = all;
	return ret ?: cli_print(cli, doc, reason_list);
}

const struct command reason_commands[] = {
	COMMAND("show", do_show, "[all]", "counters of every pass, drop and error; all: those that are 0 too"),
	{}
};
