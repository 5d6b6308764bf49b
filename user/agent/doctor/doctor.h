/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The doctor: a table of checks, each of which looks at one thing that goes
 * wrong on hosts and says what it found and how to mend it.  Runs on request
 * alone, and changes nothing.
 */
#ifndef PERCH_AGENT_DOCTOR_H
#define PERCH_AGENT_DOCTOR_H

#include <jansson.h>

#include "../agent.h"

enum doctor_level { DOCTOR_OK, DOCTOR_NOTICE, DOCTOR_WARNING, DOCTOR_ERROR };

struct doctor {
	struct agent *agent;
	json_t *findings;
	const char *check;	/* the one under way */
	bool said;		/* it found something */
	struct traffic *traffic;	/* the flow table, walked once */
};

/* What all checks found, as docs/api.md has it: an array; a check that found
 * nothing says so with level "ok". */
json_t *doctor_run(struct agent *a);

/* For checks.  subject and remedy may be NULL. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *subject, const char *remedy, const char *format,
		...) __attribute__((format(printf, 5, 6)));

typedef void doctor_check(struct doctor *d);
/* doctor_config.c */
doctor_check doctor_config;
/* doctor_interfaces.c */
doctor_check doctor_rp_filter, doctor_lro, doctor_xdp, doctor_foreign, doctor_mtu;
/* doctor_modes.c */
doctor_check doctor_modes;
/* doctor_traffic.c */
doctor_check doctor_replies, doctor_announced, doctor_clients;
/* Walks the flow table; NULL without memory. */
struct traffic *traffic_look(const struct agent *a);
void traffic_free(struct traffic *t);

#endif
