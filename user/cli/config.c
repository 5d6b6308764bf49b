// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch config: what perchd runs with, and whether a file would do. */
#include <stdio.h>
#include <string.h>

#include "../config/config.h"
#include "client.h"
#include "output.h"
#include "text.h"

static void config_text(const json_t *config)
{
	const char *text = field_text(config, "text");
	char when[TEXT_NUMBER];

	printf("# %s, loaded %s\n", field_line(config, "file"), text_clock(field_number(config, "loaded"), when));
	if (field_is(config, "error"))
		printf("# the last reload failed, this is still in force: %s\n", field_line(config, "error"));
	fputs(text, stdout);
	if (!*text || text[strlen(text) - 1] != '\n')
		putchar('\n');
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const struct word words[] = { {} };
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret)
		ret = client_get(cli, "/v1/config", &doc);
	return ret ?: cli_print(cli, doc, config_text);
}

static void check_text(const json_t *doc)
{
	double n = field_number(doc, "services");

	printf("%s: ok, %.0f service%s\n", field_line(doc, "file"), n, n == 1 ? "" : "s");
}

static int do_check(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL;
	const struct word words[] = { WORD_NEEDED("file", "FILE", &file), {} };
	struct model_config *config;
	char error[CONFIG_ERROR];
	size_t services;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	if (config_load(file, &config, error))
		return cli_error(cli, "%s", error);
	services = config->n_services;
	config_free(config);
	return cli_print(cli, json_pack("{s:s,s:b,s:I}", "file", file, "ok", 1, "services", (json_int_t)services), check_text);
}

const struct command config_commands[] = {
	COMMAND("show", do_show, NULL, "the configuration in force"),
	COMMAND("check", do_check, "FILE", "read a configuration as perchd would, change nothing"),
	COMMAND_LATER("diff"), COMMAND_LATER("apply"), COMMAND_LATER("confirm"),
	{}
};
