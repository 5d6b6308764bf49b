// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * From words to a function: finds objects and commands by name or unambiguous
 * prefix, and prints help from the same tables that are run.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "text.h"

#define PATH 128
#define SENTENCE 512

static bool is_later(const struct command *c)
{
	return !c->func && !c->below;
}

const struct command *command_find(const struct command *table, const char *word, char *why, int size)
{
	const struct command *found = NULL;
	char some[SENTENCE] = "", all[SENTENCE] = "";
	int matches = 0;

	for (const struct command *c = table; c->name; c++) {
		if (strcmp(c->name, word) == 0)
			return c;
		if (!is_later(c))
			text_append(all, sizeof(all), "%s%s", *all ? ", " : "", c->name);
		if (strncmp(c->name, word, strlen(word)) == 0) {
			text_append(some, sizeof(some), "%s%s", *some ? ", " : "", c->name);
			found = c;
			matches++;
		}
	}
	if (matches == 1 && !found->whole)
		return found;
	if (matches == 1)
		snprintf(why, size, "'%s' must be spelled out: %s", word, found->name);
	else if (matches && *word)
		snprintf(why, size, "'%s' is ambiguous: %s", word, some);
	else
		snprintf(why, size, "'%s' is unknown; here may stand: %s, help", word, all);
	return NULL;
}

static void help_entry(json_t *lines, const struct command *c, const char *path)
{
	char usage[SENTENCE];

	if (is_later(c))
		return;
	snprintf(usage, sizeof(usage), "%s %s%s%s", path, c->name, c->usage ? " " : "", c->usage ?: "");
	if (!c->below) {
		json_array_append_new(lines, json_pack("{s:s,s:s?}", "usage", usage, "about", c->about));
		return;
	}
	for (const struct command *below = c->below; below->name; below++)
		help_entry(lines, below, usage);
}

static void help_text(const json_t *doc)
{
	const json_t *line;
	size_t i;

	puts("usage: perch [-j|-p] [-V] [--socket PATH] [--bpffs PATH] OBJECT COMMAND [KEY VALUE]...");
	json_array_foreach(field_list(doc, "commands"), i, line) {
		printf("  %s\n", field_text(line, "usage"));
		if (!json_is_null(json_object_get(line, "about")))
			printf("        %s\n", field_text(line, "about"));
	}
	puts("-j prints JSON, -p indents it; PERCH_SOCKET and PERCH_BPFFS stand for the options.\n"
	     "Objects, commands: any unambiguous beginning will do, but rollback and delete are\n"
	     "spelled out. Every change takes comment TEXT. Exit: 0 done, 1 failed, 2 usage.");
}

int command_help(const struct cli *cli, const struct command *table, const char *path)
{
	json_t *lines = json_array();

	for (const struct command *c = table; c->name; c++)
		help_entry(lines, c, path);
	return cli_print(cli, json_pack("{s:o}", "commands", lines), help_text);
}

static int command_help_one(const struct cli *cli, const struct command *c, const char *path)
{
	const struct command table[] = { *c, {} };

	return command_help(cli, table, path);
}

int command_run(struct cli *cli, const struct command *table, const char *path, int argc, char **argv)
{
	const struct command *c = table;
	char why[SENTENCE], below[PATH];

	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		cli->help = true;
		argc--;
		argv++;
	}
	if (cli->help && argc == 0)
		return command_help(cli, table, path);
	if (argc > 0) {
		c = command_find(table, argv[0], why, sizeof(why));
		if (!c)
			return cli_usage(cli, "%s", why);
		argc--;
		argv++;
	}
	snprintf(below, sizeof(below), "%s %s", path, c->name);
	if (is_later(c))
		return cli_usage(cli, "'%s' is not supported yet", below);
	if (c->below)
		return command_run(cli, c->below, below, argc, argv);
	if (cli->help || (argc > 0 && strcmp(argv[0], "help") == 0))
		return command_help_one(cli, c, path);
	if (cli->direct && !c->takes_direct)
		return cli_usage(cli, "--direct belongs to rollback, not to '%s'", below);
	return c->func(cli, argc, argv);
}
