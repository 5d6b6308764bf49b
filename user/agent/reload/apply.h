/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A configuration made the one in force: whole or not at all. */
#ifndef PERCH_AGENT_APPLY_H
#define PERCH_AGENT_APPLY_H

#include "../../datapath/slices.h"
#include "../agent.h"

#define APPLY_AGAIN_MS (SLICES_GRACE_NS / 1000000 + 100)

/* How, and who is said to have done it. */
struct apply {
	bool strict;		/* refuse what takes a version away that is
				 * needed; else it stays, with an alarm */
	const char *gone;	/* this service may leave, in a rollout too; NULL: none */
	__u64 drain_ns;		/* that its connections have; 0: it goes at once */
	const struct actor *actor;	/* NULL: the file */
	const char *comment;
};

/*
 * Merge the services of c into the state and bring the kernel to it.  On
 * success the agent owns c (and frees the one before); on -errno nothing has
 * changed and why says what stands against it; -EAGAIN: the same may succeed
 * in APPLY_AGAIN_MS.
 */
int apply_config(struct agent *a, struct model_config *c, const struct apply *how, char why[AGENT_WHY]);

#endif
