// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Numbers as people read them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/cli/text.h"

static void test_counts_are_grouped(void **state)
{
	char out[TEXT_NUMBER];

	assert_string_equal(text_count(0, out), "0");
	assert_string_equal(text_count(999, out), "999");
	assert_string_equal(text_count(1000, out), "1,000");
	assert_string_equal(text_count(1234567, out), "1,234,567");
	assert_string_equal(text_count(-1000, out), "-1,000");
	assert_string_equal(text_count(-100, out), "-100");
	assert_string_equal(text_count(NAN, out), "-");
	assert_string_equal(text_count(999999999999999., out), "999,999,999,999,999");
	assert_string_equal(text_count(1.8e19, out), "1.8e+19");
}

static void test_percentages_lose_only_zeros(void **state)
{
	char out[TEXT_NUMBER];

	assert_string_equal(text_percent(0, out), "0 %");
	assert_string_equal(text_percent(5, out), "5 %");
	assert_string_equal(text_percent(100, out), "100 %");
	assert_string_equal(text_percent(12.5, out), "12.5 %");
	assert_string_equal(text_percent(0.01, out), "0.01 %");
	assert_string_equal(text_percent(33.333, out), "33.33 %");
	assert_string_equal(text_percent(NAN, out), "-");
}

static void test_times_have_three_digits_and_a_unit(void **state)
{
	static const struct { double s; const char *want; } times[] = {
		{ 0, "0s" }, { 412e-9, "412ns" }, { 999.9e-9, "1us" }, { 21e-6, "21us" }, { .00035, "350us" },
		{ .0021, "2.1ms" }, { .01234, "12.3ms" }, { .12345, "123ms" }, { .9999, "1s" }, { 4.25, "4.25s" },
		{ 59.4, "59.4s" }, { 59.9, "1m00s" }, { 80, "1m20s" }, { 3599.6, "1h00m" }, { 3900, "1h05m" },
		{ 86400, "1d00h" }, { 100000, "1d03h" },
	};
	char out[TEXT_NUMBER];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(text_seconds(times[i].s, out), times[i].want);
	assert_string_equal(text_seconds(NAN, out), "-");
}

static void test_bytes_go_up_by_1024(void **state)
{
	char out[TEXT_NUMBER];

	assert_string_equal(text_bytes(0, out), "0 B");
	assert_string_equal(text_bytes(1023, out), "1023 B");
	assert_string_equal(text_bytes(1024, out), "1 KiB");
	assert_string_equal(text_bytes(78643200, out), "75 MiB");
	assert_string_equal(text_bytes(NAN, out), "-");
}

static void test_control_characters_do_not_reach_the_terminal(void **state)
{
	char text[] = "v1\033[2J\n\xc2\x9b\xc3\xa9\x7f";

	text_printable(text);
	assert_string_equal(text, "v1?[2J???\xc3\xa9?");
}

static void test_append_stops_at_the_end(void **state)
{
	char text[8] = "abc";

	text_append(text, sizeof(text), "%s", "defgh");
	assert_string_equal(text, "abcdefg");
	text_append(text, sizeof(text), "%s", "more");
	assert_string_equal(text, "abcdefg");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_grouped),
		cmocka_unit_test(test_percentages_lose_only_zeros),
		cmocka_unit_test(test_times_have_three_digits_and_a_unit),
		cmocka_unit_test(test_bytes_go_up_by_1024),
		cmocka_unit_test(test_control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(test_append_stops_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
