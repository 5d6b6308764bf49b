// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perchd: its command line. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../config/config.h"
#include "agent.h"
#include "hostcheck.h"
#include "log.h"

#define CONFIG_PATH "/etc/perch/perch.yaml"

static const char usage[] =
	"usage: perchd [-c FILE] [--check] [-V] [--detach]\n"
	"  -c, --config FILE  configuration (" CONFIG_PATH ")\n"
	"      --check        read and check it, change nothing\n"
	"      --detach       hand the listeners back: take programs, maps and pins away\n"
	"  -V, --version      print the version\n"
	"  -h, --help         this\n";

enum what { RUN, CHECK, DETACH, SHOW_VERSION, SHOW_HELP, WRONG };

static enum what options_read(int argc, char **argv, const char **ret_path)
{
	static const struct option longer[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "detach", no_argument, NULL, 'd' },	    { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	enum what what = RUN;
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", longer, NULL)) != -1) {
		switch (c) {
		case 'c': *ret_path = optarg; break;
		case 'k': what = CHECK; break;
		case 'd': what = DETACH; break;
		case 'V': what = SHOW_VERSION; break;
		case 'h': what = SHOW_HELP; break;
		default: return WRONG;
		}
	}
	if (optind < argc && what == DETACH && !strcmp(argv[optind], "drain"))
		fprintf(stderr, "perchd: --detach drain: not supported yet; --detach alone detaches at once\n");
	else if (optind < argc)
		fprintf(stderr, "perchd: '%s' is not expected here\n", argv[optind]);
	return optind < argc ? WRONG : what;
}

static int check(const char *path)
{
	char why[CONFIG_ERROR] = "";
	struct model_config *config;

	if (config_load(path, &config, why) || hostcheck_backends(config, why)) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	printf("%s: ok, %zu service%s\n", path, config->n_services, config->n_services == 1 ? "" : "s");
	config_free(config);
	return 0;
}

static int detach(const char *path)
{
	struct model_config *config;
	char why[CONFIG_ERROR] = "";
	int r;

	if (config_load(path, &config, why)) {
		log_error("%s", why);
		return 1;
	}
	r = datapath_remove(config->agent.pin_path, why);
	if (r)
		log_error("detach: %s", why[0] ? why : strerror(-r));
	else
		log_notice("detached: traffic goes to the stack");
	config_free(config);
	return r ? 1 : 0;
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
	const char *path = CONFIG_PATH;

	switch (options_read(argc, argv, &path)) {
	case RUN:
		return run(path);
	case CHECK:
		return check(path);
	case DETACH:
		return detach(path);
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
