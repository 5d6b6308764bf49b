// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns single values: what text is a duration or a percentage, and what only
 * looks like one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/config/config.h"
#include "../../user/config/values.h"

#define MS NS_PER_MS
#define S NS_PER_S
#define H NS_PER_H

static void test_config_duration_takes_one_unit(void **state)
{
	static const struct { const char *text; __u64 ns; } right[] = {
		{ "100ms", 100 * MS }, { "30s", 30 * S }, { "5m", 300 * S }, { "2h", 2 * H }, { "0", 0 }, { "0s", 0 },
		{ "1.5h", 5400 * S }, { "0.25ms", MS / 4 }, { "8760h", 8760 * H },
	};
	static const char *const wrong[] = {
		"", "5", "s", "-5s", "+5s", "5 s", " 5s", "5s ", "1h30m", "5S", "5d", "5us", ".5s", "5.s", "1.2345s", "05s", "1e3s",
		"nan", "inf", "0x5s", "99999999999999h", "99999999999999999999s", "5\xc2\xb5s",
	};
	__u64 ns;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(config_duration(right[i].text, &ns), 0);
		assert_int_equal(ns, right[i].ns);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ns = 42;
		if (!config_duration(wrong[i], &ns))
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(ns, 42);
	}
}

static void test_config_percent_takes_two_decimals(void **state)
{
	static const struct { const char *text; __u32 share; } right[] = {
		{ "0", 0 }, { "5", 500 }, { "12.5", 1250 }, { "0.01", 1 }, { "99.99", 9999 }, { "100", 10000 }, { "100.00", 10000 },
	};
	static const char *const wrong[] = {
		"", "100.01", "101", "-1", "+1", "5%", "1.125", "1.", ".5", "1e1", "nan", "inf", "0x10", "05", "1,5", " 5", "5 ",
		"18446744073709551617",
	};
	__u32 share;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(config_percent(right[i].text, &share), 0);
		assert_int_equal(share, right[i].share);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		share = 42;
		if (!config_percent(wrong[i], &share))
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(share, 42);
	}
}

static void test_config_values_are_said_as_they_are_read(void **state)
{
	static const char *const durations[] = { "0s", "0.01ms", "250ms", "1s", "90s", "5m", "90m", "2h", "8760h" };
	static const char *const percents[] = { "0", "0.01", "2.5", "99.99", "100" };
	char out[VALUE_TEXT];
	__u32 share;
	__u64 ns;

	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		assert_int_equal(config_duration(durations[i], &ns), 0);
		assert_string_equal(value_format_duration(ns, out), durations[i]);
	}
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		assert_int_equal(config_percent(percents[i], &share), 0);
		assert_string_equal(value_format_percent(share, out), percents[i]);
	}
	assert_string_equal(value_format_millionths(1, out), "0.000001");
	assert_string_equal(value_format_millionths(500000, out), "0.5");
	assert_string_equal(value_format_millionths(2000000, out), "2");
}

static void test_config_quoted_text_stays_short_and_on_one_line(void **state)
{
	assert_string_equal(value_quote("a\nb\x1b[0m\x7f").text, "'a?b?[0m?'");
	assert_string_equal(value_quote("12345678901234567890123456789012").text, "'12345678901234567890123456789012'");
	assert_string_equal(value_quote("123456789012345678901234567890123").text, "'12345678901234567890123456789012...'");
	/* a character of two bytes at the cut is left out whole */
	assert_string_equal(value_quote("1234567890123456789012345678901\xc3\xa9x").text,
			    "'1234567890123456789012345678901...'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_duration_takes_one_unit),
		cmocka_unit_test(test_config_percent_takes_two_decimals),
		cmocka_unit_test(test_config_values_are_said_as_they_are_read),
		cmocka_unit_test(test_config_quoted_text_stays_short_and_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
