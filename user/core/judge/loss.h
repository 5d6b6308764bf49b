/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The loss rule: may the canary go on?  Not "nothing was found" but "what it
 * may lose at the next step is bounded": the canary's share of bad votes is
 * below stable's by less than delta, or it is refuted that the canary is
 * maxRatio times worse.  A canary, stationary within the step, that would
 * lose more goes on with probability at most beta, per gate and step.
 */
#ifndef PERCH_CORE_JUDGE_LOSS_H
#define PERCH_CORE_JUDGE_LOSS_H

#include <stdbool.h>
#include <linux/types.h>

struct loss_counts {
	__u64 bad, n;		/* decided votes of one arm in this step */
};

/* What may be lost of all connections: H = max(share, per_hour / (3600 rate)),
 * rate in connections a second (0: share alone). */
double loss_allowed(double share, double per_hour, double rate);
/* delta = min(1/2, H / w), w the share of the next step. */
double loss_delta(double allowed, double next_share);

/* Upper bound of the canary's share of bad votes, valid at any time with
 * probability 1 - level; tight near delta. */
double loss_upper(struct loss_counts canary, double delta, double level);
/* Lower bound of stable's. */
double loss_lower(struct loss_counts stable, double level);
/* ln E against "the risk ratio is at least ratio", of bad votes at share w;
 * votes of epochs with other shares are added up. */
#define LOSS_ALTERNATIVES 7
struct loss_bet {
	double log_ratio[LOSS_ALTERNATIVES];
};
void loss_votes(struct loss_bet *b, double w, double ratio, __u64 canary, __u64 stable);
double loss_log_e(const struct loss_bet *b);

struct loss_verdict {
	double upper, lower, delta;
	double log_e;		/* of (b) */
	bool safe;
};
/* (a) upper - lower < delta, at levels .4 beta and .1 beta; (b) E >= 2/beta. */
struct loss_verdict loss_judge(struct loss_counts canary, struct loss_counts stable, double delta, double beta,
			       const struct loss_bet *bet);
/* How many more canary connections (a) takes if all goes on as it did; NAN:
 * it would not be reached. */
double loss_more(struct loss_counts canary, struct loss_counts stable, double delta, double beta);

#endif
