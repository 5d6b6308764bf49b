// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch backend: where connections end up. */
#include "output.h"
#include "show.h"
#include "text.h"

static void backend_list(const json_t *backends)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "ADDRESS", "STATE", ">WEIGHT", ">CONNECTIONS", ">OPEN",
				    ">FAILED", ">RESET", ">PACKETS", ">BYTES");
	const json_t *backend;
	char number[TEXT_NUMBER];
	size_t i;

	json_array_foreach(backends, i, backend) {
		table_text(t, backend, "service");
		table_text(t, backend, "version");
		table_text(t, backend, "address");
		table_text(t, backend, "state");
		table_count(t, backend, "weight");
		table_count(t, backend, "connections");
		table_count(t, backend, "active");
		table_count(t, backend, "connectFailures");
		table_count(t, backend, "resets");
		table_count(t, backend, "packets");
		table_cell(t, "%s", text_bytes(field_number(backend, "bytes"), number));
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show_of_service(cli, argc, argv, "/v1/backends", backend_list);
}

const struct command backend_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "backends with their state and counts"),
	COMMAND_LATER("drain"),
	COMMAND_LATER("resume"),
	{}
};
