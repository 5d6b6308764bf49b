// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns that perch(8) is true: every command stands there as help has it, and
 * no other does.  Runs at the top of the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/cli/cli.h"

#define MANUAL "docs/man/perch.8"
#define LINE 512
#define LINES 128

/* Lines of the manual that begin a command, without their fonts. */
static char lines[LINES][LINE];
static int lines_n;
static bool used[LINES];

static void plain(const char *from, char *to)
{
	for (; *from && *from != '\n'; from++) {
		if (from[0] == '\\' && from[1] == 'f')
			from += 2;
		else if (from[0] == '\\' && from[1] == '-')
			*to++ = *++from;
		else
			*to++ = *from;
	}
	*to = 0;
}

static void manual_read(void)
{
	FILE *f = fopen(MANUAL, "r");
	bool commands = false;
	char line[LINE];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, ".SH", 3) == 0)
			commands = strcmp(line, ".SH COMMANDS\n") == 0;
		if (!commands || strncmp(line, "\\fB", 3) != 0)
			continue;
		assert_true(lines_n < LINES);
		plain(line, lines[lines_n++]);
	}
	fclose(f);
}

static void expect_usage(const struct command *c, const char *path)
{
	char usage[LINE];
	int i = 0;

	snprintf(usage, sizeof(usage), "%s%s%s%s%s", path, *path ? " " : "", c->name, c->usage ? " " : "", c->usage ?: "");
	while (i < lines_n && strcmp(lines[i], usage) != 0)
		i++;
	if (i == lines_n)
		fail_msg("%s lacks: %s", MANUAL, usage);
	else
		used[i] = true;
}

static void test_manual_has_every_command_and_no_other(void **state)
{
	manual_read();
	for (const struct command *o = objects; o->name; o++) {
		if (o->func)
			expect_usage(o, "");
		for (const struct command *c = o->below; c && c->name; c++)
			if (c->func)
				expect_usage(c, o->name);
	}
	for (int i = 0; i < lines_n; i++)
		if (!used[i])
			fail_msg("%s has what help lacks: %s", MANUAL, lines[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual_has_every_command_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
