// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch event: what happened, who did it, and why. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "event.h"
#include "output.h"
#include "text.h"

#define LIMIT_MAX 1000
#define WATCH_MAX 1000000000

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static void event_who(const json_t *event)
{
	const json_t *actor = json_object_get(event, "actor");

	printf("  (%s%s%s", field_is(actor, "user") ? field_line(actor, "user") : "", field_is(actor, "user") ? ", " : "",
	       field_line(actor, "via"));
	if (field_is(event, "comment"))
		printf(": %s", field_line(event, "comment"));
	puts(")");
}

/* " {commit=ab12 pipeline=1234}" of the version it is about. */
static void event_labels(const json_t *event)
{
	const json_t *labels = json_object_get(event, "labels");
	const char *key, *before = "  {";
	json_t *value;

	json_object_foreach((json_t *)labels, key, value) {
		printf("%s%s=%s", before, key, field_line(labels, key));
		before = " ";
	}
	if (json_object_size(labels))
		putchar('}');
}

void event_line(const json_t *event)
{
	char when[TEXT_NUMBER];
	double time = field_number(event, "time");

	printf("%s.%03d  %-10s  %-10s", text_clock(time, when), isnan(time) ? 0 : (int)((time - floor(time)) * 1000),
	       field_line(event, "service"), field_line(event, "kind"));
	if (field_is(event, "from") || field_is(event, "to"))
		printf("  %s -> %s", field_line(event, "from"), field_line(event, "to"));
	if (field_is(event, "reason"))
		printf("  %s", field_line(event, "reason"));
	event_labels(event);
	event_who(event);
}

static void event_list(const json_t *events)
{
	const json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
		event_line(event);
}

static int do_show(struct cli *cli, int argc, char **argv)
{
	const char *limit = NULL, *service = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("limit", "N", &limit), {} };
	struct client_path path;
	json_t *doc;
	long n;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && limit)
		ret = words_number(cli, "limit", limit, 1, LIMIT_MAX, &n);
	if (ret)
		return ret;
	client_path(&path, "/v1/events", "", "");
	client_query(&path, "service", service);
	client_query(&path, "limit", limit);
	ret = client_get(cli, path.text, &doc);
	return ret ?: cli_print(cli, doc, event_list);
}

struct watch {
	const struct cli *cli;
	long left;		/* 0: no limit */
};

static bool watch_event(void *arg, json_t *event)
{
	struct watch *watch = arg;

	cli_print(watch->cli, json_incref(event), event_line);
	/* Who reads it through a pipe wants it now, and may be gone. */
	if (fflush(stdout))
		return false;
	return !watch->left || --watch->left;
}

static int do_watch(struct cli *cli, int argc, char **argv)
{
	const char *limit = NULL, *service = NULL;
	const struct word words[] = { WORD("service", "NAME", &service), WORD("limit", "N", &limit), {} };
	const struct sigaction action = { .sa_handler = on_signal };
	struct watch watch = { .cli = cli };
	struct client_path path;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && limit)
		ret = words_number(cli, "limit", limit, 1, WATCH_MAX, &watch.left);
	if (ret)
		return ret;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	client_path(&path, "/v1/events", "", "");
	client_query(&path, "follow", "1");
	client_query(&path, "service", service);
	return client_follow(cli, path.text, &(struct follow){ .fn = watch_event, .arg = &watch, .stop = &stop });
}

const struct command event_commands[] = {
	COMMAND("show", do_show, "[service NAME] [limit N]", "what happened, oldest first"),
	COMMAND("watch", do_watch, "[service NAME] [limit N]", "what happens, until interrupted; a document each with -j"),
	{}
};
