// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Tables as they are printed, and services in little room. */
#define _GNU_SOURCE	/* open_memstream */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/cli/output.h"
#include "../../user/cli/overview.h"

static void assert_writes(struct table *t, const char *wanted)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	table_write(t, to);
	fclose(to);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_columns_are_as_wide_as_their_widest(void **state)
{
	struct table *t = table_new(" ", "NAME", ">N");

	table_cell(t, "a");
	table_cell(t, "12345");
	table_cell(t, "%s", "möhre");	/* six bytes, five columns */
	table_cell(t, "1");
	assert_writes(t, " NAME       N\n"
			 " a      12345\n"
			 " möhre      1\n");
}

static void test_span_makes_no_column_wider(void **state)
{
	struct table *t = table_new("  ", "A", ">B");

	table_span(t, "a line that is %s", "rather long");
	table_cell(t, "x");
	table_cell(t, "1");
	table_span(t, "%s", "");
	table_cell(t, "y");
	table_cell(t, "22");
	assert_writes(t, "  A   B\n"
			 "a line that is rather long\n"
			 "  x   1\n"
			 "\n"
			 "  y  22\n");
}

static void test_span_moves_nobodys_cursor(void **state)
{
	struct table *t = table_new("", "A");

	table_span(t, "%s", "\033[2Jgone\n");
	table_cell(t, "b\r");
	assert_writes(t, "A\n?[2Jgone?\nb?\n");
}

static void test_table_without_rows_is_not_printed(void **state)
{
	assert_writes(table_new("", "A", "B"), "");
}

static void test_service_fits_a_line(void **state)
{
	json_t *service = json_pack("{s:s, s:s, s:[s,s,s]}", "name", "web", "phase", "Progressing", "listen",
				    "192.0.2.10:80/tcp", "192.0.2.10:443/tcp", "[2001:db8::10]:443/udp");
	json_t *rollouts = json_pack("[{s:s, s:i, s:[i,i,i], s:f}]", "service", "web", "step", 2, "steps", 1, 5, 100, "eta", 42.0);
	char line[256];

	overview_line(service, field_find(rollouts, "service", "web"), line, sizeof(line));
	assert_string_equal(line, "web  Progressing, step 2 of 3, the next in about 42s  192.0.2.10:80/tcp +2");
	assert_null(field_find(rollouts, "service", "shop"));
	overview_line(service, NULL, line, sizeof(line));
	assert_string_equal(line, "web  Progressing  192.0.2.10:80/tcp +2");
	json_object_set_new(service, "rolledBack", json_true());
	overview_line(service, NULL, line, sizeof(line));
	assert_string_equal(line, "web  Progressing (rolled back)  192.0.2.10:80/tcp +2");
	json_object_set_new(service, "rolledBack", json_false());
	json_object_set_new(service, "phase", json_string("Leaving"));
	json_object_set_new(service, "leaving", json_pack("{s:i, s:f}", "connections", 1234, "seconds", 25.0));
	overview_line(service, NULL, line, sizeof(line));
	assert_string_equal(line, "web  Leaving, 1,234 connections left, 25s  192.0.2.10:80/tcp +2");
	json_decref(service);
	json_decref(rollouts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_as_wide_as_their_widest),
		cmocka_unit_test(test_span_makes_no_column_wider),
		cmocka_unit_test(test_span_moves_nobodys_cursor),
		cmocka_unit_test(test_table_without_rows_is_not_printed),
		cmocka_unit_test(test_service_fits_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
