/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One number of many compared metrics: a group's score is the percentage of
 * its metrics with data that passed, and the summary is the groups' mean by
 * weight; groups without a weight share what is left of 100.
 */
#ifndef PERCH_CORE_JUDGE_SCORE_H
#define PERCH_CORE_JUDGE_SCORE_H

#include "mannwhitney.h"

struct score_metric {
	const char *group;
	enum mannwhitney_class class;
	bool critical;		/* anything but Pass makes the summary 0 */
};

#define SCORE_GROUPS 32

struct score_group {
	const char *name;
	double weight;		/* percent; NAN: its part of what is left */
	unsigned pass, bad;	/* metrics; those without data count in neither */
	double score;		/* 0..100; NAN: no metric has data */
};

struct score {
	double summary;		/* 0..100, two decimals */
	const char *why;	/* why it is 0 without being so; "" else */
};

/*
 * groups[0..*n_groups) may have names and weights beforehand; others are
 * added.  0, -EINVAL: weights over 100 or below 0, -E2BIG: too many groups.
 */
int score_metrics(const struct score_metric *metrics, size_t n, struct score_group groups[SCORE_GROUPS],
		  size_t *n_groups, struct score *ret);
const char *score_class(double summary, double pass, double marginal);	/* "Pass", "Marginal", "Fail" */

#endif
