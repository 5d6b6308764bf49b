// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch rollout watch: on a terminal a tree (rollout_tree.c); else a line for
 * each thing that happens to a rollout and for how it stands then, until it is
 * over. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "output.h"
#include "rollout.h"
#include "rollout_tree.h"
#include "screen.h"
#include "text.h"

#define LOOK_MS 10000		/* how it stands, without an event */

struct watch {
	const struct cli *cli;
	const char *service;
	bool seen;		/* it was under way */
	char line[ROLLOUT_LINE];	/* as last told */
	int code;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static void watch_text(const json_t *doc)
{
	const json_t *event = json_object_get(doc, "event");
	char line[ROLLOUT_LINE];

	rollout_line(doc, line);
	if (json_is_object(event))
		event_line(event);
	printf("%s: %s%s%s\n", field_line(doc, "service"), field_is(doc, "canary") ? field_line(doc, "canary") : "",
	       field_is(doc, "canary") ? " " : "", line);
}

/* True: go on. */
static bool watch_tell(struct watch *w, json_t *event)
{
	char line[ROLLOUT_LINE];
	struct client_path path;
	json_t *doc;
	bool now, go_on;

	rollout_path(&path, w->service, "");
	w->code = client_get(w->cli, path.text, &doc);
	if (w->code)
		return false;
	now = rollout_under_way(doc);
	go_on = rollout_goes_on(doc, w->seen);
	rollout_line(doc, line);
	json_object_set_new(doc, "event", event ? json_incref(event) : json_null());
	if (event || strcmp(line, w->line) != 0)
		cli_print(w->cli, doc, watch_text);
	else
		json_decref(doc);
	snprintf(w->line, sizeof(w->line), "%s", line);
	if (fflush(stdout))
		return false;
	w->seen = now;
	return go_on;
}

static bool watch_event(void *arg, json_t *event)
{
	return watch_tell(arg, event);
}

static int watch_idle(void *arg)
{
	return watch_tell(arg, NULL) ? LOOK_MS : FOLLOW_ENOUGH;
}

int do_rollout_watch(struct cli *cli, int argc, char **argv)
{
	const struct sigaction end = { .sa_handler = on_signal };
	struct watch w = { .cli = cli };
	const char *lines = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &w.service), WORD_FLAG("lines", &lines), {} };
	const struct follow follow = { .fn = watch_event, .idle = watch_idle, .arg = &w, .stop = &stop };
	struct client_path path;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	if (!cli->json && !lines && screen_here())
		return rollout_tree_watch(cli, w.service);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	client_path(&path, "/v1/events", "", "");
	client_query(&path, "follow", "1");
	client_query(&path, "service", w.service);
	ret = client_follow(cli, path.text, &follow);
	return ret ?: w.code;
}
