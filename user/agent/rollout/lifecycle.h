/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The life of a version: entering, canary, stable, previous, retiring.  Pure
 * functions over slots; who calls them carries the result to the kernel first
 * and makes it the state's afterwards.
 */
#ifndef PERCH_AGENT_LIFECYCLE_H
#define PERCH_AGENT_LIFECYCLE_H

#include "../state.h"

#define LIFECYCLE_WHY 576

struct lifecycle {
	const struct service *service;	/* slots, shares, rollout as they are */
	const struct model_service *model;	/* as the file says now */
	bool fresh;		/* state and kernel do not know the service */
	bool strict;		/* refuse what takes a version away that is
				 * needed; else it stays from state */
	__u64 now;		/* seconds since 1970 */
	struct perch_rejection *(*rejected)(void *arg, const char *service, const char *version);
	void *arg;
};

/* Slots as they are with the file's versions: names known keep slot and role,
 * new ones enter, those that left retire.  0, -EBUSY (a version that is needed
 * is missing, or is previous and could not serve a new listener), -ENOSPC (no
 * slot), -ENOMEM; why says which, with file and line. */
int lifecycle_merge(const struct lifecycle *l, struct version ret[PERCH_SLOTS], char why[LIFECYCLE_WHY]);

/* Canary becomes stable, stable previous (with keep) or leaves. */
void lifecycle_promote(struct version slot[PERCH_SLOTS], bool keep, __u64 now);
/* Previous becomes stable again, stable the (rejected) canary. */
void lifecycle_back(struct version slot[PERCH_SLOTS], __u64 now);
/* Previous leaves: keepPrevious is over. */
void lifecycle_expire(struct version slot[PERCH_SLOTS], __u64 now);
/* A version that waits takes the canary's role, if it is free to take. */
void lifecycle_fill_canary(struct version slot[PERCH_SLOTS], bool busy, __u64 now);

#endif
