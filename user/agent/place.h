/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* State to the kernel: services to the tables, and steps of the split. */
#ifndef PERCH_AGENT_PLACE_H
#define PERCH_AGENT_PLACE_H

#include "agent.h"

/* Bring names, tables and sampling to s; a service that is not placed yet gets
 * its split with the shares in s.  0 or -errno with a sentence; one that was
 * placed is then astray, and upkeep tries again. */
int place_service(struct agent *a, struct service *s, char why[AGENT_WHY]);

struct step {
	const struct version *slot;	/* roles as they shall be */
	__u32 canary_share, baseline_share;
	bool in_rollout;	/* a rollback leads to stable, not to previous */
	__u32 flags;		/* enum perch_word_flag: who; the phase's are added */
	const char *window;	/* operation, for fault.h */
};

/*
 * Swap the split from the word that s knows to one with these shares and
 * roles.  0, with word and shares of s moved; -ESTALE: the word has moved
 * under us and nothing was written (see rollback_notice); -EINVAL, or -errno
 * of the planner lock.
 */
int place_step(struct agent *a, struct service *s, const struct step *step);
/* A version took a role without a step, as a canary does that enters at 0: the
 * plan is written again with the roles of now, if pins or rules look at it.
 * For what a person asked for, never by itself.  As place_step. */
int place_roles(struct agent *a, struct service *s);
/* Would a rollback change anything now? */
bool place_has_twin(const struct agent *a, const struct service *s);
/* Does the plan in force, or its twin, lead to this slot? */
bool place_names_slot(const struct agent *a, const struct service *s, int slot);
/* Read shares and salt of the plan in force into s. */
void place_read_split(struct agent *a, struct service *s);

/* Which services are observed: those in a rollout, then by the file's order. */
void place_choose_observed(struct agent *a);

/* Live backends of a slot. */
__u32 place_live(const struct agent *a, const struct service *s, int slot);

#endif
