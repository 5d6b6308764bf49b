/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Weights set by a person. */
#ifndef PERCH_AGENT_WEIGHTS_H
#define PERCH_AGENT_WEIGHTS_H

#include "../agent.h"

struct weight {
	const char *version;	/* name or role */
	__u32 share;		/* 0.01 % */
};

/* 0, or -errno with a sentence: -ENOENT (no such version), -EINVAL (sums),
 * -EBUSY (the state does not allow it), -ESTALE, or the datapath's. */
int weights_set(struct agent *a, struct service *s, const struct weight *w, size_t n, bool force,
		const struct actor *actor, const char *comment, char why[AGENT_WHY]);

#endif
