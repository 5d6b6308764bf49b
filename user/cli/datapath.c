// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch datapath: programs, maps and interfaces. */
#include <stdio.h>

#include "output.h"
#include "show.h"
#include "text.h"

static void datapath_interfaces(const json_t *datapath)
{
	struct table *t = table_new("", "INTERFACE", "ATTACH", "MODE", ">XDP", ">TC IN", ">TC OUT", "REMARK");
	const json_t *interface;
	size_t i;

	json_array_foreach(field_list(datapath, "interfaces"), i, interface) {
		table_text(t, interface, "name");
		table_text(t, interface, "asked");
		table_text(t, interface, "mode");
		table_cell(t, "%.0f", field_number(interface, "xdp"));
		table_cell(t, "%.0f", field_number(interface, "tcIn"));
		table_cell(t, "%.0f", field_number(interface, "tcOut"));
		table_text(t, interface, json_is_string(json_object_get(interface, "error")) ? "error" : "note");
	}
	table_print(t);
}

static void datapath_programs(const json_t *datapath)
{
	struct table *t = table_new("", "PROGRAM", ">ID", ">VERIFIED");
	const json_t *program;
	size_t i;

	json_array_foreach(field_list(datapath, "programs"), i, program) {
		table_text(t, program, "name");
		table_cell(t, "%.0f", field_number(program, "id"));
		table_count(t, program, "verified");
	}
	table_print(t);
}

static void datapath_maps(const json_t *datapath)
{
	struct table *t = table_new("", "MAP", ">ID", ">ENTRIES", ">KEY", ">VALUE", ">MEMORY");
	char bytes[TEXT_NUMBER];
	const json_t *map;
	size_t i;

	json_array_foreach(field_list(datapath, "maps"), i, map) {
		table_text(t, map, "name");
		table_cell(t, "%.0f", field_number(map, "id"));
		table_count(t, map, "entries");
		table_count(t, map, "keySize");
		table_count(t, map, "valueSize");
		table_cell(t, "%s", text_bytes(field_number(map, "bytes"), bytes));
	}
	table_print(t);
}

static void datapath_text(const json_t *datapath)
{
	char memory[TEXT_NUMBER], flows[TEXT_NUMBER], samples[TEXT_NUMBER], events[TEXT_NUMBER];

	printf("ABI %.0f at %s, %s%s\n", field_number(datapath, "abi"), field_line(datapath, "pinPath"),
	       text_bytes(field_number(datapath, "memory"), memory), field_true(datapath, "takenOver") ? ", taken over" : "");
	printf("room for %s flows; lost: %s samples, %s events\n", text_count(field_number(datapath, "flowCapacity"), flows),
	       text_count(field_number(datapath, "samplesLost"), samples),
	       text_count(field_number(datapath, "eventsLost"), events));
	datapath_interfaces(datapath);
	datapath_programs(datapath);
	datapath_maps(datapath);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show(cli, argc, argv, "/v1/datapath", datapath_text);
}

const struct command datapath_commands[] = {
	COMMAND("show", do_show, NULL, "interfaces, programs, maps, memory, ABI"),
	{}
};
