// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel's side of the race for the split word: reads plans with the
 * datapath's own code and rolls back now and then, as the reflex does, while
 * user space steps and rolls back.  Every copy of a plan is checked.
 *
 * The racer fills salt and more[] of both plans of a step with one number, so
 * that a copy of two halves shows; an even plan gives the canary everything,
 * its twin nothing.
 */
#include "common.h"

static __u64 sink;

static long spin(u32 i, u64 *x)
{
	*x += i;
	return 0;
}

/* Where a reader orders its accesses it is held up now and then, so that the
 * ring moves on under it. */
static __always_inline void delay(void)
{
	u32 random = bpf_get_prandom_u32();
	u64 x = 0;

	if (!(random & 63))
		bpf_loop(random >> 8 & 4095, spin, &x, 0);
	sink = x;
	asm volatile("" ::: "memory");
}

#undef barrier
#define barrier() delay()

#include "rollback.h"

#define CHOICES (1u << 20)
#define STABLE 0
#define CANARY 1

/* epoch of the last rollback that user space had finished */
__u64 user_rollback;
__u64 choices, canaries, exhausted, torn, wrong_plan, after_rollback, step_was_blind;
__u64 rollbacks, rollbacks_first;
/* one choice in so many is followed by a rollback */
const volatile __u32 rollback_every = 2;

static __u64 own_rollback;
static __always_inline void check(const struct perch_plan *plan, u32 epoch, u32 slot, u32 rolled_back)
{
	if (plan->salt != plan->more[0] || plan->salt != plan->more[1] || plan->salt != plan->more[2])
		torn++;
	if (plan->epoch != epoch || slot != (epoch & 1 ? STABLE : CANARY))
		wrong_plan++;
	if (slot != CANARY)
		return;
	canaries++;
	if ((s32)(rolled_back - epoch) >= 0)
		after_rollback++;
	/* the step right after that rollback must have been made from it */
	if (rolled_back == epoch - 1 && perch_word_epoch(plan->from) != rolled_back)
		step_was_blind++;
}

static __always_inline void roll_back(struct perch_split *s)
{
	u64 before = rollback_write(s, PERCH_BY_REFLEX);

	own_rollback = perch_word_epoch(before) | 1;
	rollbacks++;
	if (!(before & PERCH_WORD_TWIN))
		rollbacks_first++;
}

static long choose(u32 i, void *unused)
{
	struct perch_split *s = element(splits, 0);
	u64 rolled_back = READ(user_rollback);
	struct plan_now now = {};
	u32 slot;

	if (!s)
		return 1;
	if (own_rollback > rolled_back)
		rolled_back = own_rollback;
	barrier();
	choices++;
	if (plan_read(0, &now)) {
		slot = plan_slot(&now.plan, bpf_get_prandom_u32() % PERCH_SHARE_ALL);
		check(&now.plan, perch_word_epoch(now.word), slot, rolled_back);
	} else {
		exhausted++;
		slot = plan_slot(&now.plan, bpf_get_prandom_u32() % PERCH_SHARE_ALL);
		after_rollback += slot != STABLE;
	}
	if (bpf_get_prandom_u32() % rollback_every == 0)
		roll_back(s);
	return 0;
}

SEC("xdp")
int race(struct xdp_md *ctx)
{
	bpf_loop(CHOICES, choose, NULL, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
