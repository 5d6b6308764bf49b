// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what a single value may look like: numbers, durations, percentages,
 * names, and how any text is quoted in an error.  Numbers are read by hand,
 * because strtod takes NaN, exponents and the locale's comma.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <perch/abi.h>

#include "config.h"
#include "values.h"

#define DIGITS 18		/* 10^18 fits 64 bits */

static const struct duration_unit {
	const char *name;
	__u64 ns;
} duration_units[] = {
	{ "h", NS_PER_H }, { "m", NS_PER_M }, { "s", NS_PER_S }, { "ms", NS_PER_MS },
};
#define DURATION_UNITS (sizeof(duration_units) / sizeof(duration_units[0]))

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int value_decimal(const char *text, unsigned decimals, const char **ret_end, __u64 *ret)
{
	unsigned digits = 0, places = 0;
	const char *p = text;
	__u64 value = 0;

	/* 010 is eight in YAML 1.1 and ten to a person: refuse it */
	if (!is_digit(*p) || (*p == '0' && is_digit(p[1])))
		return -EINVAL;
	for (; is_digit(*p); p++, digits++)
		value = digits < DIGITS ? value * 10 + (*p - '0') : 0;
	if (*p == '.') {
		for (p++; is_digit(*p); p++, digits++, places++)
			value = digits < DIGITS ? value * 10 + (*p - '0') : 0;
		if (!places || places > decimals)
			return -EINVAL;
	}
	if (digits + decimals - places > DIGITS)
		return -EINVAL;
	for (; places < decimals; places++)
		value *= 10;
	*ret_end = p;
	*ret = value;
	return 0;
}

int value_decimal_all(const char *text, unsigned decimals, __u64 *ret)
{
	const char *end;
	__u64 value;

	if (value_decimal(text, decimals, &end, &value) || *end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int config_duration(const char *text, __u64 *ret_ns)
{
	const char *unit;
	__u64 thousandths, ns;

	if (value_decimal(text, 3, &unit, &thousandths))
		return -EINVAL;
	if (!*unit && !thousandths) {
		*ret_ns = 0;
		return 0;
	}
	for (size_t i = 0; i < DURATION_UNITS; i++) {
		if (strcmp(unit, duration_units[i].name))
			continue;
		if (__builtin_mul_overflow(thousandths, duration_units[i].ns / 1000, &ns))
			return -EINVAL;
		*ret_ns = ns;
		return 0;
	}
	return -EINVAL;
}

int config_percent(const char *text, __u32 *ret_share)
{
	__u64 hundredths;

	if (value_decimal_all(text, 2, &hundredths) || hundredths > PERCH_SHARE_ALL)
		return -EINVAL;
	*ret_share = hundredths;
	return 0;
}

const char *value_format_duration(__u64 ns, char out[VALUE_TEXT])
{
	size_t i = 0;

	while (i < DURATION_UNITS - 1 && (!ns || ns % duration_units[i].ns))
		i++;
	if (!ns)
		i = 2;
	/* what is finer than 1 ms has decimals of it */
	snprintf(out, VALUE_TEXT, "%.15g%s", (double)ns / duration_units[i].ns, duration_units[i].name);
	return out;
}

const char *value_format_percent(__u32 share, char out[VALUE_TEXT])
{
	snprintf(out, VALUE_TEXT, "%.15g", share / 100.0);
	return out;
}

const char *value_format_millionths(__u64 n, char out[VALUE_TEXT])
{
	size_t length = snprintf(out, VALUE_TEXT, "%llu.%06llu", n / 1000000, n % 1000000);

	while (out[length - 1] == '0')
		out[--length] = 0;
	if (out[length - 1] == '.')
		out[--length] = 0;
	return out;
}

static bool is_letter_or_digit(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool config_is_name(const char *text)
{
	size_t length = strlen(text);

	if (length >= PERCH_NAME_LEN || !is_letter_or_digit(*text))
		return false;
	for (; *text; text++)
		if (!is_letter_or_digit(*text) && !strchr("._-", *text))
			return false;
	return true;
}

bool value_is_role(const char *text)
{
	static const char *const roles[] = { "stable", "canary", "baseline", "previous" };

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (!strcmp(text, roles[i]))
			return true;
	return false;
}

struct value_quoted value_quote(const char *text)
{
	struct value_quoted q;
	size_t n = strnlen(text, VALUE_TEXT + 1);
	bool cut = n > VALUE_TEXT;

	if (cut) {
		n = VALUE_TEXT;
		while (n && (text[n] & 0xc0) == 0x80)	/* not inside a UTF-8 character */
			n--;
	}
	snprintf(q.text, sizeof(q.text), "'%.*s%s'", (int)n, text, cut ? "..." : "");
	for (char *c = q.text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return q;
}
