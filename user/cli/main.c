// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch: the command line.  Options anywhere, then OBJECT COMMAND [KEY VALUE]…
 * as bpftool has it; everything else is in the tables of objects.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <perch/abi.h>

#include "cli.h"
#include "output.h"

enum { OPTION_SOCKET = 256, OPTION_BPFFS, OPTION_DIRECT };
static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "pretty", no_argument, NULL, 'p' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "bpffs", required_argument, NULL, OPTION_BPFFS },
	{ "direct", no_argument, NULL, OPTION_DIRECT },
	{}
};

static const char *environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

/* All options, also those after a wrong one: -j decides how that is told. */
static int options_read(struct cli *cli, int argc, char **argv, bool *ret_version)
{
	char wrong[256] = "";
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":jpVh", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			cli->pretty = true; /* fall through */
		case 'j':
			cli->json = true;
			break;
		case 'V':
			*ret_version = true;
			break;
		case 'h':
			cli->help = true;
			break;
		case OPTION_SOCKET:
			cli->socket = optarg;
			break;
		case OPTION_BPFFS:
			cli->bpffs = optarg;
			break;
		case OPTION_DIRECT:
			cli->direct = true;
			break;
		case ':':
			snprintf(wrong, sizeof(wrong), "option '%s' needs a value", argv[optind - 1]);
			break;
		default:
			if (optopt > 0 && optopt < 256)
				snprintf(wrong, sizeof(wrong), "unknown option '-%c'", optopt);
			else
				snprintf(wrong, sizeof(wrong), "unknown option '%s'", argv[optind - 1]);
		}
	}
	if (*wrong)
		return cli_usage(cli, "%s; options are -j, -p, -V, -h, --socket PATH, --bpffs PATH and rollback's --direct",
				 wrong);
	return CLI_OK;
}

static void version_text(const json_t *doc)
{
	printf("perch %s (ABI %.0f)\n", field_text(doc, "version"), field_number(doc, "abi"));
}

static int version_print(const struct cli *cli)
{
	return cli_print(cli, json_pack("{s:s,s:i}", "version", PERCH_VERSION, "abi", PERCH_ABI_VERSION), version_text);
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.socket = environment("PERCH_SOCKET", CLI_SOCKET),
		.bpffs = environment("PERCH_BPFFS", CLI_BPFFS),
	};
	bool version = false;
	int ret;

	ret = options_read(&cli, argc, argv, &version);
	argc -= optind;
	argv += optind;
	if (argc == 0)
		cli.help = true;
	if (ret == CLI_OK)
		ret = version ? version_print(&cli) : command_run(&cli, objects, "perch", argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "perch: cannot write to stdout: %s\n", strerror(errno));
		return CLI_FAILED;
	}
	return ret;
}
