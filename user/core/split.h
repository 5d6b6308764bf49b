/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The split word and its plans: how a weight becomes a plan with its rollback
 * twin, and how both reach the kernel.  The functions below touch nothing but
 * the memory they are given; in the agent that is the mapped element of
 * `splits`.  Preparing a plan needs the planner lock, rolling back needs none.
 */
#ifndef PERCH_CORE_SPLIT_H
#define PERCH_CORE_SPLIT_H

#include <stdbool.h>

#include <perch/abi.h>

/* What a plan is to say.  A slot of -1 is absent. */
struct split_want {
	int rest;		/* slot of stable */
	int canary;		/* grows up from 0 */
	int baseline;		/* grows down from PERCH_SHARE_ALL */
	int fallback;		/* all goes there after a rollback; mostly == rest */
	__u32 canary_share;	/* 0.01 % */
	__u32 baseline_share;
	__u64 salt;
	__u8 role[PERCH_SLOTS];		/* enum perch_role under the plan */
	__u8 fallback_role[PERCH_SLOTS];	/* and under its twin */
};

/* Fill a plan and its twin.  0, -EINVAL (no rest, shares above 100 %). */
int split_plan(const struct split_want *want, struct perch_plan *ret_plan, struct perch_plan *ret_twin);

/* The slot that hash value v (0 .. PERCH_SHARE_ALL - 1) leads to. */
int split_slot(const struct perch_plan *plan, __u32 v);
/* Share of a slot under a plan, 0.01 %. */
__u32 split_share(const struct perch_plan *plan, int slot);

/* First plan of a fresh element; names it at once. */
void split_init(struct perch_split *s, const struct perch_plan *plan, const struct perch_plan *twin, __u32 flags,
		__u32 seconds);

/*
 * One step: writes plan and twin into the next pair and swaps the word from
 * `judged`.  The caller holds the planner lock.  0 with the new word in
 * *ret_word, or -ESTALE with the word found there: it has moved.
 */
int split_step(struct perch_split *s, __u64 judged, const struct perch_plan *plan, const struct perch_plan *twin,
	       __u32 flags, __u32 seconds, __u64 *ret_word);
/* Its parts, for who must be able to stop between them: the pair is written
 * and *ret_word is the word that will name it; the word is swapped.  Then comes
 * split_named.  Both as above. */
int split_prepare(struct perch_split *s, __u64 judged, const struct perch_plan *plan, const struct perch_plan *twin,
		  __u32 flags, __u64 *ret_word);
int split_swap(struct perch_split *s, __u64 judged, __u64 word, __u64 *ret_word);

/* The rollback: one atomic OR (of PERCH_ROLLED_BACK too, whatever the flags),
 * can't fail.  Returns the word before it. */
__u64 split_rollback(struct perch_split *s, __u32 flags);

/* Say when the plan of `word` was named.  split_step does, and who rolled back.
 * Moves forward only: an epoch older than the one noted changes nothing. */
void split_named(struct perch_split *s, __u64 word, __u32 seconds);

/* Set or clear flags without a new plan (paused, armed).  -ESTALE as above. */
int split_flags(struct perch_split *s, __u64 judged, __u32 set, __u32 clear, __u64 *ret_word);

__u64 split_word(const struct perch_split *s);
/* A whole copy of the plan in force, as the kernel reads it.  0, or -EAGAIN
 * when it moved in each of four tries. */
int split_read(const struct perch_split *s, __u64 *ret_word, struct perch_plan *ret_plan);

#endif
