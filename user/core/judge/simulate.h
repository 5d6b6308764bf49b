/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rollouts in virtual time: connections arrive, some go bad, and the trial
 * (trial.h) judges them each second as it would judge real ones.  For the
 * figures of docs/judge.md, and to try a policy before it is used.
 *
 * Traffic is drawn at a rate, or is what was recorded of a service: which
 * connections came and went bad is then given, and the versions that they go
 * to are drawn anew by the share of each step.  What the recorded traffic
 * would have done at another version nobody knows: canary and stable are
 * equal, but for the regression that is put in.
 */
#ifndef PERCH_CORE_JUDGE_SIMULATE_H
#define PERCH_CORE_JUDGE_SIMULATE_H

#include <stddef.h>

#include "random.h"
#include "trial.h"

#define SIMULATE_STEPS 32

/* What was recorded of some seconds: connections, and how many went bad. */
struct simulate_tick {
	__u64 seconds, n, bad;
};

struct simulate_case {
	double rate;		/* connections a second, Poisson */
	double bad;		/* stable's share of bad connections */
	const struct simulate_tick *recorded;	/* instead; NULL: none.  Over, it begins again */
	size_t n_recorded;
	double ratio, points;	/* the canary's: bad * ratio + points, */
	double from;		/* from this second of the rollout on */
	double step[SIMULATE_STEPS];	/* shares, 0..1; the last may be 1 */
	unsigned n_steps;
	double interval;	/* seconds a step takes at least */
	double min_connections;	/* the canary's, in a step */
	bool by_time;		/* steps end by interval alone: no loss rule */
	double max_loss, max_loss_per_hour;
	double most;		/* seconds, after which the run is left open */
	struct trial_policy policy;	/* only the gate for connect failures sees votes */
};
/* Steps 1, 5, 10, 25, 50, 100 and the defaults of perch.yaml(5). */
struct simulate_case simulate_defaults(void);

enum simulate_end { SIMULATE_OPEN, SIMULATE_SUCCEEDED, SIMULATE_ROLLED_BACK };
struct simulate_result {
	enum simulate_end end;
	double seconds;
	double excess;		/* bad connections of the canary beyond stable's share */
	double held;		/* seconds that steps lasted beyond the interval */
	unsigned step;		/* reached */
};

void simulate_rollout(const struct simulate_case *c, struct random *r, struct simulate_result *ret);

struct simulate_summary {
	unsigned runs, succeeded, rolled_back;
	double succeeded_seconds, rolled_back_seconds;	/* medians; NAN: none */
	double excess;		/* median over those rolled back; NAN: none */
	double held;		/* median over all */
};
/* runs of the case, from one seed.  0 or -ENOMEM. */
int simulate_runs(const struct simulate_case *c, unsigned runs, __u64 seed, struct simulate_summary *ret);

#endif
