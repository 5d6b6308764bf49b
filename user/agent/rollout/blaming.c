// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Leaves the canary's worst backend out. */
#include "blaming.h"

#include <math.h>
#include <stdio.h>

#include "../../core/address.h"
#include "../../core/compare.h"
#include "../../datapath/tables.h"
#include "../alarms.h"
#include "../api/view.h"
#include "../health/drains.h"

#define ALARM "one_backend"
#define ENOUGH 10.0		/* E without the worst that condemns the others too */

/* The canary's backends by place. */
struct hosts {
	unsigned n, live;
	unsigned at[PERCH_BLAMED];
	__u32 id[PERCH_BLAMED];	/* one that is there */
	double share[PERCH_BLAMED];	/* of what goes to the canary */
};

static void hosts_find(const struct agent *a, const struct service *s, struct hosts *ret)
{
	const struct perch_backend *b = a->datapath.maps.backends;
	unsigned live[PERCH_BLAMED] = { 0 };

	*ret = (struct hosts){ .n = 0 };
	for (__u32 id = 0; (id = tables_backend_next(a->tables, s->id, id));) {
		unsigned p = id % PERCH_BLAMED;

		if (!tables_backend_named(&b[id]) || b[id].version != s->id * PERCH_SLOTS + s->keep.canary_slot)
			continue;
		ret->n++;
		ret->at[p]++;
		ret->id[p] = id;
		ret->live += !b[id].held;
		live[p] += !b[id].held;
	}
	for (unsigned p = 0; p < PERCH_BLAMED && ret->live; p++)
		ret->share[p] = (double)live[p] / ret->live;
}

static const char *host_name(const struct agent *a, __u32 id, char text[ADDRESS_TEXT])
{
	const struct perch_backend *b = &a->datapath.maps.backends[id];

	return address_port_format(&b->address, b->port, text);
}

/* The worst backend of a comparison that fails, and how many the canary has; 0: it
 * does not fail, or nobody is the worst. */
static __u32 worst_of(const struct agent *a, const struct service *s, struct compare_worst *ret, unsigned *ret_n)
{
	unsigned failed = s->compare ? compare_failed(s->compare) : 0;
	struct hosts h;

	if (!failed)
		return 0;
	hosts_find(a, s, &h);
	*ret_n = h.n;
	return compare_worst(s->compare, failed - 1, h.share, ret) && h.at[ret->place] == 1 ? h.id[ret->place] : 0;
}

/* False: it can't be, as when the others are gone. */
static bool drained(struct agent *a, struct service *s, __u32 id, const char *name)
{
	const struct drain d = { .address = name, .actor = &actor_judge, .comment = "the canary is worse by this one alone" };
	char why[AGENT_WHY];

	return s->model->rollout.observe || drains_since(s, &a->datapath.maps.backends[id]) || !drains_set(a, s, &d, why);
}

void blaming_look(struct agent *a, struct service *s)
{
	char name[ADDRESS_TEXT];
	struct compare_worst worst;
	unsigned n;
	__u32 id = worst_of(a, s, &worst, &n);
	const char *gate;

	if (!id || n < 2 || worst.log_e >= log(ENOUGH) || !drained(a, s, id, host_name(a, id, name))) {
		if (s->one_backend[0])
			blaming_end(a, s);
		return;
	}
	gate = compare_gate_name(compare_failed(s->compare) - 1);
	snprintf(s->one_backend, sizeof(s->one_backend), "one backend, %s, is worse", name);
	alarm_raise(a, ALARM, s->name, s->name,
		    "look at that host; `perch rollout advance` goes on without it, `perch backend resume` takes it back",
		    "%s: %llu of the canary's %llu bad votes of %s are of %s, E without it is %.3g: %s", s->name,
		    (unsigned long long)worst.bad, (unsigned long long)worst.of, gate, name, exp(worst.log_e),
		    s->model->rollout.observe ? "it would be drained, and the rollout would hold" :
						"it is drained, and the rollout holds");
}

void blaming_end(struct agent *a, struct service *s)
{
	s->one_backend[0] = 0;
	alarm_clear(a, ALARM, s->name);
}

json_t *blaming_json(const struct agent *a, const struct service *s)
{
	char name[ADDRESS_TEXT];
	struct compare_worst w;
	unsigned n;
	__u32 id = worst_of(a, s, &w, &n);

	if (!id)
		return json_null();
	return json_pack("{s:s, s:s, s:b, s:I, s:I, s:o}", "backend", host_name(a, id, name), "gate",
			 compare_gate_name(compare_failed(s->compare) - 1), "only", n == 1, "bad", (json_int_t)w.bad, "of", (json_int_t)w.of,
			 "logEWithout", n == 1 ? json_null() : view_number(w.log_e));
}
