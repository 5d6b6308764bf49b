/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Names, roles, rollouts and rejections in pinned maps: what is left when the
 * store is lost, and what `perch rollback --direct` finds a service by. */
#ifndef PERCH_REGISTRY_H
#define PERCH_REGISTRY_H

#include "datapath.h"

/* Element of `services` by name, or -ENOENT. */
int registry_find(const struct maps *m, const char *service);
void registry_name_service(const struct maps *m, unsigned id, const char *name);	/* "": free it */
void registry_name_version(const struct maps *m, unsigned id, unsigned slot, const char *name, enum perch_role role,
			   __u64 since);

/* What is kept of a service's rollout: the whole or what was there before.
 * replace: only where there is one (-ENOENT). */
int registry_rollout_put(const struct maps *m, __u32 id, const struct perch_rollout_blob *b, bool replace);
int registry_rollout_get(const struct maps *m, __u32 id, struct perch_rollout_blob *ret);
void registry_rollout_drop(const struct maps *m, __u32 id);
/* Likewise of its comparison, while the rollout lasts. */
int registry_comparison_put(const struct maps *m, __u32 id, const struct perch_comparison_blob *b);
int registry_comparison_get(const struct maps *m, __u32 id, struct perch_comparison_blob *ret);
void registry_comparison_drop(const struct maps *m, __u32 id);

/* How a rollback without an agent ends the reason that it writes down; its
 * comment follows after a colon. */
#define REGISTRY_DIRECT "without the agent"

int registry_reject(const struct maps *m, const char *service, const char *version, const struct perch_rejection *r);
int registry_unreject(const struct maps *m, const char *service, const char *version);
bool registry_rejected(const struct maps *m, const char *service, const char *version, struct perch_rejection *ret);
/* All of them; fn may not change them. */
void registry_rejections(const struct maps *m,
			 void (*fn)(void *arg, const char *service, const char *version, const struct perch_rejection *r),
			 void *arg);

/* A packet that read the word before the rollback may enter its flow a moment
 * after; it is ended with the others. */
#define REGISTRY_IN_FLIGHT_NS 1000000ull

/*
 * The whole of a rollback as one call, for agent and --direct alike: the OR
 * on the split word, then sever or drain of the versions that lost their
 * share (mode -1: as the service says), and their rejection by name.  Returns
 * 0 and the word before; *ret_ns is how long the OR took.  Said again it
 * finishes what was left undone and changes nothing else; `by` of the record
 * is who was first to write one.  -ENOENT: no such service.  After any other
 * error the OR has been done all the same: -ESTALE, the plan had been replaced
 * before it could be read; -E2BIG or -ENOMEM, no room for the rejection.
 */
int registry_rollback(const struct maps *m, unsigned id, int mode, __u32 by, const char *reason, __u64 *ret_before,
		      __u64 *ret_ns);

#endif
