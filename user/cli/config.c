// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch config: what perchd runs with, and whether a file would do. */
#include <stdio.h>
#include <string.h>

#include "../config/config.h"
#include "client.h"
#include "direct.h"
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

/* Names that perchd, or else the kernel, knows; empty where neither runs. */
static json_t *known_names(const struct cli *cli)
{
	json_t *names = NULL, *services, *service;
	struct maps maps;
	int status;
	size_t i;

	if (client_call(cli, "GET", "/v1/services", NULL, CLIENT_ROLLBACK_MS, &status, &services) == 0) {
		names = json_array();
		json_array_foreach(services, i, service)
			json_array_append(names, json_object_get(service, "name"));
		json_decref(services);
	} else if (maps_open_rollback(&maps, cli->bpffs, NULL) == 0) {
		names = direct_names(&maps);
		maps_close(&maps);
	}
	return names ?: json_array();
}

static bool is_known(const json_t *names, const char *name)
{
	const json_t *known;
	size_t i;

	json_array_foreach(names, i, known)
		if (strcmp(json_string_value(known) ?: "", name) == 0)
			return true;
	return false;
}

/* Roles count for services that are not known yet, and only there. */
static int check_services(const struct cli *cli, const struct model_config *config, char error[CONFIG_ERROR])
{
	json_t *names = known_names(cli);
	int err = 0;

	for (size_t i = 0; !err && i < config->n_services; i++)
		if (!is_known(names, config->services[i].name))
			err = config_check_new_service(config, &config->services[i], error);
	json_decref(names);
	return err;
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
	ret = check_services(cli, config, error);
	config_free(config);
	if (ret)
		return cli_error(cli, "%s", error);
	return cli_print(cli, json_pack("{s:s,s:b,s:I}", "file", file, "ok", 1, "services", (json_int_t)services), check_text);
}

const struct command config_commands[] = {
	COMMAND("show", do_show, NULL, "the configuration in force"),
	COMMAND("check", do_check, "FILE", "read a configuration as perchd would, change nothing"),
	COMMAND_LATER("diff"), COMMAND_LATER("apply"), COMMAND_LATER("confirm"),
	{}
};
