/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Two series of one metric compared, canary against baseline: has the canary's
 * shifted?  Mann-Whitney's test as an interval of the shift (Hodges &
 * Lehmann), with continuity and tie corrections, beside how large the effect
 * is.  One look at a fixed time: no bound holds if it is repeated, nor if the
 * series are autocorrelated.  Semantics as in automated canary analysis at
 * Netflix; where that draws noise for two constant series, the shift is exact.
 */
#ifndef PERCH_CORE_JUDGE_MANNWHITNEY_H
#define PERCH_CORE_JUDGE_MANNWHITNEY_H

#include <stdbool.h>
#include <stddef.h>

enum mannwhitney_class { MANNWHITNEY_PASS, MANNWHITNEY_HIGH, MANNWHITNEY_LOW, MANNWHITNEY_NODATA };
const char *mannwhitney_class_name(enum mannwhitney_class c);	/* "Pass" */

enum mannwhitney_direction { MANNWHITNEY_EITHER, MANNWHITNEY_INCREASE, MANNWHITNEY_DECREASE };
enum mannwhitney_effect { MANNWHITNEY_MEAN_RATIO, MANNWHITNEY_CLES };

struct mannwhitney_policy {
	double tolerance;	/* shifts of less than this share of the estimate are none */
	double confidence;	/* of the interval, 0..1 */
	enum mannwhitney_direction direction;	/* which shifts are bad */
	enum mannwhitney_effect effect;
	double increase, decrease;	/* an effect at least, at most this large counts */
	bool nan_is_zero;	/* values that are none: 0 instead of left out */
	bool outliers_go;	/* beyond the fences: left out */
	double outlier_factor;	/* times the interquartile range */
};
/* tolerance .25, confidence .98, either, meanRatio of 1, factor 3. */
struct mannwhitney_policy mannwhitney_policy_of(enum mannwhitney_effect effect);

struct mannwhitney_result {
	enum mannwhitney_class class;
	double lower, upper, estimate;	/* of canary - baseline; NAN without a test */
	double effect;		/* NAN: none */
	const char *why;	/* a sentence */
};

/* Neither series is changed.  0 or -ENOMEM. */
int mannwhitney_judge(const struct mannwhitney_policy *policy, const double *baseline, size_t n_baseline,
		      const double *canary, size_t n_canary, struct mannwhitney_result *ret);

/* The statistic's z for the shift mu; both sorted ascending. */
double mannwhitney_z(const double *canary, size_t m, const double *baseline, size_t n, double mu);
/* The p-quantile (0..1) of sorted values, R's type 7. */
double mannwhitney_percentile(const double *sorted, size_t n, double p);
/* How many of the sorted values are within the fences; *ret_first is where
 * they begin.  wide: the fences are no narrower than p1 and p99. */
size_t mannwhitney_fences(const double *sorted, size_t n, double factor, bool wide, size_t *ret_first);
/* The mean of the canary over the baseline's, NAN when either is 0; or the
 * chance that a value of the canary is larger (1/2: none).  Both sorted. */
double mannwhitney_effect_of(enum mannwhitney_effect effect, const double *canary, size_t m, const double *baseline, size_t n);

#endif
