/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One number of many compared metrics. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "score.h"

static struct score_group *group_of(struct score_group *groups, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	if (*n == SCORE_GROUPS)
		return NULL;
	groups[*n] = (struct score_group){ .name = name, .weight = NAN };
	return &groups[(*n)++];
}

/* Every group gets a weight; together 100. */
static int weights_share(struct score_group *groups, size_t n)
{
	double left = 100;
	size_t without = 0;

	for (size_t i = 0; i < n; i++) {
		if (isnan(groups[i].weight))
			without++;
		else if (groups[i].weight < 0)
			return -EINVAL;
		else
			left -= groups[i].weight;
	}
	if (left < -1e-9)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (isnan(groups[i].weight))
			groups[i].weight = left / (double)without;
	return 0;
}

static double summary_of(struct score_group *groups, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		struct score_group *g = &groups[i];

		g->score = g->pass + g->bad ? 100.0 * g->pass / (g->pass + g->bad) : NAN;
		/* what was not measured speaks against nobody */
		sum += (isnan(g->score) ? 100 : g->score) * g->weight / 100;
	}
	return round(sum * 100) / 100;
}

int score_metrics(const struct score_metric *metrics, size_t n, struct score_group groups[SCORE_GROUPS],
		  size_t *n_groups, struct score *ret)
{
	size_t silent = 0;
	bool critical = false;
	int err;

	for (size_t i = 0; i < n; i++) {
		struct score_group *g = group_of(groups, n_groups, metrics[i].group);

		if (!g)
			return -E2BIG;
		if (metrics[i].class == MANNWHITNEY_NODATA)
			silent++;
		else if (metrics[i].class == MANNWHITNEY_PASS)
			g->pass++;
		else
			g->bad++;
		critical = critical || (metrics[i].critical && metrics[i].class != MANNWHITNEY_PASS);
	}
	err = weights_share(groups, *n_groups);
	if (err)
		return err;
	*ret = (struct score){ summary_of(groups, *n_groups), "" };
	if (critical)
		*ret = (struct score){ 0, "a critical metric did not pass" };
	else if (2 * silent >= n)
		*ret = (struct score){ 0, "half of the metrics or more have no data" };
	return 0;
}

const char *score_class(double summary, double pass, double marginal)
{
	return summary >= pass ? "Pass" : summary >= marginal ? "Marginal" : "Fail";
}
