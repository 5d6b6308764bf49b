// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* When to walk.  The kernel ends a severed flow on its next packet; only idle
 * ones need us, and only for the seconds around a sever. */
#include "severs.h"

#include <string.h>

#include "../datapath/flows.h"
#include "clock.h"
#include "log.h"

#define SEVER_WALKS 5
#define SEVER_PAUSE_MS 400

static void severs_schedule(struct agent *a);

/* The next drain of any version that ends after `now`; 0: none. */
static __u64 drain_next(const struct agent *a, __u64 now)
{
	__u64 next = 0;

	for (const struct service *s = a->services; s; s = s->next) {
		for (int i = 0; i < PERCH_SLOTS; i++) {
			const struct perch_version *v = &a->datapath.maps.versions[s->id * PERCH_SLOTS + i];

			if (v->drain_before && v->drain_at > now && (!next || v->drain_at < next))
				next = v->drain_at;
		}
	}
	return next;
}

static void severs_walk(uv_timer_t *timer)
{
	struct agent *a = timer->data;
	int n = flows_sever(&a->datapath.maps, clock_now());

	if (n < 0)
		log_warning("end severed flows: %s", strerror(-n));
	else if (n)
		log_info("ended %d severed connections", n);
	/* a drain that fell due is a sever: its first walk was this one */
	if (a->drain_due && clock_now() >= a->drain_due)
		a->sever_again = SEVER_WALKS;
	if (a->sever_again)
		a->sever_again--;
	severs_schedule(a);
}

static void severs_schedule(struct agent *a)
{
	__u64 now = clock_now(), wait = SEVER_PAUSE_MS;

	a->drain_due = drain_next(a, now);
	if (!a->sever_again && !a->drain_due) {
		uv_timer_stop(&a->sever_timer);
		return;
	}
	if (a->drain_due && (!a->sever_again || a->drain_due - now < SEVER_PAUSE_MS * NS_PER_MS))
		wait = (a->drain_due - now) / NS_PER_MS + 1;
	uv_timer_start(&a->sever_timer, severs_walk, wait, 0);
}

/* Was a version severed a moment ago?  Drains end later, keep never. */
static bool severed_lately(const struct agent *a)
{
	__u64 since = clock_now() - SEVER_WALKS * SEVER_PAUSE_MS * NS_PER_MS;

	for (const struct service *s = a->services; s; s = s->next)
		for (int i = 0; i < PERCH_SLOTS; i++)
			if (a->datapath.maps.versions[s->id * PERCH_SLOTS + i].sever_before > since)
				return true;
	return false;
}

void severs_begin_gone(struct agent *a)
{
	a->sever_again = SEVER_WALKS;
	/* not within the command that asked: its answer first */
	uv_timer_start(&a->sever_timer, severs_walk, 0, 0);
}

void severs_begin(struct agent *a)
{
	if (severed_lately(a))
		severs_begin_gone(a);
	else
		severs_schedule(a);
}

void severs_start(struct agent *a)
{
	uv_timer_init(&a->loop, &a->sever_timer);
	a->sever_timer.data = a;
	/* drains may have ended while no agent ran */
	a->sever_again = 1;
	uv_timer_start(&a->sever_timer, severs_walk, 0, 0);
}
