/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a policy would have a healthy canary go through: the stages that the
 * rollout machine takes, told before it does.
 */
#ifndef PERCH_CORE_ROLLOUT_PLAN_H
#define PERCH_CORE_ROLLOUT_PLAN_H

#include <stdbool.h>

#include "model.h"

#define ROLLOUT_STAGES (MODEL_STEPS + 1)	/* the watch may be one of its own */

struct rollout_stage {
	__u32 step;		/* index into the policy's steps */
	__u32 share;		/* of the canary, 0.01 % */
	__u64 time;		/* ns that it takes at least */
	__u64 connections;	/* of the canary that it takes at least */
	bool watching;
	bool manual;		/* then it waits for a person */
};

/* How many stages; what comes after the last is the promotion. */
unsigned rollout_plan(const struct model_rollout *policy, struct rollout_stage stage[ROLLOUT_STAGES]);

#endif
