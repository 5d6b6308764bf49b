// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch batch: many commands in one process and over one connection.  It stops
 * at the first that fails, and says where.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_words.h"
#include "client.h"
#include "http.h"
#include "output.h"

struct batch {
	const char *name;	/* of the file, in errors */
	bool go_on;
	struct cli cli;		/* what each line begins with */
	struct http http;
};

static int batch_command(struct cli *cli, int argc, char **argv)
{
	const struct command *object;
	char why[512];
	int n = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--direct") == 0)
			cli->direct = true;
		else
			argv[n++] = argv[i];
	}
	if (n && argv[0][0] == '-')
		return cli_usage(cli, "'%s': options stand before batch; only rollback's --direct is a line's own", argv[0]);
	object = n ? command_find(objects, argv[0], why, sizeof(why)) : NULL;
	if (object && object->below == batch_commands)
		return cli_usage(cli, "a batch in a batch; put its lines here");
	return command_run(cli, objects, "perch", n, argv);
}

static int batch_line(struct batch *b, char *line, unsigned number)
{
	char at[512], *argv[BATCH_WORDS + 1];
	struct cli cli = b->cli;
	const char *why;
	int argc, ret;

	snprintf(at, sizeof(at), "%s:%u", b->name, number);
	cli.at = at;
	argc = batch_words(line, argv, &why);
	if (argc == 0)
		return CLI_OK;
	ret = argc < 0 ? cli_usage(&cli, "%s", why) : batch_command(&cli, argc, argv);
	/* what was done before an error is seen before it, whoever reads both */
	fflush(stdout);
	return ret;
}

/* The exit code of the first line that failed. */
static int batch_run(struct batch *b, FILE *in)
{
	char *line = NULL;
	int ret, first = CLI_OK;
	size_t room = 0;
	ssize_t length;

	for (unsigned number = 1; (length = getline(&line, &room, in)) >= 0; number++) {
		if (length && line[length - 1] == '\n')
			line[--length] = 0;
		ret = strlen(line) == (size_t)length ? batch_line(b, line, number) :
		      cli_usage(&b->cli, "%s:%u: a byte that is 0", b->name, number);
		first = first ?: ret;
		if (ret && !b->go_on)
			break;
	}
	if (ferror(in))
		first = cli_error(&b->cli, "%s: %s", b->name, strerror(errno));
	free(line);
	return first;
}

static int do_file(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL, *go_on = NULL;
	const struct word words[] = { WORD_NEEDED("file", "FILE", &file), WORD_FLAG("continue", &go_on), {} };
	struct batch b = { .cli = *cli, .http.fd = -1 };
	FILE *in = stdin;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret || !file)
		return ret;
	b.name = strcmp(file, "-") ? file : "stdin";
	if (strcmp(file, "-") != 0)
		in = fopen(file, "re");
	if (!in)
		return cli_error(cli, "%s: %s", file, strerror(errno));
	b.go_on = go_on;
	b.cli.kept = &b.http;
	b.cli.answers = cli->json ? json_array() : NULL;
	ret = batch_run(&b, in);
	http_close(&b.http);
	if (in != stdin)
		fclose(in);
	if (b.cli.answers)
		cli_print(cli, b.cli.answers, NULL);	/* it is JSON: no text is made */
	return ret;
}

const struct command batch_commands[] = {
	COMMAND("file", do_file, "FILE [continue]",
		"a command a line (- is stdin), until one fails; quotes as in a shell, # for comments"),
	{}
};
