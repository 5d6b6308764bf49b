// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the agent's list of services and their finding by name; there may be
 * thousands. */
#include <string.h>

#include "agent.h"
#include "alarms.h"
#include "health/health.h"
#include "rollout/rollouts.h"
#include "text_hash.h"

static unsigned name_bucket(const char *name)
{
	return text_hash(TEXT_HASH, name) % AGENT_NAMES;
}

struct service *agent_service(const struct agent *a, const char *name)
{
	struct service *s = a->by_name[name_bucket(name)];

	while (s && strcmp(s->name, name))
		s = s->same;
	return s;
}

void agent_add_service(struct agent *a, struct service *s)
{
	unsigned bucket = name_bucket(s->name);

	s->next = NULL;
	s->at = a->services_end;
	*s->at = s;
	a->services_end = &s->next;
	s->same = a->by_name[bucket];
	a->by_name[bucket] = s;
	a->n_services++;
}

bool agent_turn(const struct agent *a, unsigned id)
{
	return id % a->turns == a->second % a->turns;
}

void agent_unlist_service(struct agent *a, struct service *s)
{
	struct service **same = &a->by_name[name_bucket(s->name)];

	if (!s->at)
		return;
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	else
		a->services_end = s->at;
	s->at = NULL;
	a->n_services--;
	while (*same != s)
		same = &(*same)->same;
	*same = s->same;
	rollouts_unfollow(a, s);
}

void agent_drop_service(struct agent *a, struct service *s)
{
	agent_unlist_service(a, s);
	if (a->by_id[s->id] == s)
		a->by_id[s->id] = NULL;
	health_forget(a, s);
	alarms_forget(a, s->name);
	service_delete(s);
}
