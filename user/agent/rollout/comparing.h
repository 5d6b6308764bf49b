/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The comparison of a service's canary with stable (core/compare.h): begun,
 * fed with the kernel's tallies, and kept with the rollout.  s->compare is NULL
 * while there is none.
 */
#ifndef PERCH_AGENT_COMPARING_H
#define PERCH_AGENT_COMPARING_H

#include "../agent.h"

/* Room for what a look has to say. */
struct compared {
	char fails[160], waits[128];
};

/* A rollout begins: connections of `since` and later epochs vote. */
void comparing_begin(struct agent *a, struct service *s, __u32 since);
/* The word of a step was written. */
void comparing_step(struct agent *a, struct service *s, bool warming);
/* Begins the step with a warm-up? */
bool comparing_warms(const struct service *s);
/* Is it over? */
bool comparing_warmed(const struct service *s, __u64 now);
/* Reads the tallies. */
void comparing_look(struct agent *a, struct service *s);
/* Fills the input's; what they say is in `said`. */
void comparing_input(struct service *s, struct rollout_input *in, struct compared *said);
/* Slot of who stands for stable: a baseline that has a share, which is as new
 * and as little asked as the canary. */
unsigned comparing_against(const struct service *s);
/* The kernel stops tallying once the rollout is over. */
void comparing_follow(struct agent *a, struct service *s);
/* An agent takes over; restored: the kernel's tables are new. */
void comparing_resume(struct agent *a, struct service *s, bool restored);

#endif
