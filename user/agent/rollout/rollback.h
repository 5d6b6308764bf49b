/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rollbacks: by command, by the judge, and those that others made in the word
 * while we looked away (reflex, --direct). */
#ifndef PERCH_AGENT_ROLLBACK_H
#define PERCH_AGENT_ROLLBACK_H

#include "../agent.h"

enum rollback_outcome { ROLLBACK_DONE, ROLLBACK_ALREADY, ROLLBACK_NOTHING };

struct rollback {
	/* asked */
	int mode;		/* enum perch_established, -1: as the service says */
	__u32 by;		/* enum perch_word_flag */
	const struct actor *actor;
	const char *reason;	/* NULL: none given */
	const char *comment;
	/* answered */
	enum rollback_outcome outcome;
	char from[PERCH_NAME_LEN], to[PERCH_NAME_LEN];	/* "": nobody */
	__u64 ns;		/* how long the write took */
};

/* Roll back.  Can't fail but for -errno of the datapath; the answer is in b. */
int rollback_run(struct agent *a, struct service *s, struct rollback *b);
/* The word of s may have moved: see who did it and take that over. */
void rollback_notice(struct agent *a, struct service *s);
/* Roles, shares and rejection as the twin in force says. */
void rollback_adopt(struct agent *a, struct service *s, struct rollback *b);

#endif
