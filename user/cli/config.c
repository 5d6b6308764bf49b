// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch config: what perchd runs with, whether a file would do, and a new one
 * in its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../config/config.h"
#include "client.h"
#include "direct.h"
#include "output.h"
#include "text.h"

#define CONFIRM_LEAST_NS 1000000000ull
#define CONFIRM_MOST_NS (86400 * 1000000000ull)

static void config_pending(const json_t *config)
{
	const json_t *pending = json_object_get(config, "pending");
	double left = field_number(pending, "due") - time(NULL);
	char number[TEXT_NUMBER];

	if (json_is_object(pending))
		printf("# not confirmed: taken back in %s unless `perch config confirm`\n",
		       text_seconds(left > 0 ? left : 0, number));
}

static void config_head(const json_t *config)
{
	const json_t *file;
	char when[TEXT_NUMBER];
	size_t i;

	printf("# %s, loaded %s\n", field_line(config, "file"), text_clock(field_number(config, "loaded"), when));
	json_array_foreach(field_list(config, "files"), i, file)
		if (i)
			printf("# with %s\n", json_string_value(file));
	if (field_is(config, "error"))
		printf("# the last reload failed, this is still in force: %s\n", field_line(config, "error"));
	config_pending(config);
}

/* Each service by where it is written, then every key that holds. */
static void config_effective(const json_t *config)
{
	const json_t *service;
	const char *key;
	json_t *value;
	size_t i;

	config_head(config);
	json_array_foreach(field_list(config, "services"), i, service) {
		if (field_is(service, "file"))
			printf("# service %s: %s:%.0f\n", field_line(service, "name"), field_line(service, "file"),
			       field_number(service, "line"));
		else
			printf("# service %s: applied through the API\n", field_line(service, "name"));
	}
	json_object_foreach(json_object_get(config, "effective"), key, value)
		printf("%s: %s\n", key, json_string_value(value) ?: "");
}

static void text_whole(const char *text)
{
	fputs(text, stdout);
	if (!*text || text[strlen(text) - 1] != '\n')
		putchar('\n');
}

/* As it was written. */
static void config_text(const json_t *config)
{
	const json_t *service;
	size_t i;

	config_head(config);
	text_whole(field_text(config, "text"));
	json_array_foreach(field_list(config, "services"), i, service) {
		if (!field_is(service, "text"))
			continue;
		printf("---\n# service %s, applied through the API\n", field_line(service, "name"));
		text_whole(field_text(service, "text"));
	}
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *text = NULL;
	const struct word words[] = { WORD_FLAG("text", &text), {} };
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret)
		ret = client_get(cli, "/v1/config", &doc);
	return ret ?: cli_print(cli, doc, text ? config_text : config_effective);
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
			err = config_check_new_service(&config->services[i], error);
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

/* Send FILE (- is stdin) as it is. */
static int file_send(const struct cli *cli, const char *file, const char *method, const char *path, json_t **ret)
{
	size_t length;
	char *text;
	int r = client_file(cli, file, &text, &length);

	if (r)
		return r;
	if (length)
		r = client_send_text(cli, method, path, text, length, ret);
	else
		r = cli_error(cli, "%s: is empty; a configuration begins with schema: 1", file);
	free(text);
	return r;
}

static void diff_text(const json_t *differences)
{
	const json_t *one;
	size_t i;

	json_array_foreach(differences, i, one) {
		if (field_is(one, "from"))
			printf("- %s: %s\n", field_line(one, "path"), field_text(one, "from"));
		if (field_is(one, "to"))
			printf("+ %s: %s\n", field_line(one, "path"), field_text(one, "to"));
	}
}

static int do_diff(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL;
	const struct word words[] = { WORD_BARE("file", "FILE", &file), {} };
	json_t *doc = NULL;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	if (file)
		ret = file_send(cli, file, "POST", "/v1/config/diff", &doc);
	else
		ret = client_send(cli, "POST", "/v1/config/diff", NULL, &doc);
	return ret ?: cli_print(cli, doc, diff_text);
}

static void applied_text(const json_t *config)
{
	const json_t *pending = json_object_get(config, "pending");
	char number[TEXT_NUMBER];

	printf("%s: in force", field_line(config, "file"));
	if (json_is_object(pending))
		printf("; `perch config confirm` within %s keeps it", text_seconds(field_number(pending, "confirm"), number));
	putchar('\n');
}

static int do_apply(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL, *confirm = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("file", "FILE", &file), WORD("confirm", "DURATION", &confirm),
				      WORD("comment", "TEXT", &comment), {} };
	unsigned long long ns;
	struct client_path path;
	json_t *doc = NULL;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && confirm)
		ret = words_duration(cli, "confirm", confirm, CONFIRM_LEAST_NS, CONFIRM_MOST_NS, &ns);
	if (ret)
		return ret;
	client_path(&path, "/v1/config", "", "");
	client_query(&path, "confirm", confirm);
	client_query(&path, "comment", comment);
	ret = file_send(cli, file, "PUT", path.text, &doc);
	return ret ?: cli_print(cli, doc, applied_text);
}

static void confirmed_text(const json_t *config)
{
	printf("%s: confirmed\n", field_line(config, "file"));
}

static int do_confirm(struct cli *cli, int argc, char **argv)
{
	const char *comment = NULL;
	const struct word words[] = { WORD("comment", "TEXT", &comment), {} };
	json_t *body, *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	body = json_pack("{s:s?}", "comment", comment);
	if (!body)
		return cli_usage(cli, "a comment is UTF-8");
	ret = client_send(cli, "POST", "/v1/config/confirm", body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, confirmed_text);
}

const struct command config_commands[] = {
	COMMAND("show", do_show, "[text]", "what is in force, key by key; text: as it was written"),
	COMMAND("check", do_check, "FILE", "read a configuration as perchd would, change nothing"),
	COMMAND("diff", do_diff, "[FILE]", "what FILE, or the file as it is now, would change"),
	COMMAND("apply", do_apply, "FILE [confirm DURATION] [comment TEXT]",
		"FILE in force and in the place of perchd's own, whole or not at all; taken back unless confirmed in time"),
	COMMAND("confirm", do_confirm, "[comment TEXT]", "what was applied stays"),
	{}
};
