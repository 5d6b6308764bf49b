// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the bodies of webhooks and their signature. */
#include "message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define LINE 1024

static const struct {
	const char *kind, *name;
	__u32 tell;
} kinds[] = {
	{ "step", "step", MODEL_TELL_STEP }, { "hold", "hold", MODEL_TELL_HOLD }, { "promote", "promote", MODEL_TELL_PROMOTE },
	{ "alarm", "alarm", MODEL_TELL_ALARM }, { "rollback", "rollback", MODEL_TELL_ROLLBACK },
	{ "reflex", "rollback", MODEL_TELL_ROLLBACK }, { "deadman", "rollback", MODEL_TELL_ROLLBACK },
};

static const char *text_of(const json_t *event, const char *key)
{
	return json_string_value(json_object_get(event, key)) ?: "";
}

__u32 message_event(const json_t *event)
{
	const char *kind = text_of(event, "kind");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].kind, kind))
			return kinds[i].tell;
	return 0;
}

const char *message_event_name(__u32 tell)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].tell == tell)
			return kinds[i].name;
	return "";
}

static bool is_over(const json_t *event)
{
	return message_event(event) == MODEL_TELL_ALARM && json_is_null(json_object_get(event, "to"));
}

/* "web: step 5 -> 10: step 2 of 6" */
static void line_of(const json_t *event, char out[LINE])
{
	const char *service = text_of(event, "service"), *from = text_of(event, "from"), *to = text_of(event, "to");
	const char *reason = text_of(event, "reason"), *comment = text_of(event, "comment");

	snprintf(out, LINE, "%s%s%s %s%s%s%s%s%s%s", service, *service ? ": " : "", text_of(event, "kind"), from,
		 *from && *to ? " -> " : "", to, *reason ? ": " : "", reason, *comment ? "; " : "", comment);
}

/* Slack reads &, < and > as its own (its text format). */
static void escape_slack(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 6 < size; text++) {
		const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;

		if (as)
			n += snprintf(out + n, size - n, "%s", as);
		else
			out[n++] = *text;
	}
	out[n] = 0;
}

static json_t *slack(const json_t *event)
{
	char line[LINE], text[2 * LINE];

	line_of(event, line);
	escape_slack(line, text, sizeof(text));
	return json_pack("{s:s}", "text", text);
}

static void time_format(double seconds, char out[32])
{
	time_t whole = (time_t)seconds;
	struct tm tm;

	gmtime_r(&whole, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* As POST /api/v2/alerts takes it.  An alert that is not told of again ends by
 * Alertmanager's resolve_timeout; an alarm that is over ends now. */
static json_t *alertmanager(const json_t *event)
{
	const char *name = message_event_name(message_event(event)), *kind = is_over(event) ? text_of(event, "from") : text_of(event, "to");
	bool alarm = message_event(event) == MODEL_TELL_ALARM;
	char line[LINE], time[32];
	json_t *alert;

	line_of(event, line);
	time_format(json_number_value(json_object_get(event, "time")), time);
	alert = json_pack("{s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s}}", "labels", "alertname", "perch", "event", name, "service",
			  text_of(event, "service"), "severity",
			  message_event(event) & (MODEL_TELL_ROLLBACK | MODEL_TELL_ALARM) ? "critical" : "info", "annotations",
			  "summary", line, "reason", text_of(event, "reason"));
	if (alarm)
		json_object_set_new(json_object_get(alert, "labels"), "kind", json_string(kind));
	json_object_set_new(alert, is_over(event) ? "endsAt" : "startsAt", json_string(time));
	return json_pack("[o]", alert);
}

static json_t *plain(const json_t *event)
{
	json_t *doc = json_copy((json_t *)event);

	json_object_set_new(doc, "event", json_string(message_event_name(message_event(event))));
	return doc;
}

char *message_body(__u32 format, const json_t *event)
{
	json_t *doc = format == MODEL_WEBHOOK_SLACK ? slack(event) :
		      format == MODEL_WEBHOOK_ALERTMANAGER ? alertmanager(event) : plain(event);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

int message_sign(const char *secret, const char *body, char out[MESSAGE_SIGNATURE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	size_t at;

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body, strlen(body), digest, &n) || n != 32)
		return -EIO;
	at = snprintf(out, MESSAGE_SIGNATURE, "sha256=");
	for (unsigned i = 0; i < n; i++)
		at += snprintf(out + at, MESSAGE_SIGNATURE - at, "%02x", digest[i]);
	return 0;
}
