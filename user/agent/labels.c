// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which version an event is about, and its labels, so that who reads it knows
 * the commit and the pipeline. */
#include <string.h>

#include "agent.h"
#include "api/view.h"

/* Of these the canary is the subject. */
static bool about_canary(const char *kind)
{
	static const char *const kinds[] = { "weights", "rollout", "step", "pause", "resume", "hold", "advance", "promote",
					     "rollback", "rejection", "retry", "reflex", "deadman" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i], kind))
			return true;
	return false;
}

static int event_slot(const struct service *s, const struct event *v)
{
	if (v->version)
		return slot_of_name(s->slot, v->version);
	if (!about_canary(v->kind))
		return -1;
	if (s->keep.rollout.canary[0])	/* also of one that was just promoted or rolled back */
		return slot_of_name(s->slot, s->keep.rollout.canary);
	return slot_of_role(s->slot, PERCH_ROLE_CANARY);
}

void agent_tell(struct agent *a, struct event *v)
{
	const struct service *s = v->service ? agent_service(a, v->service) : NULL;
	int slot = s ? event_slot(s, v) : -1;

	if (slot >= 0)
		v->labels = view_labels(&s->slot[slot]);
	events_emit(a->events, v);
	json_decref(v->labels);
	v->labels = NULL;
}
