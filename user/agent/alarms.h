/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Alarms: what a person should mend now, by kind and subject, until it is
 * mended. */
#ifndef PERCH_AGENT_ALARMS_H
#define PERCH_AGENT_ALARMS_H

#include <jansson.h>

struct agent;

#define ALARM_BUCKETS 1024	/* thousands of services may be in trouble at once */

struct alarm {
	struct alarm *next, **at;	/* of the list, and what points to it there */
	struct alarm *same;	/* hash of kind and subject */
	char kind[24];
	char subject[80];	/* a service, interface or family; "" for none */
	char service[64];
	char text[320];
	char remedy[160];
	double since;
};

/* Raise, or change the text.  subject tells alarms of a kind apart; service
 * and remedy may be NULL.  Logged and an event when it is new. */
void alarm_raise(struct agent *a, const char *kind, const char *subject, const char *service, const char *remedy,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));
void alarm_clear(struct agent *a, const char *kind, const char *subject);
/* All of a service that is gone. */
void alarms_forget(struct agent *a, const char *service);
void alarms_free(struct agent *a);
json_t *alarms_json(const struct agent *a);

#endif
