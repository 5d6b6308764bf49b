// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The list of alarms. */
#include "alarms.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "clock.h"
#include "text_hash.h"

/* Where it is in its chain, or would be. */
static struct alarm **alarm_find(struct agent *a, const char *kind, const char *subject)
{
	unsigned h = text_hash(text_hash(TEXT_HASH, kind), subject);
	struct alarm **same = &a->alarm_by_hash[h % ALARM_BUCKETS];

	while (*same && (strcmp((*same)->kind, kind) || strcmp((*same)->subject, subject)))
		same = &(*same)->same;
	return same;
}

static void list_append(struct agent *a, struct alarm *alarm)
{
	alarm->at = a->alarms_end;
	*alarm->at = alarm;
	a->alarms_end = &alarm->next;
}

static void list_remove(struct agent *a, struct alarm *alarm)
{
	*alarm->at = alarm->next;
	if (alarm->next)
		alarm->next->at = alarm->at;
	else
		a->alarms_end = alarm->at;
}

void alarm_raise(struct agent *a, const char *kind, const char *subject, const char *service, const char *remedy,
		 const char *format, ...)
{
	struct alarm **same = alarm_find(a, kind, subject), *alarm = *same;
	char text[sizeof(alarm->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!alarm) {
		alarm = calloc(1, sizeof(*alarm));
		if (!alarm)
			return;
		snprintf(alarm->kind, sizeof(alarm->kind), "%s", kind);
		snprintf(alarm->subject, sizeof(alarm->subject), "%s", subject);
		alarm->since = clock_wall();
		*same = alarm;
		list_append(a, alarm);
	} else if (!strcmp(alarm->text, text)) {
		return;
	}
	snprintf(alarm->service, sizeof(alarm->service), "%s", service ? service : "");
	snprintf(alarm->remedy, sizeof(alarm->remedy), "%s", remedy ? remedy : "");
	snprintf(alarm->text, sizeof(alarm->text), "%s", text);
	agent_emit(a, .kind = "alarm", .service = service, .to = kind, .reason = text, .comment = remedy);
}

void alarm_clear(struct agent *a, const char *kind, const char *subject)
{
	struct alarm **same = alarm_find(a, kind, subject), *alarm = *same;

	if (!alarm)
		return;
	*same = alarm->same;
	list_remove(a, alarm);
	agent_emit(a, .kind = "alarm", .service = alarm->service[0] ? alarm->service : NULL, .from = kind,
		   .reason = "over");
	free(alarm);
}

void alarms_forget(struct agent *a, const char *service)
{
	struct alarm *next;

	for (struct alarm *m = a->alarms; m; m = next) {
		next = m->next;
		if (!strcmp(m->service, service))
			alarm_clear(a, m->kind, m->subject);
	}
}

void alarms_free(struct agent *a)
{
	while (a->alarms) {
		struct alarm *next = a->alarms->next;

		free(a->alarms);
		a->alarms = next;
	}
}

json_t *alarms_json(const struct agent *a)
{
	json_t *array = json_array();

	for (const struct alarm *m = a->alarms; m; m = m->next)
		json_array_append_new(array, json_pack("{s:s, s:s?, s:s, s:s?, s:f}", "kind", m->kind, "service",
						       m->service[0] ? m->service : NULL, "text", m->text, "remedy",
						       m->remedy[0] ? m->remedy : NULL, "since", m->since));
	return array;
}
