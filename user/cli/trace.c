// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch trace: packets as they pass, one a line. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../core/address.h"
#include "client.h"
#include "output.h"
#include "text.h"

#define LIMIT_MAX 1000000000
#define SILENCE_S 5

static volatile sig_atomic_t stop, seen, plain;

static void on_signal(int signal)
{
	stop = 1;
}

/* The loop waits in poll and knows no time: the alarm tells. */
static void on_silence(int signal)
{
	static const char text[] =
		"perch: no packet matched yet; what is for no address of ours (\"not_ours\") is never traced\n";

	if (!seen && plain && write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		stop = 1;
}

static void trace_time(double time)
{
	time_t whole = time;
	char text[16] = "-";
	struct tm tm;

	if (localtime_r(&whole, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%06d", text, (int)((time - floor(time)) * 1e6));
}

static void trace_where(const json_t *trace)
{
	if (!field_is(trace, "service"))
		return;
	printf("  %s", field_line(trace, "service"));
	if (field_is(trace, "version"))
		printf(" %s", field_line(trace, "version"));
	if (field_is(trace, "by"))
		printf(" (by %s)", field_line(trace, "by"));
	if (field_is(trace, "backend"))
		printf(" %s", field_line(trace, "backend"));
}

static void trace_line(const json_t *trace)
{
	char number[TEXT_NUMBER];

	if (!field_is(trace, "reason")) {
		fprintf(stderr, "perch: %s packets were lost here: more than can be told\n",
			text_count(field_number(trace, "lost"), number));
		return;
	}
	trace_time(field_number(trace, "time"));
	printf("  %-8s %-5s", field_line(trace, "interface"), field_line(trace, "hook"));
	printf("  %s > %s  %s", field_line(trace, "source"), field_line(trace, "destination"),
	       field_line(trace, "protocol"));
	if (field_is(trace, "flags"))
		printf(" %s", field_line(trace, "flags"));
	printf("  %.0f bytes  %s: %s", field_number(trace, "length"), field_line(trace, "reason"),
	       field_line(trace, "text"));
	trace_where(trace);
	putchar('\n');
}

struct tracer {
	const struct cli *cli;
	long left;		/* 0: no limit */
};

static bool trace_packet(void *arg, json_t *trace)
{
	bool packet = field_is(trace, "reason");
	struct tracer *t = arg;

	seen = 1;
	cli_print(t->cli, json_incref(trace), trace_line);
	if (fflush(stdout))
		return false;
	return !packet || !t->left || --t->left;
}

int do_trace(struct cli *cli, int argc, char **argv)
{
	const char *service = NULL, *client = NULL, *limit = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &service), WORD("client", "IP", &client),
				      WORD("limit", "N", &limit), {} };
	const struct sigaction end = { .sa_handler = on_signal }, silence = { .sa_handler = on_silence };
	struct tracer tracer = { .cli = cli };
	struct perch_address address;
	struct client_path path;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret && limit)
		ret = words_number(cli, "limit", limit, 1, LIMIT_MAX, &tracer.left);
	if (!ret && client && address_parse(client, &address))
		ret = cli_usage(cli, "client '%s' is not an IP address", client);
	if (ret)
		return ret;
	plain = !cli->json;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGALRM, &silence, NULL);
	client_path(&path, "/v1/trace", "", "");
	client_query(&path, "service", service);
	client_query(&path, "client", client);
	client_query(&path, "limit", limit);
	alarm(SILENCE_S);
	return client_follow(cli, path.text, &(struct follow){ .fn = trace_packet, .arg = &tracer, .stop = &stop });
}
