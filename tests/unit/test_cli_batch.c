// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Lines of a batch as words, and what becomes of lines that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../user/cli/batch_words.h"
#include "../../user/cli/cli.h"

/* want: the words, each followed by '|'. */
static void expect_words(const char *line, const char *want)
{
	char text[256], got[256] = "", *argv[BATCH_WORDS + 1];
	const char *why = NULL;
	int n;

	snprintf(text, sizeof(text), "%s", line);
	n = batch_words(text, argv, &why);
	assert_true(n >= 0);
	assert_null(argv[n]);
	for (int i = 0; i < n; i++) {
		strcat(got, argv[i]);
		strcat(got, "|");
	}
	assert_string_equal(got, want);
}

static void expect_refused(const char *line, const char *part)
{
	char text[4096], *argv[BATCH_WORDS + 1];
	const char *why = "";

	snprintf(text, sizeof(text), "%s", line);
	assert_int_equal(batch_words(text, argv, &why), -1);
	assert_non_null(strstr(why, part));
}

static void test_words_end_at_blanks(void **state)
{
	expect_words("weight set  web\tcanary 5\r", "weight|set|web|canary|5|");
	expect_words("   ", "");
	expect_words("", "");
	expect_words(" a", "a|");
}

static void test_quotes_hold_blanks_and_each_other(void **state)
{
	expect_words("comment 'it is  \"so\" \\n'", "comment|it is  \"so\" \\n|");
	expect_words("comment \"it's \\\"so\\\" \\\\ \\n\"", "comment|it's \"so\" \\ \\n|");
	expect_words("a\"b c\"d'e f'", "ab cde f|");
	expect_words("comment ''", "comment||");
	expect_words("a\\ b \\# \\'", "a b|#|'|");
}

static void test_comments_begin_where_a_word_could(void **state)
{
	expect_words("# all of it", "");
	expect_words("status # the rest", "status|");
	expect_words("label a#b '#c'", "label|a#b|#c|");
}

static void test_what_does_not_end_is_refused(void **state)
{
	char many[1024] = "";

	expect_refused("comment 'so", "' that does not end");
	expect_refused("comment \"so\\\"", "\" that does not end");
	expect_refused("so\\", "\\ with nothing after it");
	for (int i = 0; i <= BATCH_WORDS; i++)
		strcat(many, "a ");
	expect_refused(many, "too many words");
}

/* Run text as a batch with -j and nobody at the socket; *ret is its answer. */
static int run(const char *text, const char *option, json_t **ret)
{
	struct cli cli = { .json = true, .socket = "/nonexistent/perch.sock", .bpffs = "/nonexistent" };
	char path[] = "/tmp/perch-batch-XXXXXX", *argv[] = { "batch", "file", path, (char *)option };
	int fd = mkstemp(path), keep = dup(STDOUT_FILENO), code;
	FILE *out = tmpfile();

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	code = command_run(&cli, objects, "perch", option ? 4 : 3, argv);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	close(fd);
	unlink(path);
	rewind(out);
	*ret = json_loadf(out, JSON_DECODE_ANY, NULL);
	fclose(out);
	assert_non_null(*ret);
	return code;
}

static const char *error_at(const json_t *answers, size_t i)
{
	return json_string_value(json_object_get(json_array_get(answers, i), "error"));
}

static void test_batch_is_one_array_up_to_the_first_error(void **state)
{
	json_t *answers;

	assert_int_equal(run("help\n# nothing\nweight set web canary 101\nhelp\n", NULL, &answers), CLI_USAGE);
	assert_int_equal(json_array_size(answers), 2);
	assert_true(json_is_array(json_object_get(json_array_get(answers, 0), "commands")));
	assert_non_null(strstr(error_at(answers, 1), ":3: '101' is no percentage of canary"));
	json_decref(answers);
}

static void test_batch_goes_on_when_it_is_told_to(void **state)
{
	json_t *answers;

	assert_int_equal(run("status\nnonsense\nhelp", "continue", &answers), CLI_FAILED);
	assert_int_equal(json_array_size(answers), 3);
	assert_non_null(strstr(error_at(answers, 0), ":1: perchd does not answer"));
	assert_non_null(strstr(error_at(answers, 1), ":2: 'nonsense' is unknown"));
	assert_null(error_at(answers, 2));
	json_decref(answers);
}

static void test_batch_takes_neither_options_nor_itself(void **state)
{
	static const char *const lines[] = { "-j status", "batch file /dev/null", "bat f /dev/null", "status --direct" };
	json_t *answers;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(run(lines[i], NULL, &answers), CLI_USAGE);
		assert_int_equal(json_array_size(answers), 1);
		json_decref(answers);
	}
	assert_int_equal(run("rollback web --direct", NULL, &answers), CLI_FAILED);
	assert_non_null(strstr(error_at(answers, 0), "no datapath is pinned at /nonexistent"));
	json_decref(answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_end_at_blanks),
		cmocka_unit_test(test_quotes_hold_blanks_and_each_other),
		cmocka_unit_test(test_comments_begin_where_a_word_could),
		cmocka_unit_test(test_what_does_not_end_is_refused),
		cmocka_unit_test(test_batch_is_one_array_up_to_the_first_error),
		cmocka_unit_test(test_batch_goes_on_when_it_is_told_to),
		cmocka_unit_test(test_batch_takes_neither_options_nor_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
