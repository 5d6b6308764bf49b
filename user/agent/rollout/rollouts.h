/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rollouts: core/rollout fed with time and evidence, and its answers carried
 * out. */
#ifndef PERCH_AGENT_ROLLOUTS_H
#define PERCH_AGENT_ROLLOUTS_H

#include "../agent.h"

enum rollout_verb {
	VERB_START, VERB_PAUSE, VERB_RESUME, VERB_ADVANCE, VERB_PROMOTE, VERB_ABORT, VERB_RETRY, VERB_SKIP, VERBS,
};
/* -1: no such action. */
int rollout_verb_parse(const char *word);

/* 0, or -errno with a sentence: -ENOENT (no such gate), -EBUSY (the state does not allow it), -ESTALE
 * (rolled back meanwhile), else the datapath's. */
struct rollout_order {
	enum rollout_verb verb;
	bool force;		/* promote */
	const char *gate;	/* skip */
	const struct actor *actor;
	const char *comment;
};
int rollouts_command(struct agent *a, struct service *s, const struct rollout_order *order, char why[AGENT_WHY]);
/* 0: the canary of s may be started; or -EBUSY with the sentence why not. */
int rollouts_start_refused(const struct service *s, bool retry, char why[AGENT_WHY]);
/* Is there nothing to start?  1 with *ret_outcome ("underWay", "alreadyStable"),
 * 0: there is; -ENOENT or -EBUSY with a sentence when `version` (NULL: whichever
 * is the canary) is not the one that would be started. */
int rollouts_begun(struct agent *a, struct service *s, const char *version, const char **ret_outcome,
		   char why[AGENT_WHY]);
/* One look at a service in a rollout, at every one. */
void rollouts_look(struct agent *a, struct service *s);
void rollouts_tick(struct agent *a);
/* It may have begun to move: looked at with every look from now on, until it
 * has come to rest.  Of thousands of services few do; the others are seen once
 * a second. */
void rollouts_follow(struct agent *a, struct service *s);
void rollouts_unfollow(struct agent *a, struct service *s);
/* The word says rolled back. */
void rollouts_rolled_back(struct agent *a, struct service *s, const char *reason);
/* A person has moved the weights of a rollout that only observes. */
void rollouts_moved(struct agent *a, struct service *s);
/* Stop judging for a person's weights; no event of its own. */
int rollouts_pause_for_weights(struct agent *a, struct service *s);

/* Who asked for what is being carried out. */
struct asker {
	const struct actor *actor;
	const char *comment;
	__u32 flag;		/* enum perch_word_flag */
};
struct compared;
/* What the machine is fed now; `said` has room for what the input points to. */
void rollouts_input(struct agent *a, struct service *s, struct rollout_input *in, struct compared *said);
/* Carry out what the machine asks for; `before` is its state from before it
 * did.  0, -ESTALE (rolled back meanwhile, and taken over), or -errno. */
int rollouts_do(struct agent *a, struct service *s, const struct rollout_output *out, const struct rollout *before,
		const struct asker *asker);

#endif
