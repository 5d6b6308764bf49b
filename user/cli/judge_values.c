// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Files of values for `perch judge`: one a line. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

FILE *judge_open(const struct cli *cli, const char *file)
{
	FILE *in = !file || strcmp(file, "-") == 0 ? stdin : fopen(file, "re");

	if (!in)
		cli_error(cli, "%s: %s", file, strerror(errno));
	return in;
}

void judge_close(FILE *in)
{
	if (in != stdin)
		fclose(in);
}

/* 1 a value, 0 an empty line, -EINVAL. */
static int value_read(char *line, double *ret)
{
	char *end, *text = line + strspn(line, " \t");

	text[strcspn(text, "#\n")] = 0;
	if (!*text)
		return 0;
	*ret = strtod(text, &end);
	if (end == text || end[strspn(end, " \t\r")] || isinf(*ret))
		return -EINVAL;
	return 1;
}

static int values_read(const struct cli *cli, const char *file, FILE *in, double **values, size_t *n)
{
	char line[256];
	size_t room = 0;
	double x;

	for (int at = 1; fgets(line, sizeof(line), in); at++) {
		int got = value_read(line, &x);

		if (got < 0) {
			text_printable(line);
			return cli_error(cli, "%s:%d: '%s' is not a number", file, at, line);
		}
		if (!got)
			continue;
		if (*n == room) {
			double *more = reallocarray(*values, room = room ? 2 * room : 1024, sizeof(double));

			if (!more)
				return cli_error(cli, "%s: out of memory", file);
			*values = more;
		}
		(*values)[(*n)++] = x;
	}
	return ferror(in) ? cli_error(cli, "%s: %s", file, strerror(errno)) : 0;
}

int judge_values(const struct cli *cli, const char *file, double **ret, size_t *ret_n)
{
	FILE *in = judge_open(cli, file);
	double *values = NULL;
	size_t n = 0;
	int err;

	if (!in)
		return CLI_FAILED;
	err = values_read(cli, file, in, &values, &n);
	judge_close(in);
	if (err) {
		free(values);
		return err;
	}
	*ret = values;
	*ret_n = n;
	return 0;
}
