// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From records to sums.  What a record says of an element that is no longer
 * ours is dropped. */
#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "clock.h"
#include "log.h"
#include "rollout/rollback.h"

static struct service *service_of_id(struct agent *a, __u32 id)
{
	return id < a->datapath.maps.control->services ? a->by_id[id] : NULL;
}

static void take_backend(void *arg, const struct perch_sample_backend *s)
{
	struct agent *a = arg;
	struct perch_counters new;
	struct service *service;

	if (s->head.id >= a->datapath.maps.control->backends_n)
		return;
	backend_evidence_take(&a->backends[s->head.id], s, &new);
	service = service_of_id(a, s->version / PERCH_SLOTS);
	if (service)
		counters_add(&service->evidence[s->version % PERCH_SLOTS].total, &new);
}

/* Room for them, or NULL. */
static struct perch_votes *evidence_votes(struct evidence *e)
{
	if (!e->votes)
		e->votes = calloc(1, sizeof(*e->votes));
	return e->votes;
}

static void take_version(void *arg, const struct perch_sample_version *s)
{
	struct service *service = service_of_id(arg, s->service);
	struct rollout_keep *k;
	struct evidence *e;

	if (!service || s->slot >= PERCH_SLOTS)
		return;
	e = &service->evidence[s->slot];
	if (s->head.time < e->votes_at || !evidence_votes(e))
		return;
	*e->votes = s->sum;
	k = &service->keep;
	if (!service_in_rollout(service))
		return;
	if (s->slot == k->canary_slot)
		arm_take(&k->canary, &s->sum);
	else if (s->slot == k->stable_slot)
		arm_take(&k->stable, &s->sum);
}

static void take_service(void *arg, const struct perch_sample_service *s)
{
	struct service *service = service_of_id(arg, s->head.id);

	if (service && service->word != s->word)
		rollback_notice(arg, service);
}

static void take_host(void *arg, const struct perch_sample_host *s)
{
	struct agent *a = arg;

	if (a->host_seen && s->samples_lost > a->host.samples_lost)
		log_warning("%llu sample records were lost: evidence comes later",
			    (unsigned long long)(s->samples_lost - a->host.samples_lost));
	a->host = *s;
	a->host_seen = true;
}

static void take_event(void *arg, const struct perch_event *e)
{
	struct agent *a = arg;
	struct service *service = service_of_id(a, e->service);

	if ((e->kind == PERCH_EVENT_REFLEX || e->kind == PERCH_EVENT_DEADMAN) && service)
		rollback_notice(a, service);
	else if (e->kind == PERCH_EVENT_TABLE_FULL)
		alarm_raise(a, "flow_table", "", NULL, "raise agent.flowTableSize",
			    "the flow table had no room for a connection; it goes on by its hash, not tracked");
	else if (e->kind == PERCH_EVENT_NO_SOURCE && service)
		alarm_raise(a, "fullnat_ports", service->name, service->name, "more fullnat.sources, a wider range of fullnat.ports, or more backends",
			    "%s: a connection was refused, because every source port towards its backend is in use",
			    service->name);
}

static const struct sample_handlers handlers = {
	.backend = take_backend,
	.version = take_version,
	.service = take_service,
	.host = take_host,
	.event = take_event,
};

static void samples_ready(uv_poll_t *poll, int status, int events)
{
	struct agent *a = poll->data;
	int r = samples_read(a->samples);

	if (r < 0 && r != -EINTR && r != -EAGAIN)
		log_warning("samples: %s", strerror(-r));
}

__u64 collect_active(void *agent, __u32 backend)
{
	const struct agent *a = agent;
	const struct backend_evidence *b = &a->backends[backend];

	return b->seen && b->incarnation == a->datapath.maps.backends[backend].incarnation ? counters_active(&b->sum) : 0;
}

static void votes_ask(const struct maps *m, __u16 observed, int slot)
{
	__atomic_store_n(&m->observed[observed].dirty[slot], 1, __ATOMIC_RELAXED);
}

void collect_votes(struct agent *a, struct service *s, int slot)
{
	struct evidence *e = &s->evidence[slot];
	struct perch_votes now;

	if (tables_votes(a->tables, s->id, slot, &now) || !evidence_votes(e))
		return;
	*e->votes = now;
	/* a record that began before may say less than this; it is dropped, so
	 * what it said on top must come again */
	e->votes_at = clock_now();
	votes_ask(&a->datapath.maps, a->datapath.maps.services[s->id].observed, slot);
}

void collect_forget(struct service *s, int slot)
{
	free(s->evidence[slot].votes);
	memset(&s->evidence[slot], 0, sizeof(s->evidence[slot]));
}

/* The kernel writes what changed; say that all did, so that a new agent has
 * the sums that the last one had. */
static void ask_for_all(struct agent *a)
{
	const struct maps *m = &a->datapath.maps;
	struct perch_backend *b = m->backends;

	for (__u32 id = 0; id < m->control->services; id++)
		for (int slot = 0; slot < PERCH_SLOTS && m->services[id].observed; slot++)
			votes_ask(m, m->services[id].observed, slot);
	for (__u32 id = 1; id < m->control->backends_n; id++)
		if (b[id].state != PERCH_BACKEND_NONE)
			__atomic_store_n(&b[id].dirty, 1, __ATOMIC_RELAXED);
}

int collect_start(struct agent *a)
{
	int r;

	a->backends = calloc(a->datapath.maps.control->backends_n, sizeof(*a->backends));
	if (!a->backends)
		return -ENOMEM;
	r = samples_open(&a->samples, &a->datapath.maps, &handlers, a);
	if (r)
		return r;
	r = uv_poll_init(&a->loop, &a->samples_poll, samples_fd(a->samples));
	if (r)
		return r;
	a->samples_poll.data = a;
	r = uv_poll_start(&a->samples_poll, UV_READABLE, samples_ready);
	ask_for_all(a);
	return r;
}

void collect_stop(struct agent *a)
{
	samples_close(a->samples);
	a->samples = NULL;
	free(a->backends);
	a->backends = NULL;
}
