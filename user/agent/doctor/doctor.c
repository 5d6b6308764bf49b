// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The table of checks, and those of the agent itself and of what it loaded. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../alarms.h"
#include "../api/api.h"
#include "../clock.h"
#include "hostcheck.h"

#define TEXT 512
#define STANDS_S 5
#define FULL_PERCENT 80

void doctor_say(struct doctor *d, enum doctor_level level, const char *subject, const char *remedy, const char *format,
		...)
{
	static const char *const levels[] = { "ok", "notice", "warning", "error" };
	char text[TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	d->said = true;
	json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s?, s:s, s:s?}", "level", levels[level], "check",
						     d->check, "subject", subject, "text", text, "remedy", remedy));
}

/* What a person can live with for a while. */
static bool alarm_is_mild(const struct alarm *m)
{
	static const char *const mild[] = { "flow_table", "fullnat_ports", "samples", "rp_filter" };

	for (size_t i = 0; i < sizeof(mild) / sizeof(mild[0]); i++)
		if (!strcmp(m->kind, mild[i]))
			return true;
	return false;
}

/* All that the agent complains of by itself: forwarding, interfaces, store, … */
static void check_alarms(struct doctor *d)
{
	hostcheck_forwarding(d->agent);
	for (const struct alarm *m = d->agent->alarms; m; m = m->next) {
		d->check = m->kind;
		doctor_say(d, alarm_is_mild(m) ? DOCTOR_WARNING : DOCTOR_ERROR, m->subject[0] ? m->subject : NULL,
			   m->remedy[0] ? m->remedy : NULL, "%s", m->text);
	}
}

static void check_clockwork(struct doctor *d)
{
	const struct agent *a = d->agent;
	const struct perch_control *c = a->datapath.maps.control;
	__u64 now = clock_now();

	if (c->timer_generation != c->generation)
		doctor_say(d, DOCTOR_ERROR, NULL, "systemctl restart perchd",
			   "the kernel's clockwork is that of load %u, the programs are of load %u", c->timer_generation,
			   c->generation);
	else if (a->host_seen && now > a->host.head.time + STANDS_S * NS_PER_S)
		doctor_say(d, DOCTOR_ERROR, NULL, "systemctl restart perchd",
			   "the kernel has told nothing for %.0f s: its clockwork stands, evidence and dead-man with it",
			   (now - a->host.head.time) / 1e9);
	else if (!a->host_seen && clock_wall() - a->started > STANDS_S)
		doctor_say(d, DOCTOR_ERROR, NULL, "systemctl restart perchd",
			   "the kernel has told nothing since perchd started: its clockwork stands");
}

static void check_flow_table(struct doctor *d)
{
	const struct perch_control *c = d->agent->datapath.maps.control;
	__u64 capacity = (__u64)c->flow_sets * PERCH_WAYS;

	if (c->flow_entries * 100ull < capacity * FULL_PERCENT)
		return;
	doctor_say(d, DOCTOR_WARNING, NULL, "agent: { flowTableSize: … } twice as large; takes effect after perchd --detach",
		   "the flow table is %.0f %% full: %u of %llu", 100.0 * c->flow_entries / capacity, c->flow_entries,
		   (unsigned long long)capacity);
}

/* Counts since the load: old losses are news to nobody, so they are mild. */
static void check_lost(struct doctor *d)
{
	const struct perch_control *c = d->agent->datapath.maps.control;

	if (c->samples_lost)
		doctor_say(d, DOCTOR_NOTICE, "samples", "agent: { sampleInterval: … } longer, or a CPU with less to do",
			   "%llu records found the ring full since the load: evidence came later, none is missing",
			   (unsigned long long)c->samples_lost);
	if (c->events_lost)
		doctor_say(d, DOCTOR_NOTICE, "events", "perch reason show has every count",
			   "%llu events were more than can be told since the load", (unsigned long long)c->events_lost);
}

static const struct {
	const char *name;
	doctor_check *fn;
	const char *fine;	/* when it says nothing */
} checks[] = {
	{ "alarms", check_alarms, "none" },
	{ "config", doctor_config, "the file is in force" },
	{ "clockwork", check_clockwork, "the kernel's timer runs, of the programs that are loaded" },
	{ "flow_table", check_flow_table, "has room" },
	{ "lost", check_lost, "no record, no event" },
	{ "rp_filter", doctor_rp_filter, "not strict on our interfaces" },
	{ "lro", doctor_lro, "off on our interfaces" },
	{ "xdp", doctor_xdp, "each interface is attached as well as it can be" },
	{ "foreign", doctor_foreign, "no programs of others on our interfaces" },
	{ "mtu", doctor_mtu, "the same on our interfaces" },
	{ "replies", doctor_replies, "come back through this host, as far as there were any" },
	{ "modes", doctor_modes, "what services ask of the way to their backends is there" },
	{ "announced", doctor_announced, "the listeners' addresses lead here" },
	{ "clients", doctor_clients, "no weight is too small for its clients" },
};

json_t *doctor_run(struct agent *a)
{
	struct doctor d = { .agent = a, .findings = json_array(), .traffic = traffic_look(a) };

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		d.check = checks[i].name;
		d.said = false;
		checks[i].fn(&d);
		if (!d.said)
			doctor_say(&d, DOCTOR_OK, NULL, NULL, "%s", checks[i].fine);
	}
	traffic_free(d.traffic);
	return d.findings;
}

void api_doctor(struct request *q)
{
	q->json = doctor_run(q->agent);
}
