/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A world in virtual time around the rollout machine: it carries out what the
 * machine asks for as the agent would, and brings connections at a rate.
 */
#ifndef TEST_CORE_WORLD_H
#define TEST_CORE_WORLD_H

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/rollout.h"

#define SECOND 1000000000ull
#define TICK (SECOND / 10)

struct world {
	struct rollout r;
	struct model_rollout policy;
	struct rollout_input in;
	struct rollout_output out;
	__u64 rate;		/* voting canary connections per second */
	__u64 failures;		/* of these */
	bool refuse;		/* every step finds that the word has moved */
	__u32 word_share;	/* what the kernel does */
	unsigned steps, promotions, rollbacks;
};

static inline struct world world_make(void)
{
	return (struct world){
		.policy = {
			.step = { { .share = 500 }, { .share = 2500 }, { .share = 5000 }, { .share = 10000 } },
			.n_steps = 4, .interval = 60 * SECOND, .min_connections = 30,
			.max_step_time = 1800 * SECOND, .progress_deadline = 86400 * SECOND,
			.alpha = 0.01, .n_gates = 1,
			.gate = { { .name = "connect_failure", .signal = MODEL_CONNECT_FAILURE, .max = 0.02 } },
		},
		.in = { .now = 1000 * SECOND, .epoch = 6, .canary_live = 2, .stable_live = 2 },
		.rate = 10,
	};
}

/* What the agent does with an answer. */
static inline void world_obey(struct world *w)
{
	switch (w->out.action) {
	case ROLLOUT_NOTHING:
		break;
	case ROLLOUT_SET_SHARE:
		assert_true(w->out.changed || w->refuse || w->r.pending);
		assert_int_equal(w->out.share, w->r.share);
		if (w->refuse)
			break;
		w->in.epoch = (w->in.epoch | 1) + 1;
		w->in.rolled_back = false;
		w->in.step_connections = 0;
		w->word_share = w->out.share;
		w->steps++;
		rollout_stepped(&w->r, w->in.epoch, w->in.now);
		break;
	case ROLLOUT_PROMOTE:
		assert_true(w->out.changed);
		w->in.epoch = (w->in.epoch | 1) + 1;
		w->word_share = PERCH_SHARE_ALL;
		w->promotions++;
		rollout_stepped(&w->r, w->in.epoch, w->in.now);
		break;
	case ROLLOUT_ROLL_BACK:
		assert_true(w->out.changed);
		w->in.epoch |= 1;
		w->in.rolled_back = true;
		w->word_share = 0;
		w->rollbacks++;
	}
}

static inline void world_tick(struct world *w)
{
	rollout_tick(&w->r, &w->policy, &w->in, &w->out);
	world_obey(w);
	assert_true(rollout_valid(&w->r));
}

/* Time passes, a tick every 100 ms, connections at their rate. */
static inline void world_run(struct world *w, double seconds)
{
	__u64 end = w->in.now + (__u64)(seconds * SECOND);

	while (w->in.now < end) {
		__u64 second = w->in.now / SECOND;

		w->in.now += TICK;
		if (w->in.now / SECOND != second && w->word_share) {
			w->in.step_connections += w->rate;
			w->in.canary.connects += w->rate;
			w->in.canary.connect_failures += w->failures;
		}
		world_tick(w);
	}
}

static inline void world_start(struct world *w)
{
	assert_int_equal(rollout_start(&w->r, &w->policy, "v2", &w->in, &w->out), 0);
	world_obey(w);
}

static inline struct world world_at_second_step(void)
{
	struct world w = world_make();

	world_start(&w);
	world_run(&w, 61);
	assert_int_equal(w.word_share, 2500);
	return w;
}

#define assert_phase(w, p)                                                     \
	assert_string_equal(rollout_phase_name((w)->r.phase), rollout_phase_name(ROLLOUT_##p))

#endif
