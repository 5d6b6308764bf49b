// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perchd: its command line. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../config/config.h"
#include "agent.h"
#include "detach.h"
#include "doctor/hostcheck.h"

#define CONFIG_PATH "/etc/perch/perch.yaml"

static const char usage[] =
	"usage: perchd [-c FILE] [--check | --detach [drain DURATION] | -V | -h]\n"
	"  -c, --config FILE  configuration (" CONFIG_PATH ")\n"
	"      --check        read and check it, change nothing\n"
	"      --detach       take programs, maps and pins away: all traffic goes to the\n"
	"                     stack.  Stop perchd first.\n"
	"      --detach drain DURATION\n"
	"                     the same once connections have ended, after DURATION (30s,\n"
	"                     5m, 2h) at the latest: until then they keep their backends,\n"
	"                     and new ones go to the stack.  An interrupt calls it off.\n"
	"  -V, --version      print the version\n"
	"  -h, --help         this\n"
	"\n"
	"perchd stays in the foreground and logs to stderr.  SIGHUP reads the\n"
	"configuration again (so does any change to it); SIGTERM ends perchd and leaves\n"
	"the datapath steering.\n";

enum what { RUN, CHECK, DETACH, SHOW_VERSION, SHOW_HELP, WRONG };

struct options {
	enum what what;
	const char *path;
	bool drain;
	__u64 drain_ns;
};

static bool wrong(const char *what, const char *which)
{
	fprintf(stderr, "perchd: '%s' %s\n", which, what);
	return false;
}

/* What stands behind the options: `drain DURATION` of --detach. */
static bool operands_read(char **word, struct options *o)
{
	if (!word[0])
		return true;
	if (o->what != DETACH || strcmp(word[0], "drain"))
		return wrong("is not expected here", word[0]);
	if (!word[1])
		return wrong("needs a duration: --detach drain 30s", word[0]);
	if (config_duration(word[1], &o->drain_ns))
		return wrong("is no duration; write 30s, 5m or 2h", word[1]);
	o->drain = true;
	return word[2] ? wrong("is not expected here", word[2]) : true;
}

static void options_read(int argc, char **argv, struct options *o)
{
	static const struct option longer[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "detach", no_argument, NULL, 'd' },	    { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", longer, NULL)) != -1) {
		enum what what = c == 'k' ? CHECK : c == 'd' ? DETACH : c == 'V' ? SHOW_VERSION : c == 'h' ? SHOW_HELP : WRONG;

		if (c == 'c') {
			o->path = optarg;
			continue;
		}
		if (what != WRONG && o->what != RUN && o->what != what)
			fprintf(stderr, "perchd: one thing at a time: --check, --detach, --version or --help\n");
		if (what == WRONG || (o->what != RUN && o->what != what)) {
			o->what = WRONG;
			return;
		}
		o->what = what;
	}
	if (!operands_read(argv + optind, o))
		o->what = WRONG;
}

static int check(const char *path)
{
	char why[CONFIG_ERROR] = "";
	struct model_config *config;

	if (config_load(path, &config, why) || hostcheck_config(config, why)) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	printf("%s: ok, %zu service%s\n", path, config->n_services, config->n_services == 1 ? "" : "s");
	config_free(config);
	return 0;
}

static int run(const char *path)
{
	static struct agent agent;
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = agent_start(&agent, path);
	if (!r)
		agent_run(&agent);
	agent_stop(&agent);
	return r ? 1 : agent.exit_code;
}

int main(int argc, char **argv)
{
	struct options o = { .path = CONFIG_PATH };

	options_read(argc, argv, &o);
	switch (o.what) {
	case RUN:
		return run(o.path);
	case CHECK:
		return check(o.path);
	case DETACH:
		return detach_run(o.path, o.drain, o.drain_ns);
	case SHOW_VERSION:
		printf("perchd %s\n", PERCH_VERSION);
		return 0;
	case SHOW_HELP:
		fputs(usage, stdout);
		return 0;
	default:
		fputs(usage, stderr);
		return 2;
	}
}
