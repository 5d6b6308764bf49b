// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch reason: why packets left the programs as they did. */
#include "output.h"
#include "show.h"

static void reason_list(const json_t *reasons)
{
	struct table *t = table_new("", "REASON", "VERDICT", ">XDP", ">TC IN", ">TC OUT", ">ALL", "MEANING");
	const json_t *reason;
	size_t i;

	json_array_foreach(reasons, i, reason) {
		const json_t *hooks = json_object_get(reason, "hooks");

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
	return show(cli, argc, argv, "/v1/reasons", reason_list);
}

const struct command reason_commands[] = {
	COMMAND("show", do_show, NULL, "counters of every pass, drop and error"),
	{}
};
