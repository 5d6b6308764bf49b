// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch pin: single clients led to a version.  Files of pins are in
 * pin_load.c. */
#include "pin.h"

#include <stdio.h>

#include "../config/config.h"
#include "../core/address.h"
#include "client.h"
#include "output.h"
#include "text.h"

#define LIMIT_MAX 10000000
#define PATIENCE_MS 120000
#define LIMIT_DEFAULT 1000	/* perchd's */
#define NEEDED(k, w, v) { .key = (k), .what = (w), .value = (v), .needed = true }

static void pin_list(const json_t *pins)
{
	struct table *t = table_new("", "SERVICE", "CLIENT", "VERSION", "LEADS TO", ">RUNS OUT IN");
	const json_t *pin;
	size_t i;

	json_array_foreach(pins, i, pin) {
		table_text(t, pin, "service");
		table_text(t, pin, "client");
		table_text(t, pin, "version");
		table_text(t, pin, "leadsTo");
		if (json_is_number(json_object_get(pin, "ttl")))
			table_seconds(t, pin, "ttl");
		else
			table_cell(t, "never");
	}
	table_print(t);
}

static void pin_one(const json_t *pin)
{
	json_t *list = json_pack("[O]", pin);

	pin_list(list);
	json_decref(list);
}

/* A million take their time. */
static int pins_get(const struct cli *cli, const char *path, json_t **ret)
{
	char silence[512];
	int status, err = client_call(cli, "GET", path, NULL, PATIENCE_MS, &status, ret);

	if (err)
		return cli_error(cli, "%s", client_silence(cli, err, silence, sizeof(silence)));
	if (status < 300)
		return CLI_OK;
	err = cli_error(cli, "%s", field_text(*ret, "error"));
	json_decref(*ret);
	return err;
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *client = NULL, *limit = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &service), WORD("client", "IP", &client),
				      WORD("limit", "N", &limit), {} };
	struct client_path path;
	json_t *doc;
	long n;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && limit)
		ret = words_number(cli, "limit", limit, 0, LIMIT_MAX, &n);
	if (!ret && client && !pin_client_ok(client))
		ret = cli_usage(cli, "client '%s' is not an IP address", client);
	if (ret)
		return ret;
	client_path(&path, "/v1/pins", "", "");
	client_query(&path, "service", service);
	client_query(&path, "client", client);
	client_query(&path, "limit", limit);
	ret = pins_get(cli, path.text, &doc);
	if (ret)
		return ret;
	if (!limit && json_array_size(doc) == LIMIT_DEFAULT)
		cli_note(cli, "these are the first %d; limit 0 shows all", LIMIT_DEFAULT);
	return cli_print(cli, doc, pin_list);
}

static int do_set(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *client = NULL, *version = NULL, *ttl = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service), NEEDED("client", "IP", &client),
				      NEEDED("version", "VERSION", &version), WORD("ttl", "DURATION", &ttl),
				      WORD("comment", "TEXT", &comment), {} };
	struct client_path path;
	json_t *body, *doc;
	__u64 ns = 0;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && !pin_client_ok(client))
		ret = cli_usage(cli, "client '%s' is not an IP address; many clients are a rule's matter", client);
	if (!ret && ttl && (config_duration(ttl, &ns) || !ns))
		ret = cli_usage(cli, "ttl '%s' is not a duration above 0: 30s, 5m, 2h; without it the pin stays for good", ttl);
	if (ret)
		return ret;
	body = json_pack("{s:s, s:s, s:s*}", "client", client, "version", version, "comment", comment);
	if (body && ttl)
		json_object_set_new(body, "ttl", json_real(ns / 1e9));
	if (!body)
		return cli_usage(cli, "versions and comments are UTF-8 text");
	client_path(&path, "/v1/services/", service, "/pins");
	ret = client_send(cli, "PUT", path.text, body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, pin_one);
}

static void deleted_text(const json_t *doc)
{
	char deleted[TEXT_NUMBER], left[TEXT_NUMBER];

	printf("%s: %s deleted, %s left\n", field_line(doc, "service"), text_count(field_number(doc, "deleted"), deleted),
	       text_count(field_number(doc, "pins"), left));
}

static int do_delete(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *client = NULL, *all = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service), WORD("client", "IP", &client),
				      WORD_FLAG("all", &all), WORD("comment", "TEXT", &comment), {} };
	struct client_path path;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && !client == !all)
		ret = cli_usage(cli, "client IP, or all: one of them is what is deleted");
	if (!ret && client && !pin_client_ok(client))
		ret = cli_usage(cli, "client '%s' is not an IP address", client);
	if (ret)
		return ret;
	client_path(&path, "/v1/services/", service, "/pins");
	client_query(&path, "client", client);
	client_query(&path, "all", all ? "1" : NULL);
	client_query(&path, "comment", comment);
	ret = client_send(cli, "DELETE", path.text, NULL, &doc);
	return ret ?: cli_print(cli, doc, deleted_text);
}

const struct command pin_commands[] = {
	COMMAND("show", do_show, "[service NAME] [client IP] [limit N]", "clients that are led to a version; limit 0: all"),
	COMMAND("set", do_set, "service NAME client IP version VERSION [ttl DURATION] [comment TEXT]",
		"lead a client (of IPv6 its /64) to a version, for a time or for good"),
	COMMAND("load", do_pin_load, "service NAME file FILE|- [comment TEXT]", "many: a line is IP VERSION [DURATION]"),
	COMMAND("delete", do_delete, "service NAME all|client IP [comment TEXT]", "let the hash decide again",
		.whole = true),
	{}
};
