/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Services that leave: by `service delete NAME drain DURATION`, or because
 * their file names them no more.  Their listeners are handed back to the stack, their connections go on until they end or the
 * time is over; then the service is gone, and what is still sent passes to
 * the stack, unsevered.
 *
 * A service that leaves is in a->leaving and no longer in a->services: it has
 * no configuration (model is NULL), no weights and no rollout to be asked for.
 * That it leaves, and until when, is in the pinned maps (names and listeners):
 * another agent goes on with it.
 */
#ifndef PERCH_AGENT_LEAVING_H
#define PERCH_AGENT_LEAVING_H

#include <jansson.h>

#include "agent.h"

/*
 * s begins to leave; it has drain_ns (monotonic) for its connections.  Takes
 * it out of a->services and out of the hands of its model_service: the caller
 * then forgets where it was written (a restart would take it back) and answers
 * with leaving_view.  A rollout that is under way ends without a word; who
 * must not end it asks service_in_rollout before.  0, or -EINVAL for a service
 * that the kernel does not have.
 */
int leaving_begin(struct agent *a, struct service *s, __u64 drain_ns, const struct actor *actor, const char *comment,
		  char why[AGENT_WHY]);

#define LEAVING_MOST_NS (24 * 3600 * 1000000000ull)

/* Somebody wants an address that one of them had: what is left of its listeners
 * is given up.  Its connections don't need them. */
void leaving_release(struct agent *a);

/* By name, among those that leave; NULL. */
struct service *leaving_find(const struct agent *a, const char *name);
/* Back into a->services, because a configuration names it again: to be placed
 * like one that was taken over, which is what takes its listeners again.
 * NULL when nobody of that name leaves. */
struct service *leaving_recall(struct agent *a, const char *name);
/* After a configuration was applied, or was not: who was recalled stays if it
 * has a model now, else it leaves as before. */
void leaving_settle(struct agent *a);

/* At start, between takeover_registry and apply_config: those that the last
 * agent had begun with, unless config names them again. */
void leaving_resume(struct agent *a, const struct model_config *config);
/* Every second: who is done is taken away. */
void leaving_tick(struct agent *a);
void leaving_free(struct agent *a);

/* As view_service, with phase "Leaving" and
 * "leaving":{"connections":N,"seconds":T}. */
json_t *leaving_view(const struct agent *a, const struct service *s);

#endif
