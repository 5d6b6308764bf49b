/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Single values of the configuration, from text and back. */
#ifndef PERCH_CONFIG_VALUES_H
#define PERCH_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S (1000 * NS_PER_MS)
#define NS_PER_M (60 * NS_PER_S)
#define NS_PER_H (60 * NS_PER_M)

#define VALUE_TEXT 32

/*
 * A number of at most 18 digits without sign, exponent or leading zeros, with
 * up to `decimals` decimals, as value * 10^decimals.  Stops at the first
 * character that is not part of it; *ret_end is there.  0 or -EINVAL.
 */
int value_decimal(const char *text, unsigned decimals, const char **ret_end, __u64 *ret);
/* The same, of the whole text. */
int value_decimal_all(const char *text, unsigned decimals, __u64 *ret);

/* As config_duration and config_percent would read them. */
const char *value_format_duration(__u64 ns, char out[VALUE_TEXT]);
const char *value_format_percent(__u32 share, char out[VALUE_TEXT]);
const char *value_format_millionths(__u64 n, char out[VALUE_TEXT]);

/* A word for a role, which can't be the name of a version. */
bool value_is_role(const char *text);

/* Text of a user as it may stand in an error: short, on one line. */
struct value_quoted {
	char text[VALUE_TEXT + 16];
};
struct value_quoted value_quote(const char *text);

#endif
