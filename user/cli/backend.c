// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch backend: where connections end up, and taking one of them out for a
 * while. */
#include <stdio.h>

#include "client.h"
#include "output.h"
#include "show.h"
#include "text.h"

/* "up", "down (health)", "draining (person)" */
static void backend_state(struct table *t, const json_t *backend)
{
	char held[64];

	field_words(backend, "held", held, sizeof(held));
	if (json_array_size(field_list(backend, "held")))
		table_cell(t, "%s (%s)", field_line(backend, "state"), held);
	else
		table_text(t, backend, "state");
}

static void backend_check(struct table *t, const json_t *backend)
{
	const json_t *check = json_object_get(backend, "check");

	if (!json_is_object(check))
		table_cell(t, "-");
	else if (!field_is(check, "result"))
		table_cell(t, "%s, not yet", field_line(check, "type"));
	else
		table_cell(t, "%s: %s", field_line(check, "type"), field_line(check, "result"));
}

static void backend_list(const json_t *backends)
{
	struct table *t = table_new("", "SERVICE", "VERSION", "ADDRESS", "STATE", ">WEIGHT", ">CONNECTIONS", ">OPEN",
				    ">FAILED", ">RESET", ">PACKETS", ">BYTES", "LAST CHECK");
	const json_t *backend;
	char number[TEXT_NUMBER];
	size_t i;

	json_array_foreach(backends, i, backend) {
		table_text(t, backend, "service");
		table_text(t, backend, "version");
		table_text(t, backend, "address");
		backend_state(t, backend);
		table_count(t, backend, "weight");
		table_count(t, backend, "connections");
		table_count(t, backend, "active");
		table_count(t, backend, "connectFailures");
		table_count(t, backend, "resets");
		table_count(t, backend, "packets");
		table_cell(t, "%s", text_bytes(field_number(backend, "bytes"), number));
		backend_check(t, backend);
	}
	table_print(t);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	return show_of_service(cli, argc, argv, "/v1/backends", backend_list);
}

static int backend_send(struct cli *cli, const char *service, const char *action, const char *address, bool force,
			const char *comment)
{
	json_t *body = json_pack("{s:s, s:b}", "address", address, "force", force), *doc;
	struct client_path path;
	char rest[32];
	int ret;

	if (!body)
		return cli_usage(cli, "an address is UTF-8");
	if (comment && json_object_set_new(body, "comment", json_string(comment))) {
		json_decref(body);
		return cli_usage(cli, "a comment is UTF-8");
	}
	snprintf(rest, sizeof(rest), "/backends/%s", action);
	client_path(&path, "/v1/services/", service, rest);
	ret = client_send(cli, "POST", path.text, body, &doc);
	json_decref(body);
	return ret ?: cli_print(cli, doc, backend_list);
}

static int do_drain(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *address = NULL, *force = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service),
				      WORD_NEEDED("address", "ADDR:PORT", &address),
				      WORD_FLAG("force", &force), WORD("comment", "TEXT", &comment), {} };

	return words_read(cli, argc, argv, words) ?: backend_send(cli, service, "drain", address, force, comment);
}

static int do_resume(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *address = NULL, *comment = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &service),
				      WORD_NEEDED("address", "ADDR:PORT", &address),
				      WORD("comment", "TEXT", &comment), {} };

	return words_read(cli, argc, argv, words) ?: backend_send(cli, service, "resume", address, false, comment);
}

const struct command backend_commands[] = {
	COMMAND("show", do_show, "[service NAME]", "backends with their state, counts and last check"),
	COMMAND("drain", do_drain, "service NAME address ADDR:PORT [force] [comment TEXT]",
		"no new connections; force: also the last live one of a version in use"),
	COMMAND("resume", do_resume, "service NAME address ADDR:PORT [comment TEXT]",
		"take new connections again, when its health check agrees"),
	{}
};
