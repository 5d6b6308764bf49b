// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch rollback: the canary out, now.  perchd is asked first, because it
 * tells everybody else; when it does not answer within a second, the pinned
 * word is written from here.  Doing it twice does no harm, so it does not
 * matter whether a silent agent had heard.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "direct.h"
#include "output.h"
#include "text.h"

struct rollback {
	const struct cli *cli;
	const char *established;	/* NULL: as the service says */
	const char *comment;
	char silent[256];	/* why perchd is not asked; "": it is */
	struct maps maps;	/* open once needed */
	bool opened;
	char why[WHY];		/* they could not be opened */
};

static int established_mode(const char *established)
{
	if (!established)
		return -1;
	return strcmp(established, "keep") == 0 ? PERCH_KEEP : strcmp(established, "drain") == 0 ? PERCH_DRAIN : PERCH_SEVER;
}

static json_t *failed(const char *service, const char *why)
{
	return json_pack("{s:s,s:s}", "service", service, "error", why);
}

static int maps_ready(struct rollback *r)
{
	int err;

	if (r->opened)
		return 0;
	err = maps_open_rollback(&r->maps, r->cli->bpffs, r->why);
	if (err == -ENOENT)
		snprintf(r->why, sizeof(r->why), "no datapath is pinned at %s", r->cli->bpffs);
	r->opened = !err;
	return err;
}

/* Takes long names and reasons into one document that says why. */
static json_t *failed_directly(const struct rollback *r, const char *service, int err)
{
	char why[1024] = "";

	if (*r->silent)
		text_append(why, sizeof(why), "%s; and not directly: ", r->silent);
	if (!r->opened)
		text_append(why, sizeof(why), "%s", r->why);
	else if (err == -ENOENT)
		text_append(why, sizeof(why), "no service '%s' at %s", service, r->cli->bpffs);
	else
		text_append(why, sizeof(why), "%s", strerror(-err));
	return failed(service, why);
}

static json_t *rollback_directly(struct rollback *r, const char *service)
{
	json_t *done;
	int err;

	err = maps_ready(r);
	if (!err)
		err = direct_rollback(&r->maps, service, established_mode(r->established), r->comment, &done);
	if (err)
		return failed_directly(r, service, err);
	json_object_set_new(done, "via", json_string("direct"));
	json_object_set_new(done, "agent", *r->silent ? json_string(r->silent) : json_null());
	return done;
}

/* perchd's answer, or NULL when it has none: then r->silent says why. */
static json_t *rollback_by_agent(struct rollback *r, const char *service)
{
	json_t *body = json_pack("{s:s*,s:s*}", "established", r->established, "comment", r->comment), *answer = NULL;
	struct client_path path;
	int status, err;

	client_path(&path, "/v1/services/", service, "/rollback");
	err = client_call(r->cli, "POST", path.text, body, CLIENT_ROLLBACK_MS, &status, &answer);
	json_decref(body);
	if (err)
		client_silence(r->cli, err, r->silent, sizeof(r->silent));
	else if (status >= 500)
		snprintf(r->silent, sizeof(r->silent), "perchd answered %d", status);
	if (*r->silent) {
		json_decref(answer);
		return NULL;
	}
	if (status >= 300)
		json_object_set_new(answer, "service", json_string(service));
	else
		json_object_set_new(answer, "via", json_string("socket"));
	return answer;
}

static json_t *rollback_service(struct rollback *r, const char *service)
{
	json_t *done = NULL;

	if (!r->cli->direct && !*r->silent)
		done = rollback_by_agent(r, service);
	return done ?: rollback_directly(r, service);
}

static void rollback_done(const json_t *done)
{
	const char *outcome = field_text(done, "outcome"), *established = field_text(done, "established");
	char time[TEXT_NUMBER];

	printf("%s: ", field_line(done, "service"));
	if (strcmp(outcome, "nothing") == 0)
		printf("nothing to roll back: all traffic is on %s", field_line(done, "to"));
	else if (strcmp(outcome, "alreadyRolledBack") == 0)
		printf("was rolled back to %s before", field_line(done, "to"));
	else
		printf("rolled back to %s in %s", field_line(done, "to"),
		       text_seconds(field_number(done, "nanoseconds") / 1e9, time));
	if (strcmp(field_text(done, "via"), "direct") == 0)
		printf(" (direct%s)", field_is(done, "agent") ? "; perchd did not answer" : "");
	/* What was ended before is not kept by saying so now. */
	if (field_is(done, "from") && strcmp(outcome, "nothing") != 0 &&
	    (strcmp(outcome, "alreadyRolledBack") != 0 || strcmp(established, "keep") != 0))
		printf("; connections to %s %s", field_line(done, "from"),
		       strcmp(established, "sever") == 0 ? "are severed" :
		       strcmp(established, "drain") == 0 ? "drain" : "are kept");
	if (field_is(done, "warning"))
		printf("; %s", field_line(done, "warning"));
	putchar('\n');
}

static bool is_failure(const json_t *done)
{
	return field_is(done, "error");
}

static int rollback_one(struct rollback *r, const char *service)
{
	json_t *done = rollback_service(r, service);
	int ret;

	if (!done)
		return cli_usage(r->cli, "a name is UTF-8 text");
	if (!is_failure(done))
		return cli_print(r->cli, done, rollback_done);
	ret = cli_error(r->cli, "%s", field_text(done, "error"));
	json_decref(done);
	return ret;
}

/* Names of all services, from perchd or from the pins. */
static int rollback_names(struct rollback *r, json_t **ret)
{
	json_t *services, *service;
	int status, err;
	size_t i;

	*ret = NULL;
	if (!r->cli->direct) {
		err = client_call(r->cli, "GET", "/v1/services", NULL, CLIENT_ROLLBACK_MS, &status, &services);
		if (err)
			client_silence(r->cli, err, r->silent, sizeof(r->silent));
		else if (status == 200) {
			*ret = json_array();
			json_array_foreach(services, i, service)
				json_array_append(*ret, json_object_get(service, "name"));
		} else
			snprintf(r->silent, sizeof(r->silent), "perchd answered %d", status);
		if (!err)
			json_decref(services);
	}
	if (*ret)
		return 0;
	err = maps_ready(r);
	if (!err)
		*ret = direct_names(&r->maps);
	return err;
}

static void rollback_list(const json_t *all)
{
	const json_t *done;
	size_t i;

	if (json_array_size(all) == 0)
		puts("no services, nothing to roll back");
	json_array_foreach(all, i, done) {
		if (is_failure(done))
			fprintf(stderr, "perch: %s: %s\n", field_line(done, "service"), field_line(done, "error"));
		else
			rollback_done(done);
	}
}

static int rollback_all(struct rollback *r)
{
	json_t *names, *all, *name;
	int ret = CLI_OK;
	size_t i;

	if (rollback_names(r, &names))
		return cli_error(r->cli, "%s%s%s", r->silent, *r->silent ? "; and not directly: " : "", r->why);
	all = json_array();
	json_array_foreach(names, i, name) {
		json_t *done = rollback_service(r, json_string_value(name));

		if (is_failure(done))
			ret = CLI_FAILED;
		json_array_append_new(all, done);
	}
	json_decref(names);
	cli_print(r->cli, all, rollback_list);
	return ret;
}

int do_rollback(struct cli *cli, int argc, char **argv)
{
	const char *name = NULL, *keep = NULL, *drain = NULL, *sever = NULL;
	struct rollback r = { .cli = cli };
	const struct word words[] = { WORD_NEEDED("service", "NAME|all", &name), WORD_FLAG("keep", &keep),
				      WORD_FLAG("drain", &drain), WORD_FLAG("sever", &sever),
				      WORD("comment", "TEXT", &r.comment), {} };
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret || !name)
		return ret;
	if (!!keep + !!drain + !!sever > 1)
		return cli_usage(cli, "keep, drain and sever: one of them");
	r.established = keep ?: drain ?: sever;
	ret = strcmp(name, "all") == 0 ? rollback_all(&r) : rollback_one(&r, name);
	if (r.opened)
		maps_close(&r.maps);
	return ret;
}
