// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch version: the versions of services, their traffic and their times. */
#include "output.h"
#include "service.h"
#include "show.h"

static void version_list(const json_t *versions)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "ROLE", ">WEIGHT", ">CONNECTIONS", ">OPEN", ">FAILED", ">RESET",
				    ">CONNECT P50", ">P99", ">RESPONSE P50", ">P99", "BACKENDS");
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
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show_of_service(cli, argc, argv, "/v1/versions", version_list);
}

const struct command version_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "versions with their counts and times"),
	COMMAND_LATER("add"),
	COMMAND_LATER("delete", .whole = true),
	{}
};
