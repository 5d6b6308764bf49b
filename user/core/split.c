/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The writer's side of the split word and a reader like the kernel's.
 *
 * What holds at any instant: the word names a pair whose plans are whole, and
 * nobody writes into that pair.  A writer takes the next pair, which the word
 * does not name: it makes both epochs match no word, writes the bodies, and
 * releases the epochs; only then it swaps the word.  A reader compares the
 * epoch with the word's before and after its copy, so that a pair that was
 * overtaken by a whole turn of the ring does not pass for the one it meant.
 */
#include <errno.h>
#include <string.h>

#include "split.h"

#define PLANS (2 * PERCH_PAIRS)
#define PLAN_WORDS (sizeof(struct perch_plan) / 8)
#define READ_TRIES 4

/* A plan as the words it is moved by. */
union plan_words {
	struct perch_plan plan;
	__u64 word[PLAN_WORDS];
};

static bool slot_ok(int slot)
{
	return slot >= 0 && slot < PERCH_SLOTS;
}

/* An arm beside the rest: no share, or a slot of its own with room for it. */
static bool arm_ok(const struct split_want *want, int slot, __u32 share)
{
	if (slot < -1 || slot >= PERCH_SLOTS || share > PERCH_SHARE_ALL)
		return false;
	return !share || (slot >= 0 && slot != want->rest && slot != want->fallback);
}

static bool want_ok(const struct split_want *want)
{
	if (!slot_ok(want->rest) || !slot_ok(want->fallback))
		return false;
	if (!arm_ok(want, want->canary, want->canary_share) || !arm_ok(want, want->baseline, want->baseline_share))
		return false;
	if (want->canary_share && want->baseline_share && want->canary == want->baseline)
		return false;
	return want->canary_share + want->baseline_share <= PERCH_SHARE_ALL;
}

int split_plan(const struct split_want *want, struct perch_plan *ret_plan, struct perch_plan *ret_twin)
{
	if (!want_ok(want))
		return -EINVAL;
	*ret_plan = (struct perch_plan){
		.low_end = want->canary_share,
		.high_from = PERCH_SHARE_ALL - want->baseline_share,
		.low = want->canary < 0 ? want->rest : want->canary,
		.high = want->baseline < 0 ? want->rest : want->baseline,
		.rest = want->rest,
		.salt = want->salt,
	};
	*ret_twin = (struct perch_plan){
		.low_end = 0,
		.high_from = PERCH_SHARE_ALL,
		.low = want->fallback,
		.high = want->fallback,
		.rest = want->fallback,
		.salt = want->salt,
	};
	memcpy(ret_plan->role, want->role, sizeof(ret_plan->role));
	memcpy(ret_twin->role, want->fallback_role, sizeof(ret_twin->role));
	return 0;
}

int split_slot(const struct perch_plan *plan, __u32 v)
{
	if (v < plan->low_end)
		return plan->low;
	return v >= plan->high_from ? plan->high : plan->rest;
}

__u32 split_share(const struct perch_plan *plan, int slot)
{
	__u32 share = 0;

	if (slot == plan->low)
		share += plan->low_end;
	if (slot == plan->high)
		share += PERCH_SHARE_ALL - plan->high_from;
	if (slot == plan->rest)
		share += plan->high_from - plan->low_end;
	return share;
}

/* The body of a plan, all but the word with its epoch. */
static void put_body(struct perch_plan *to, const struct perch_plan *plan, __u64 from)
{
	union plan_words *out = (union plan_words *)to, image = { .plan = *plan };

	image.plan.from = from;
	for (unsigned i = 1; i < PLAN_WORDS; i++)
		__atomic_store_n(&out->word[i], image.word[i], __ATOMIC_RELAXED);
}

/* The word with the epoch, after which the plan is whole. */
static void put_epoch(struct perch_plan *to, const struct perch_plan *plan, __u32 epoch)
{
	union plan_words *out = (union plan_words *)to, image = { .plan = *plan };

	image.plan.epoch = epoch;
	__atomic_store_n(&out->word[0], image.word[0], __ATOMIC_RELEASE);
}

/*
 * Fill the pair that `word` will name.  `from` is the word before it; the
 * twin's is `word` itself, because the plan before a rollback is the one that
 * was rolled back, not the one before that.
 */
static void put_pair(struct perch_split *s, __u64 word, __u64 from, const struct perch_plan *plan,
		     const struct perch_plan *twin)
{
	struct perch_plan *even = &s->plan[perch_word_plan(word)], *odd = even + 1;
	__u32 epoch = perch_word_epoch(word);

	/* parity: no word names an even plan with an odd epoch, or the reverse */
	__atomic_store_n(&even->epoch, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&odd->epoch, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	put_body(even, plan, from);
	put_body(odd, twin, word);
	put_epoch(even, plan, epoch);
	put_epoch(odd, twin, epoch | 1);
}

/* The word of the pair after the one that `word` names. */
static __u64 next_word(__u64 word, __u32 flags)
{
	return perch_word(((perch_word_plan(word) | 1) + 1) % PLANS, (perch_word_epoch(word) | 1) + 1, flags);
}

/*
 * The word first, then when it was named.  The other way round, a swap that
 * is refused would leave the time of a plan that never was.  In between, and
 * if the writer dies there, the epoch noted lags and readers take the step
 * for fresh: they ask the previous plan about connections in midstream for
 * longer than they need, which breaks none.
 */
void split_named(struct perch_split *s, __u64 word, __u32 seconds)
{
	__u64 named = (__u64)perch_word_epoch(word) << 32 | seconds;
	__u64 old = __atomic_load_n(&s->named, __ATOMIC_RELAXED);

	do {
		if ((__s32)((__u32)(named >> 32) - (__u32)(old >> 32)) <= 0)
			return;
	} while (!__atomic_compare_exchange_n(&s->named, &old, named, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/*
 * An element that was another service's goes on counting its epochs, so that
 * nothing of the old one is taken for the new one's.  A first plan has no
 * plan before it: it names itself.
 */
void split_init(struct perch_split *s, const struct perch_plan *plan, const struct perch_plan *twin, __u32 flags,
		__u32 seconds)
{
	__u64 word = next_word(split_word(s), flags);

	put_pair(s, word, word, plan, twin);
	__atomic_store_n(&s->word, word, __ATOMIC_SEQ_CST);
	split_named(s, word, seconds);
}

/*
 * Looking first is no optimisation: only next to the word in force is a pair
 * that nobody reads.  With the planner lock held what can still move the word
 * is a rollback, and that stays in its pair.
 */
int split_prepare(struct perch_split *s, __u64 judged, const struct perch_plan *plan, const struct perch_plan *twin,
		  __u32 flags, __u64 *ret_word)
{
	__u64 found = split_word(s);

	*ret_word = found == judged ? next_word(judged, flags) : found;
	if (found != judged)
		return -ESTALE;
	put_pair(s, *ret_word, judged, plan, twin);
	return 0;
}

int split_swap(struct perch_split *s, __u64 judged, __u64 word, __u64 *ret_word)
{
	bool swapped = __atomic_compare_exchange_n(&s->word, &judged, word, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

	*ret_word = swapped ? word : judged;
	return swapped ? 0 : -ESTALE;
}

int split_step(struct perch_split *s, __u64 judged, const struct perch_plan *plan, const struct perch_plan *twin,
	       __u32 flags, __u32 seconds, __u64 *ret_word)
{
	int r = split_prepare(s, judged, plan, twin, flags, ret_word);

	if (!r)
		r = split_swap(s, judged, *ret_word, ret_word);
	if (!r)
		split_named(s, *ret_word, seconds);
	return r;
}

__u64 split_rollback(struct perch_split *s, __u32 flags)
{
	return __atomic_fetch_or(&s->word, PERCH_WORD_TWIN | perch_word(0, 0, flags | PERCH_ROLLED_BACK),
				 __ATOMIC_SEQ_CST);
}

int split_flags(struct perch_split *s, __u64 judged, __u32 set, __u32 clear, __u64 *ret_word)
{
	return split_swap(s, judged, (judged & ~perch_word(0, 0, clear)) | perch_word(0, 0, set), ret_word);
}

__u64 split_word(const struct perch_split *s)
{
	return __atomic_load_n(&s->word, __ATOMIC_ACQUIRE);
}

/* Copy plan `from` if it has the epoch before and after. */
static bool copy_plan(const struct perch_plan *from, __u32 epoch, union plan_words *ret)
{
	const union plan_words *in = (const union plan_words *)from;

	if (__atomic_load_n(&from->epoch, __ATOMIC_ACQUIRE) != epoch)
		return false;
	for (unsigned i = 0; i < PLAN_WORDS; i++)
		ret->word[i] = __atomic_load_n(&in->word[i], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&from->epoch, __ATOMIC_RELAXED) == epoch;
}

int split_read(const struct perch_split *s, __u64 *ret_word, struct perch_plan *ret_plan)
{
	union plan_words copy;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		__u64 word = split_word(s);

		if (copy_plan(&s->plan[perch_word_plan(word) % PLANS], perch_word_epoch(word), &copy)) {
			*ret_word = word;
			*ret_plan = copy.plan;
			return 0;
		}
	}
	return -EAGAIN;
}
