// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The heartbeat, and who is armed. */
#include "deadman.h"

#include "../../core/split.h"
#include "../clock.h"
#include "rollback.h"

#define PHASE_FLAGS (PERCH_ARMED | PERCH_PAUSED)

void deadman_beat(struct agent *a)
{
	__atomic_store_n(&a->datapath.maps.control->heartbeat, clock_now(), __ATOMIC_RELEASE);
}

void deadman_set(struct agent *a)
{
	/* never with a heart that beat long ago */
	deadman_beat(a);
	__atomic_store_n(&a->datapath.maps.control->deadman, a->config->agent.deadman, __ATOMIC_RELEASE);
}

__u32 deadman_flags(const struct service *s)
{
	if (s->model && s->model->rollout.observe)
		return 0;
	switch (s->keep.rollout.phase) {
	case ROLLOUT_PROGRESSING:
	case ROLLOUT_WATCHING:
		return PERCH_ARMED;
	case ROLLOUT_PAUSED:
		return PERCH_PAUSED;
	default:
		return 0;
	}
}

/* 0, or -ESTALE and the word is as it was found. */
static int flags_set(struct agent *a, struct service *s, __u32 want)
{
	__u64 word;

	if ((perch_word_flags(s->word) & PHASE_FLAGS) == want)
		return 0;
	if (split_flags(&a->datapath.maps.splits[s->id], s->word, want, PHASE_FLAGS & ~want, &word))
		return -ESTALE;
	s->word = word;
	return 0;
}

void deadman_follow(struct agent *a, struct service *s)
{
	if (s->placed && flags_set(a, s, deadman_flags(s)))
		rollback_notice(a, s);
}

void deadman_disarm(struct agent *a)
{
	for (struct service *s = a->services; s; s = s->next) {
		__u32 flags = deadman_flags(s) & ~PERCH_ARMED;

		/* the dead-man or another hand was first: take that in, then leave */
		if (s->placed && flags_set(a, s, flags)) {
			rollback_notice(a, s);
			flags_set(a, s, deadman_flags(s) & ~PERCH_ARMED);
		}
	}
}
