// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What may follow a command: keys with values in any order, flags, and one
 * key that may be left out.  A word that does not fit is named, together with
 * what may stand in its place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "../config/values.h"
#include "cli.h"
#include "output.h"
#include "text.h"

#define LIST 512

static const char *words_list(const struct word *words, char list[LIST])
{
	list[0] = 0;
	for (const struct word *w = words; w->key; w++) {
		text_append(list, LIST, "%s%s", w == words ? "" : ", ", w->bare ? "[" : "");
		text_append(list, LIST, "%s%s%s%s", w->key, w->bare ? "]" : "", w->what ? " " : "", w->what ?: "");
	}
	return list;
}

static const struct word *words_find(const struct word *words, const char *text)
{
	for (const struct word *w = words; w->key; w++)
		if (strcmp(w->key, text) == 0)
			return w;
	return NULL;
}

static int words_unexpected(const struct cli *cli, const struct word *words, const char *text)
{
	char list[LIST];

	if (!words->key)
		return cli_usage(cli, "'%s' is unexpected: nothing may follow here", text);
	return cli_usage(cli, "'%s' is unexpected; here may stand: %s", text, words_list(words, list));
}

int words_split(const struct cli *cli, int argc, char **argv, const struct word *words, char **rest, int *ret_n)
{
	int n = 0;

	for (int i = 0; i < argc; i++) {
		const struct word *w = words_find(words, argv[i]);

		if (!w) {
			rest[n++] = argv[i];
			continue;
		}
		if (*w->value)
			return cli_usage(cli, "'%s' stands there twice", w->key);
		if (w->what && i + 1 == argc)
			return cli_usage(cli, "'%s' needs %s after it", w->key, w->what);
		*w->value = w->what ? argv[++i] : w->key;
	}
	*ret_n = n;
	return 0;
}

int words_read(const struct cli *cli, int argc, char **argv, const struct word *words)
{
	char *rest[argc + 1], list[LIST];
	int n = 0, used = 0, err;

	err = words_split(cli, argc, argv, words, rest, &n);
	if (err)
		return err;
	for (const struct word *w = words; w->key; w++)
		if (w->bare && !*w->value && used < n)
			*w->value = rest[used++];
	if (used < n)
		return words_unexpected(cli, words, rest[used]);
	for (const struct word *w = words; w->key; w++)
		if (w->needed && !*w->value)
			return cli_usage(cli, "%s is missing; here may stand: %s", w->what, words_list(words, list));
	return 0;
}

int words_number(const struct cli *cli, const char *key, const char *text, long min, long max, long *ret)
{
	char *end;
	long n;

	if (!text)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		return cli_usage(cli, "%s '%s' is not a whole number from %ld to %ld", key, text, min, max);
	*ret = n;
	return 0;
}

int words_duration(const struct cli *cli, const char *key, const char *text, unsigned long long min,
		   unsigned long long max, unsigned long long *ret_ns)
{
	char least[VALUE_TEXT], most[VALUE_TEXT];
	__u64 ns;

	if (config_duration(text, &ns) || ns < min || ns > max)
		return cli_usage(cli, "%s '%s' is not a duration from %s to %s", key, text, value_format_duration(min, least),
				 value_format_duration(max, most));
	*ret_ns = ns;
	return 0;
}
