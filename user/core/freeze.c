/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Times of the week. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "freeze.h"

static const char days[][4] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "Fri 16:00", exactly nine characters; -1: it is not. */
static int minute_parse(const char *text)
{
	int hour, minute;

	if (strnlen(text, 9) < 9 || text[3] != ' ' || !digit(text[4]) || !digit(text[5]) || text[6] != ':' || !digit(text[7]) ||
	    !digit(text[8]))
		return -1;
	hour = (text[4] - '0') * 10 + text[5] - '0';
	minute = (text[7] - '0') * 10 + text[8] - '0';
	if (hour > 23 || minute > 59)
		return -1;
	for (int day = 0; day < 7; day++)
		if (strncmp(text, days[day], 3) == 0)
			return (day * 24 + hour) * 60 + minute;
	return -1;
}

int freeze_parse(const char *text, struct model_freeze *ret)
{
	int from, to;

	if (strlen(text) != 19 || text[9] != '-')
		return -EINVAL;
	from = minute_parse(text);
	to = minute_parse(text + 10);
	if (from < 0 || to < 0 || from == to)
		return -EINVAL;
	*ret = (struct model_freeze){ (__u32)from, (__u32)to };
	return 0;
}

static const char *minute_format(__u32 minute, char out[FREEZE_TEXT])
{
	snprintf(out, FREEZE_TEXT, "%s %02u:%02u", days[minute / (24 * 60) % 7], minute / 60 % 24, minute % 60);
	return out;
}

const char *freeze_format(const struct model_freeze *f, char out[FREEZE_TEXT])
{
	char from[FREEZE_TEXT], to[FREEZE_TEXT];

	snprintf(out, FREEZE_TEXT, "%.9s-%.9s", minute_format(f->from, from), minute_format(f->to, to));
	return out;
}

/* Minutes until the freeze ends, 0: it does not hold. */
static __u32 left(const struct model_freeze *f, __u32 minute)
{
	__u32 length = (f->to + FREEZE_WEEK - f->from) % FREEZE_WEEK, in = (minute + FREEZE_WEEK - f->from) % FREEZE_WEEK;

	return in < length ? length - in : 0;
}

const struct model_freeze *freeze_at(const struct model_rollout *policy, __u32 minute)
{
	const struct model_freeze *found = NULL;
	__u32 longest = 0;

	for (size_t i = 0; i < policy->n_freeze; i++) {
		__u32 time = left(&policy->freeze[i], minute);

		if (time > longest) {
			found = &policy->freeze[i];
			longest = time;
		}
	}
	return found;
}

const char *freeze_end(const struct model_freeze *f, char out[FREEZE_TEXT])
{
	return minute_format(f->to, out);
}
