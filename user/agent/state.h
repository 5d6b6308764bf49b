/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * State: the services the agent runs, their versions by slot with roles, and
 * what was last known of split and rollout.  Names, roles and shares here are
 * a copy; the pinned maps are the truth (takeover.c reads them, place.c writes
 * them).
 */
#ifndef PERCH_AGENT_STATE_H
#define PERCH_AGENT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "../core/model.h"
#include "../core/rollout.h"
#include "evidence.h"

struct version {
	char name[PERCH_NAME_LEN];	/* "": the slot is free */
	enum perch_role role;
	__u64 since;		/* seconds since 1970: entered this role.  ROLE_NONE:
				 * 0 was canary, stable or passed over; else it
				 * waits to become the canary */
	bool in_file;
	bool rejected;
	bool pardoned;		/* a person took a rejection back, as far as this
				 * agent knows: one that the store has is older */
	struct perch_rejection rejection;
	/* own copies: previous may have left the file */
	struct model_backend *backends;
	size_t n_backends;
	struct perch_endpoint *doors;
	size_t n_doors;
	const struct model_version *model;	/* in_file: where labels are */
};

/* Kept of a rollout as bytes, in the pinned map and in the store. */
struct rollout_keep {
	struct rollout rollout;
	struct arm canary, stable;
	__u8 canary_slot, stable_slot;
	__u8 zero[6];
	__u64 step_began_at;	/* the canary's connections when the step began */
	__u64 saved;		/* ns, monotonic */
};
_Static_assert(sizeof(struct rollout_keep) <= PERCH_ROLLOUT_BYTES - 8, "rollout keep");

enum rollback_by { BACK_COMMAND, BACK_DIRECT, BACK_REFLEX, BACK_DEADMAN, BACK_JUDGE, BACK_KINDS };
const char *rollback_by_name(enum rollback_by by);

struct check;
struct compare;
struct outside;
struct step_gate;
struct placed_drain;

struct service {
	/* First what is looked at every second of every service, in few lines of
	 * memory: with 10,000 of them that is what perchd does at rest. */
	struct service *next;	/* of its list */
	__u64 word;		/* the split word as last seen or written */
	__u32 canary_share, baseline_share;	/* of that word's plan, 0.01 % */
	unsigned id;		/* element of `services` */
	bool moves;
	bool placed;		/* has a split and is in the kernel's tables */
	bool astray;		/* the kernel could not be brought to this state */
	bool observed;		/* has votes and histograms */
	struct check *checks;	/* of its backends, see health.h */
	struct placed_drain *drains;	/* backends that a person drains */
	size_t n_drains;
	struct rollout_keep keep;

	struct service **at;	/* what points to it in its list */
	struct service *same;	/* name's hash: see agent_service */
	TAILQ_ENTRY(service) moving;	/* see rollouts_follow */
	bool named;		/* scratch: by the configuration in hand */
	bool restored;		/* from the store, its rollout not yet under way */
	bool ratio_told;	/* that clients do not come as the shares say */
	bool drains_known;	/* read from where they were kept */
	bool pins_known;	/* the kernel has those of the store */
	bool pins_unsaved;	/* the store lacks what the kernel has */
	char name[PERCH_NAME_LEN];
	const struct model_service *model;	/* in the configuration in force */
	struct version slot[PERCH_SLOTS];
	struct evidence evidence[PERCH_SLOTS];
	__u64 salt;
	char salt_for[PERCH_NAME_LEN];	/* the canary it was drawn for */
	struct compare *compare;	/* see rollout/comparing.h */
	double eta;		/* seconds, NAN: unknown */
	char one_backend[96];	/* what is said of the canary's backend by which alone
				 * the comparison fails; "": none */
	size_t left;		/* connections, of one that leaves */
	__u64 next_save;	/* ns: rollout to the pinned map again */
	__u64 stored_bad;	/* arm_bad of the canary when it went to the store */
	__u64 rollbacks[BACK_KINDS];
	struct step_gate *step_gate;	/* see webhooks/webhooks.h; NULL: none was asked */
	__u64 webhook_failures;	/* messages that were given up */
	struct outside *outside;	/* gates from outside, see outside/gates.h; NULL: none yet */
	/* what rules and pins were last led by: names of slots, rules */
	char chosen[PERCH_SLOTS][PERCH_NAME_LEN];
	const struct model_service *ruled;
};

struct service *service_new(const char *name);
void service_delete(struct service *s);

void version_clear(struct version *v);
/* Deep copy; 0 or -ENOMEM with *to cleared. */
int version_copy(struct version *to, const struct version *from);
/* Take backends and doors from the file. */
int version_from_model(struct version *v, const struct model_version *m);
void slots_clear(struct version slot[PERCH_SLOTS]);
int slots_copy(struct version to[PERCH_SLOTS], const struct version from[PERCH_SLOTS]);
/* Would the same be kept of them? */
bool slots_same(const struct version a[PERCH_SLOTS], const struct version b[PERCH_SLOTS]);
void slots_swap(struct version a[PERCH_SLOTS], struct version b[PERCH_SLOTS]);

/* A slot, or -1. */
int slot_of_role(const struct version slot[PERCH_SLOTS], enum perch_role role);
int slot_of_name(const struct version slot[PERCH_SLOTS], const char *name);
/* By name or role's word; names win. */
int slot_find(const struct version slot[PERCH_SLOTS], const char *what);
int slot_free_one(const struct version slot[PERCH_SLOTS]);

const char *role_name(enum perch_role role);
/* -1 for what is no role. */
int role_parse(const char *word);

bool service_in_rollout(const struct service *s);
/* Connections that the canary had since its step began. */
__u64 step_connections(const struct rollout_keep *k);
bool service_rolled_back(const struct service *s);
/* Share of a slot under the plan in force, 0.01 %; the caller keeps it. */
__u32 service_share(const struct service *s, int slot);

#endif
