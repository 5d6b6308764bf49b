/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Gates that look at what others measured.  A value outside min and max is a
 * failure, and `threshold` of them (in a row, or in all) fail the gate; a
 * value that is missing, late or no number is neither.  With `compare` the
 * canary's values of a step are held against the baseline's by one
 * Mann-Whitney test at its end, and the tests of all such gates make one
 * score.  None of it is under the rollout's alpha.
 */
#ifndef PERCH_CORE_JUDGE_OUTSIDE_H
#define PERCH_CORE_JUDGE_OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "../model.h"
#include "mannwhitney.h"

#define OUTSIDE_VALUES 512	/* of a series: the newest */
#define OUTSIDE_WHY 128
#define OUTSIDE_NAME PERCH_NAME_LEN

enum outside_verdict { OUTSIDE_INCONCLUSIVE, OUTSIDE_PASS, OUTSIDE_FAIL };
const char *outside_verdict_name(enum outside_verdict v);	/* "pass" */

struct outside_series {
	size_t n;		/* values ever added */
	double value[OUTSIDE_VALUES];
};

/* What a gate knows of the rollout that is under way. */
struct outside_state {
	__u64 started;		/* the rollout's; another one begins anew */
	__u32 step;
	bool watching;
	bool begun;
	__u64 due;		/* ns: next check */
	__u64 seen;		/* ns: when the last value was measured, 0: none yet */
	double value, baseline;	/* the last ones, NAN: none */
	unsigned failures, checks;	/* that counted */
	char trouble[OUTSIDE_WHY];	/* why there is no value, "" */
	struct outside_series of_canary, of_baseline;	/* compare */
	bool looked;		/* compare: at the end of this step */
	struct mannwhitney_result test;
};

/* Where the rollout is. */
struct outside_now {
	__u64 now, started, step_since;	/* ns */
	__u32 step;
	bool watching;
	bool step_over;		/* the step had its time */
};

/* Before anything else, at every look: a new rollout forgets all, a new step
 * the series and what made it hold. */
void outside_begin(struct outside_state *st, const struct model_outside *gate, const struct outside_now *t);
/* Is a check due?  Then the next one is put off. */
bool outside_due(struct outside_state *st, const struct model_outside *gate, const struct outside_now *t);
/* A value that was measured at `at`; NAN: none, and only compare keeps that. */
void outside_value(struct outside_state *st, const struct model_outside *gate, __u64 at, double value);
void outside_pair(struct outside_state *st, __u64 at, double canary, double baseline);
/* There is no value, and this is why. */
void outside_trouble(struct outside_state *st, const char *why);

enum outside_verdict outside_verdict(const struct outside_state *st, const struct model_outside *gate,
				     const struct outside_now *t);

enum outside_action { OUTSIDE_GO_ON, OUTSIDE_WAIT, OUTSIDE_HOLD, OUTSIDE_ROLL_BACK };
struct outside_ruling {
	enum outside_action action;
	char why[OUTSIDE_WHY];	/* "" with GO_ON */
	double score;		/* of the comparisons; NAN: none were made */
};

/* What all gates of the policy say together: st has an element for each, NULL
 * for one that a person left out. */
void outside_rule(const struct model_rollout *policy, struct outside_state *const *st, const struct outside_now *t,
		  struct outside_ruling *ret);

#endif
