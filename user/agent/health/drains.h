/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Drains by a person: a backend gets no new connections until it is resumed
 * or leaves its service.  It is known by its address, in whichever versions of
 * the service it is.  The list of a service is the truth for this agent; it
 * comes from the pinned maps, and from the store when these are gone.
 */
#ifndef PERCH_AGENT_DRAINS_H
#define PERCH_AGENT_DRAINS_H

#include "../agent.h"

/* Before s is placed: read its list, once. */
void drains_read(struct agent *a, struct service *s);
/* The whole list to the store. */
int drains_save(struct agent *a, const struct service *s);
/* What s no longer names is forgotten.  Not while a configuration is being
 * applied: it may be taken back. */
void drains_prune(struct agent *a, struct service *s);
/* Is this backend drained, since when (seconds since 1970)?  0: no. */
__u64 drains_since(const struct service *s, const struct perch_backend *b);

/* Drain or resume; what is so already stays so.  0, -EINVAL (no address),
 * -ENOENT, -EBUSY (the last one of stable, or of a canary in a rollout,
 * and no force), or -errno, with a
 * sentence. */
struct drain {
	const char *address;	/* as the user wrote it */
	bool resume, force;
	const struct actor *actor;
	const char *comment;
};
int drains_set(struct agent *a, struct service *s, const struct drain *d, char why[AGENT_WHY]);

#endif
