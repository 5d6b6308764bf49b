// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The grammar of the command line: prefixes, keys in any order, and what is
 * said about a word that does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/cli/cli.h"

static const char *ran;
static int ran_argc;

static int do_one(struct cli *cli, int argc, char **argv)
{
	ran = "one";
	ran_argc = argc;
	return CLI_OK;
}

static int do_two(struct cli *cli, int argc, char **argv)
{
	ran = "two";
	ran_argc = argc;
	return CLI_OK;
}

static const struct command below[] = {
	COMMAND("show", do_one, NULL, NULL),
	COMMAND("set", do_two, NULL, NULL),
	COMMAND("delete", do_two, NULL, NULL, .whole = true),
	COMMAND_LATER("diff"),
	{}
};
static const struct command table[] = {
	COMMANDS("weight", below),
	COMMAND("rollback", do_one, NULL, NULL, .whole = true, .takes_direct = true),
	COMMANDS("rollout", below),
	COMMAND_LATER("watch"),
	{}
};

/* Runs words that end with NULL; what it said is in said. */
static char said[1024];
static int run(struct cli *cli, ...)
{
	char *argv[16];
	int argc = 0, ret, keep = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	va_list args;

	va_start(args, cli);
	while ((argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	ran = NULL;
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ret = command_run(cli, table, "perch", argc, argv);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = 0;
	fclose(file);
	return ret;
}

static void test_prefix_finds_the_only_command_it_begins(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "we", "se", "x", "y", NULL), CLI_OK);
	assert_string_equal(ran, "two");
	assert_int_equal(ran_argc, 2);
}

static void test_object_alone_runs_its_first_command(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "weight", NULL), CLI_OK);
	assert_string_equal(ran, "one");
	assert_int_equal(ran_argc, 0);
}

static void test_prefix_of_two_words_is_refused_with_both(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "w", "show", NULL), CLI_USAGE);
	assert_null(ran);
	assert_string_equal(said, "{\"error\":\"'w' is ambiguous: weight, watch\"}\n");
	assert_int_equal(run(&cli, "weight", "s", NULL), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'s' is ambiguous: show, set\"}\n");
}

static void test_rollback_and_delete_must_be_spelled_out(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "rollb", "web", NULL), CLI_USAGE);
	assert_null(ran);
	assert_string_equal(said, "{\"error\":\"'rollb' must be spelled out: rollback\"}\n");
	assert_int_equal(run(&cli, "weight", "del", NULL), CLI_USAGE);
	assert_null(ran);
	assert_int_equal(run(&cli, "rollback", "web", NULL), CLI_OK);
	assert_string_equal(ran, "one");
	assert_int_equal(run(&cli, "weight", "delete", NULL), CLI_OK);
	assert_string_equal(ran, "two");
}

static void test_unknown_word_is_named_with_what_may_stand(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "weight", "sett", NULL), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'sett' is unknown; here may stand: show, set, delete, help\"}\n");
	assert_int_equal(run(&cli, "", NULL), CLI_USAGE);
	assert_non_null(strstr(said, "here may stand: weight, rollback, rollout, help"));
}

static void test_word_of_later_is_not_supported_yet(void **state)
{
	struct cli cli = { .json = true };

	assert_int_equal(run(&cli, "watch", "x", NULL), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'perch watch' is not supported yet\"}\n");
	assert_int_equal(run(&cli, "weight", "di", NULL), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'perch weight diff' is not supported yet\"}\n");
}

static void test_help_runs_nothing(void **state)
{
	struct cli cli = { .json = true }, asked = { .json = true, .help = true };

	assert_int_equal(run(&cli, "weight", "help", NULL), CLI_OK);
	assert_null(ran);
	assert_non_null(strstr(said, "perch weight set"));
	assert_null(strstr(said, "diff"));
	cli.help = false;
	assert_int_equal(run(&cli, "rollback", "help", NULL), CLI_OK);
	assert_null(ran);
	assert_int_equal(run(&asked, "weight", "set", "web", NULL), CLI_OK);
	assert_null(ran);
	assert_non_null(strstr(said, "perch weight set"));
	assert_null(strstr(said, "perch weight show"));
}

static void test_direct_is_refused_where_it_means_nothing(void **state)
{
	struct cli cli = { .json = true, .direct = true };

	assert_int_equal(run(&cli, "weight", "show", NULL), CLI_USAGE);
	assert_null(ran);
	assert_int_equal(run(&cli, "rollback", "web", NULL), CLI_OK);
	assert_string_equal(ran, "one");
}

static const char *name, *limit, *quiet;
static const struct word words[] = {
	WORD_NEEDED("service", "NAME", &name), WORD("limit", "N", &limit), WORD_FLAG("quiet", &quiet), {}
};

static int read_words(char **argv)
{
	const struct cli cli = { .json = true };
	int argc = 0, keep = dup(STDOUT_FILENO), ret;
	FILE *file = tmpfile();

	while (argv[argc])
		argc++;
	name = limit = quiet = NULL;
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ret = words_read(&cli, argc, argv, words);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = 0;
	fclose(file);
	return ret;
}
#define READ(...) read_words((char *[]){ __VA_ARGS__, NULL })

static void test_keys_stand_in_any_order(void **state)
{
	assert_int_equal(READ("limit", "5", "quiet", "service", "web"), 0);
	assert_string_equal(name, "web");
	assert_string_equal(limit, "5");
	assert_non_null(quiet);
	assert_int_equal(READ("web", "limit", "5"), 0);
	assert_string_equal(name, "web");
	assert_null(quiet);
	assert_int_equal(READ("limit", "5", "web"), 0);
	assert_string_equal(name, "web");
}

static void test_value_that_looks_like_a_key_is_a_value(void **state)
{
	assert_int_equal(READ("service", "quiet"), 0);
	assert_string_equal(name, "quiet");
	assert_null(quiet);
}

static void test_wrong_words_are_named(void **state)
{
	assert_int_equal(READ("web", "shop"), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'shop' is unexpected; here may stand: [service] NAME, limit N, quiet\"}\n");
	assert_int_equal(READ("web", "limit"), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'limit' needs N after it\"}\n");
	assert_int_equal(READ("web", "quiet", "quiet"), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"'quiet' stands there twice\"}\n");
	assert_int_equal(READ("quiet"), CLI_USAGE);
	assert_string_equal(said, "{\"error\":\"NAME is missing; here may stand: [service] NAME, limit N, quiet\"}\n");
}

static void test_numbers_are_whole_and_in_range(void **state)
{
	const struct cli cli = { .json = true };
	static const char *const wrong[] = { "", "0", "-1", "11", "5x", "x", "1.5", "99999999999999999999" };
	long n = 0;

	assert_int_equal(words_number(&cli, "limit", "10", 1, 10, &n), 0);
	assert_int_equal(n, 10);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(words_number(&cli, "limit", wrong[i], 1, 10, &n), CLI_USAGE);
	assert_int_equal(n, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_finds_the_only_command_it_begins),
		cmocka_unit_test(test_object_alone_runs_its_first_command),
		cmocka_unit_test(test_prefix_of_two_words_is_refused_with_both),
		cmocka_unit_test(test_rollback_and_delete_must_be_spelled_out),
		cmocka_unit_test(test_unknown_word_is_named_with_what_may_stand),
		cmocka_unit_test(test_word_of_later_is_not_supported_yet),
		cmocka_unit_test(test_help_runs_nothing),
		cmocka_unit_test(test_direct_is_refused_where_it_means_nothing),
		cmocka_unit_test(test_keys_stand_in_any_order),
		cmocka_unit_test(test_value_that_looks_like_a_key_is_a_value),
		cmocka_unit_test(test_wrong_words_are_named),
		cmocka_unit_test(test_numbers_are_whole_and_in_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
