/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the files of the rollout machine share; private to them. */
#ifndef PERCH_CORE_ROLLOUT_INSIDE_H
#define PERCH_CORE_ROLLOUT_INSIDE_H

#include "rollout.h"

/* Text into a field of the state, without stale bytes behind it, so that equal
 * texts are equal bytes.  What is said may come from where it goes to. */
void rollout_say(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define REASON(r, ...) rollout_say((r)->reason, sizeof((r)->reason), __VA_ARGS__)
#define BLOCKED(r, ...) rollout_say((r)->blocked_by, sizeof((r)->blocked_by), __VA_ARGS__)

extern const char rollout_no_stable[];	/* blocks a rollback */

static inline __u64 elapsed(__u64 now, __u64 since)
{
	return now > since ? now - since : 0;
}

/* Phases, and what a look or a command makes of them. */
void phase_set(struct rollout *r, enum rollout_phase phase, __u64 now);
enum rollout_phase phase_running(const struct rollout *r);
bool phase_has_canary(const struct rollout *r);
void pause_leave(struct rollout *r, __u64 now);
/* Time in which nothing goes on by itself stops the clocks, as a pause does. */
void freeze_follow(struct rollout *r, bool frozen, __u64 now);
void times_mend(struct rollout *r, __u64 now);

void ask_share(const struct rollout *r, struct rollout_output *out);
void step_enter(struct rollout *r, const struct model_rollout *policy, __u32 index, __u64 now,
		struct rollout_output *out);
void watch_enter(struct rollout *r, __u64 now);
/* The reason while there is nothing else to tell. */
void observe_say(struct rollout *r);
/* The shares stay as they are, under a word of its own. */
void observe_enter(struct rollout *r, const struct rollout_input *in, struct rollout_output *out);
void rollout_end_promoted(struct rollout *r, __u64 now, const char *why, struct rollout_output *out);
/* The end of an experiment: back to 0, and nobody is promoted or rejected. */
void rollout_end_experiment(struct rollout *r, __u64 now, struct rollout_output *out);
void rollout_end_rolled_back(struct rollout *r, __u64 now, const char *why);

/* The step of the policy; one that lost steps in a reload ends with its last. */
__u32 step_index(const struct rollout *r, const struct model_rollout *policy);
bool word_taken_back(const struct rollout *r, const struct rollout_input *in);
/* Gates that were skipped are those of the policy, or none: names that are not
 * the same any more are other gates. */
void gates_followed(struct rollout *r, const struct model_rollout *policy);
/* The index of a gate over its limit plus 1, or 0. */
unsigned gate_over_limit(const struct rollout *r);

#endif
