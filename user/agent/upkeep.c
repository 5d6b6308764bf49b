// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What time alone brings about. */
#include "upkeep.h"

#include <errno.h>
#include <string.h>

#include "alarms.h"
#include "clock.h"
#include "collect.h"
#include "rollout/deadman.h"
#include "store/history.h"
#include "doctor/hostcheck.h"
#include "interfaces.h"
#include "leaving.h"
#include "rollout/lifecycle.h"
#include "log.h"
#include "mend.h"
#include "place.h"
#include "rollout/rollback.h"
#include "rollout/rollouts.h"
#include "store/save.h"
#include "sources.h"
#include "tunnels.h"

#define PRESSURE_CALM_S 60
#define REFRESH_S 3
#define HOSTCHECK_S 10

/* Previous leaves after keepPrevious; the twin must not lead to it then. */
static void previous_expire(struct agent *a, struct service *s)
{
	int previous = slot_of_role(s->slot, PERCH_ROLE_PREVIOUS), r = 0;
	struct version slot[PERCH_SLOTS];
	const struct step step = { .slot = slot, .canary_share = s->canary_share, .baseline_share = s->baseline_share,
				   .in_rollout = service_in_rollout(s), .flags = PERCH_BY_AGENT, .window = "expire" };
	char why[AGENT_WHY];

	if (previous < 0 || s->slot[previous].since + s->model->rollout.keep_previous / NS_PER_S > (__u64)clock_wall())
		return;
	memcpy(slot, s->slot, sizeof(slot));	/* roles only: owns nothing */
	lifecycle_expire(slot, clock_wall());
	if (place_names_slot(a, s, previous))
		r = place_step(a, s, &step);
	if (r == -ESTALE)
		rollback_notice(a, s);
	if (r)
		return;		/* again in a second */
	memcpy(s->slot, slot, sizeof(slot));
	if (place_service(a, s, why))
		log_error("%s", why);
	save_service(a, s);
	agent_emit(a, .kind = "version", .service = s->name, .version = s->slot[previous].name,
		   .from = s->slot[previous].name, .to = role_name(s->slot[previous].role), .reason = "keepPrevious is over");
}

/* A version that retires is gone when its last connection is. */
static void version_retire(struct agent *a, struct service *s, int slot)
{
	struct version gone;
	char why[AGENT_WHY];

	if (s->slot[slot].role != PERCH_ROLE_RETIRING || !tables_version_empty(a->tables, s->id, slot))
		return;
	gone = s->slot[slot];
	memset(&s->slot[slot], 0, sizeof(s->slot[slot]));
	if (place_service(a, s, why)) {
		/* the slot is nobody else's before the kernel knows: again in a second */
		s->slot[slot] = gone;
		save_names(a, s);
		return;
	}
	collect_forget(s, slot);
	save_service(a, s);
	agent_emit(a, .kind = "version", .service = s->name, .from = gone.name, .reason = "left: its connections have ended");
	version_clear(&gone);
}

/* What was decided is to be so in the kernel too, sooner or later. */
static void service_bring_back(struct agent *a, struct service *s)
{
	char why[AGENT_WHY];

	if (!s->astray || a->config_waits)
		return;
	if (place_service(a, s, why))
		alarm_raise(a, "datapath", s->name, s->name, NULL, "%s", why);
	else
		alarm_clear(a, "datapath", s->name);
}

/* What the kernel tells each time that it happens, and has not told of late. */
static void pressure_calm(struct agent *a)
{
	for (const struct alarm *m = a->alarms; m; m = m->next) {
		bool pressure = !strcmp(m->kind, "flow_table") || !strcmp(m->kind, "fullnat_ports");

		if (pressure && clock_wall() - m->since > PRESSURE_CALM_S) {
			alarm_clear(a, m->kind, m->subject);
			return;
		}
	}
}

static void service_look(struct agent *a, struct service *s)
{
	rollback_notice(a, s);
	deadman_follow(a, s);
	rollouts_follow(a, s);
	service_bring_back(a, s);
	previous_expire(a, s);
	for (int i = 0; i < PERCH_SLOTS; i++)
		version_retire(a, s, i);
}

void upkeep(struct agent *a)
{
	samples_read(a->samples);	/* what came without a wake-up */
	tables_reap(a->tables, collect_active, a);
	for (struct service *s = a->services; s; s = s->next)
		if (agent_turn(a, s->id))
			service_look(a, s);
	leaving_tick(a);
	tunnels_follow(a);
	if (a->routes && a->second % REFRESH_S == 0)
		routes_refresh(a->routes);
	if (a->second % HOSTCHECK_S == 0) {
		interfaces_retry(a);
		hostcheck_watch(a);
		sources_watch(a);
	}
	pressure_calm(a);
	mend_pins(a);
	mend_store(a);
	history_tick(a);
}
