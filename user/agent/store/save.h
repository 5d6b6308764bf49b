/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* State to the pinned maps (registry) and to the store, and back from the
 * store.  A store that failed is behind, and mend.c writes it anew: who saves
 * need not look at what these return. */
#ifndef PERCH_AGENT_SAVE_H
#define PERCH_AGENT_SAVE_H

#include "../agent.h"

/* Names and roles to the pinned maps; what is there already is not written. */
void save_names(struct agent *a, const struct service *s);
/* Take the names of a service that is gone away. */
void save_no_names(struct agent *a, unsigned id);
/* Weights, roles and versions to the store. */
int save_service(struct agent *a, const struct service *s);
/* The rollout to its pinned map, and to the store when `stored`. */
int save_rollout(struct agent *a, struct service *s, bool stored);

/* Backends and doors as the store's text; NULL without memory. */
char *save_backends_text(const struct version *v);
char *save_doors_text(const struct version *v);
/* And back.  0, -EINVAL, -ENOMEM. */
int save_backends_parse(const char *text, struct version *v);
int save_doors_parse(const char *text, struct version *v);

/* Bytes of a rollout from the pinned map, else from the store (whose clock is
 * then moved to ours).  0 or -ENOENT. */
int save_rollout_load(struct agent *a, struct service *s);
/* From the store alone, for a service that is not placed. */
int save_rollout_stored(struct agent *a, struct service *s);

/* A version is rejected: slot, registry and store. */
void save_reject(struct agent *a, struct service *s, int slot, const struct perch_rejection *r);
void save_unreject(struct agent *a, struct service *s, int slot);
/* What only the store has of them to the pinned map and to the slots, and the
 * other way round: each is enough to keep a version out. */
void save_rejections(struct agent *a);
/* Is it?  The pinned map first, then the store.  A pointer to static memory. */
struct perch_rejection *save_rejected(void *agent, const char *service, const char *version);

#endif
