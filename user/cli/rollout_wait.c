// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch rollout wait: until the rollout has ended or needs a person, told by
 * the exit code.  Events wake it; what it goes by is the rollout as it is
 * then, so that nothing is missed between two of them or while perchd starts
 * again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../datapath/clock.h"
#include "output.h"
#include "rollout.h"
#include "text.h"

#define LOOK_MS 15000		/* without an event */
#define GONE_MS 60000		/* that a perchd which was there may be away */
#define AGAIN_US 200000
#define TIMEOUT_MOST_NS (366 * 86400 * 1000000000ull)

enum { WAITING = -1 };

struct wait {
	const struct cli *cli;
	const char *service, *version;
	char canary[256];	/* whose rollout it is; "": not seen yet */
	long long until, gone;	/* ms: the timeout; perchd is away since; 0: none */
	int code;		/* enum cli_exit, or WAITING */
	int err;		/* perchd did not answer */
	json_t *rollout;	/* as last seen */
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

/* The rollout that was waited for is not there, or is another's. */
static int wait_other(struct wait *w)
{
	if (*w->canary)
		return CLI_SUPERSEDED;
	if (w->version)
		return rollout_under_way(w->rollout) ? CLI_SUPERSEDED :
		       cli_error(w->cli, "%s: no rollout of '%s' was started; `perch rollout start %s` does", w->service,
				 w->version, w->service);
	return cli_error(w->cli, "%s: no rollout was started; `perch rollout start %s` does", w->service, w->service);
}

static int wait_verdict(struct wait *w)
{
	const char *phase = field_text(w->rollout, "phase"), *canary = field_text(w->rollout, "canary");
	const char *wanted = *w->canary ? w->canary : w->version;

	if (wanted && strcmp(wanted, field_text(w->rollout, "stable")) == 0 && !rollout_under_way(w->rollout))
		return CLI_OK;
	if (strcmp(phase, "Idle") == 0 || (wanted && strcmp(wanted, canary) != 0))
		return wait_other(w);
	snprintf(w->canary, sizeof(w->canary), "%s", canary);
	if (strcmp(phase, "Succeeded") == 0)
		return CLI_OK;
	if (strcmp(phase, "RolledBack") == 0)
		return CLI_ROLLED_BACK;
	if (strcmp(phase, "Paused") == 0 || strcmp(phase, "Holding") == 0)
		return CLI_NEEDS_PERSON;
	return WAITING;
}

/* See how it stands: how long until the next look, or FOLLOW_ENOUGH. */
static int wait_look(void *arg)
{
	struct wait *w = arg;
	struct client_path path;
	long long left;
	json_t *doc;
	int status;

	rollout_path(&path, w->service, "");
	w->err = client_call(w->cli, "GET", path.text, NULL, CLIENT_MS, &status, &doc);
	if (w->err)
		return FOLLOW_ENOUGH;
	w->gone = 0;
	if (status != 200) {
		w->code = cli_error(w->cli, "%s", field_text(doc, "error"));
		json_decref(doc);
		return FOLLOW_ENOUGH;
	}
	json_decref(w->rollout);
	w->rollout = doc;
	w->code = wait_verdict(w);
	left = w->until ? w->until - clock_ms() : LOOK_MS;
	if (w->code == WAITING && left <= 0)
		w->code = CLI_TIMED_OUT;
	if (w->code != WAITING)
		return FOLLOW_ENOUGH;
	return left < LOOK_MS ? left : LOOK_MS;
}

static bool wait_event(void *arg, json_t *event)
{
	struct wait *w = arg;

	return wait_look(w) != FOLLOW_ENOUGH;
}

/* perchd went away in the middle.  False: for too long, and that was said. */
static bool wait_for_agent(struct wait *w)
{
	long long now = clock_ms();
	char why[512];

	if (w->rollout && w->until && now >= w->until) {
		w->code = CLI_TIMED_OUT;
		return false;
	}
	if (w->rollout && (!w->gone || now - w->gone < GONE_MS)) {
		if (!w->gone)
			w->gone = now;
		usleep(AGAIN_US);
		return !stop;
	}
	w->code = cli_error(w->cli, "%s", client_silence(w->cli, w->err, why, sizeof(why)));
	return false;
}

static void wait_run(struct wait *w)
{
	const struct follow follow = { .fn = wait_event, .idle = wait_look, .arg = w, .stop = &stop };
	struct client_path path;
	int ret;

	client_path(&path, "/v1/events", "", "");
	client_query(&path, "follow", "1");
	client_query(&path, "service", w->service);
	w->code = WAITING;
	while (w->code == WAITING && !stop) {
		w->err = 0;
		ret = client_listen(w->cli, path.text, &follow);
		if (ret < 0)
			w->err = ret;
		if (ret > 0)
			w->code = ret;
		if (w->err && !wait_for_agent(w))
			break;
	}
	if (w->code == WAITING)
		w->code = cli_error(w->cli, "%s: interrupted; the rollout goes on", w->service);
}

static const char *outcome_name(int code)
{
	switch (code) {
	case CLI_OK: return "succeeded";
	case CLI_ROLLED_BACK: return "rolledBack";
	case CLI_NEEDS_PERSON: return "needsPerson";
	case CLI_TIMED_OUT: return "timeout";
	default: return "superseded";
	}
}

static void wait_text(const json_t *doc)
{
	const char *outcome = field_text(doc, "outcome"), *service = field_line(doc, "service");
	const char *waited = field_line(doc, "waitedFor");
	char line[ROLLOUT_LINE];

	rollout_line(doc, line);
	if (strcmp(outcome, "succeeded") == 0)
		printf("%s: %s is stable%s%s\n", service, waited, field_is(doc, "reason") ? ": " : "",
		       field_is(doc, "reason") ? field_line(doc, "reason") : "");
	else if (strcmp(outcome, "rolledBack") == 0)
		printf("%s: %s was rolled back to %s: %s\n", service, waited, field_line(doc, "stable"),
		       field_line(doc, "reason"));
	else if (strcmp(outcome, "superseded") == 0)
		printf("%s: %s was superseded by %s: %s\n", service, waited, field_line(doc, "canary"), line);
	else if (strcmp(outcome, "timeout") == 0)
		printf("%s: %s is not there yet: %s\n", service, waited, line);
	else
		printf("%s: %s needs a person: %s\n", service, waited, line);
}

static int wait_tell(struct wait *w)
{
	if (w->code != CLI_FAILED) {
		const char *waited = *w->canary ? w->canary : w->version ?: field_text(w->rollout, "canary");

		json_object_set_new(w->rollout, "outcome", json_string(outcome_name(w->code)));
		json_object_set_new(w->rollout, "waitedFor", json_string(waited));
		cli_print(w->cli, json_incref(w->rollout), wait_text);
	}
	json_decref(w->rollout);
	return w->code;
}

int do_rollout_wait(struct cli *cli, int argc, char **argv)
{
	const struct sigaction end = { .sa_handler = on_signal };
	struct wait w = { .cli = cli };
	const char *timeout = NULL;
	const struct word words[] = { WORD_NEEDED("service", "NAME", &w.service), WORD("version", "VERSION", &w.version),
				      WORD("timeout", "DURATION", &timeout), {} };
	unsigned long long ns;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && timeout)
		ret = words_duration(cli, "timeout", timeout, 0, TIMEOUT_MOST_NS, &ns);
	if (ret)
		return ret;
	if (timeout)
		w.until = clock_ms() + (ns + 999999) / 1000000;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	wait_run(&w);
	return wait_tell(&w);
}
