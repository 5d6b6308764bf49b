// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch judge score: one number of metrics that were compared. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/judge/score.h"
#include "judge.h"

#define PASS 95.0
#define MARGINAL 75.0
#define METRICS 1024

static void score_text(const json_t *doc)
{
	struct table *t = table_new("", "group", ">weight", ">score");
	const json_t *g;
	size_t i;

	printf("%s: %.2f%s%s\n", field_line(doc, "classification"), field_number(doc, "score"),
	       field_is(doc, "why") ? ", " : "", field_is(doc, "why") ? field_line(doc, "why") : "");
	json_array_foreach(field_list(doc, "groups"), i, g) {
		table_text(t, g, "name");
		table_cell(t, "%.2f", field_number(g, "weight"));
		if (isnan(field_number(g, "score")))
			table_cell(t, "no data");
		else
			table_cell(t, "%.2f", field_number(g, "score"));
	}
	table_print(t);
}

static int metric_read(const struct cli *cli, const char *file, size_t i, const json_t *m, struct score_metric *ret)
{
	const char *class = json_string_value(json_object_get(m, "classification"));
	const char *group = json_string_value(json_object_get(m, "group"));
	enum mannwhitney_class c = MANNWHITNEY_PASS;

	if (!class)
		return cli_error(cli, "%s: metrics[%zu].classification is missing: Pass, High, Low or Nodata", file, i);
	while (c <= MANNWHITNEY_NODATA && strcmp(mannwhitney_class_name(c), class) != 0)
		c++;
	if (c > MANNWHITNEY_NODATA)
		return cli_error(cli, "%s: metrics[%zu].classification '%s' is none of Pass, High, Low, Nodata", file, i, class);
	*ret = (struct score_metric){ group ?: "", c, json_is_true(json_object_get(m, "critical")) };
	return 0;
}

/* "groups": {"latency": 60}: weights. */
static int weights_read(const struct cli *cli, const char *file, const json_t *doc, struct score_group *groups, size_t *n)
{
	json_t *weights = json_object_get(doc, "groups"), *weight;
	const char *name;

	json_object_foreach(weights, name, weight) {
		if (!json_is_number(weight))
			return cli_error(cli, "%s: groups.%s is not a weight: a number from 0 to 100", file, name);
		if (*n == SCORE_GROUPS)
			return cli_error(cli, "%s: more than %d groups", file, SCORE_GROUPS);
		groups[(*n)++] = (struct score_group){ .name = name, .weight = json_number_value(weight) };
	}
	return 0;
}

static json_t *score_doc(const struct score *s, const struct score_group *groups, size_t n, double pass, double marginal)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s,s:f,s:o}", "name", groups[i].name, "weight", groups[i].weight,
						      "score", judge_number(groups[i].score)));
	return json_pack("{s:f,s:s,s:s?,s:o}", "score", s->summary, "classification", score_class(s->summary, pass, marginal),
			 "why", *s->why ? s->why : NULL, "groups", list);
}

static int score(const struct cli *cli, const char *file, const json_t *doc, double pass, double marginal)
{
	struct score_group groups[SCORE_GROUPS];
	struct score_metric *metrics;
	const json_t *list = json_object_get(doc, "metrics"), *m;
	struct score s;
	size_t i, n = json_array_size(list), n_groups = 0;
	int ret = weights_read(cli, file, doc, groups, &n_groups);

	if (!ret && (!n || n > METRICS))
		ret = cli_error(cli, "%s: metrics: a list of 1 to %d is needed: [{\"name\": …, \"classification\": \"Pass\", "
				"\"group\": …}]", file, METRICS);
	metrics = ret ? NULL : calloc(n + 1, sizeof(*metrics));
	if (!ret && !metrics)
		ret = cli_error(cli, "out of memory");
	if (metrics)
		json_array_foreach(list, i, m)
			ret = ret ?: metric_read(cli, file, i, m, &metrics[i]);
	if (!ret) {
		int err = score_metrics(metrics, n, groups, &n_groups, &s);

		ret = err == -EINVAL ? cli_error(cli, "%s: groups: weights are from 0 to 100 and together at most 100", file) :
		      err ? cli_error(cli, "%s: more than %d groups", file, SCORE_GROUPS) :
			    cli_print(cli, score_doc(&s, groups, n_groups, pass, marginal), score_text);
	}
	free(metrics);
	return ret;
}

int judge_score(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL, *p = NULL, *m = NULL;
	const struct word words[] = { WORD_NEEDED("file", "FILE", &file), WORD("pass", "P", &p), WORD("marginal", "M", &m), {} };
	double pass = PASS, marginal = MARGINAL;
	json_error_t error;
	json_t *doc;
	FILE *in;
	int ret;

	ret = words_read(cli, argc, argv, words);
	ret = ret ?: judge_real(cli, "pass", p, -1e-9, 100.001, &pass);
	ret = ret ?: judge_real(cli, "marginal", m, -1e-9, 100.001, &marginal);
	if (!ret && marginal > pass)
		ret = cli_usage(cli, "marginal %g is above pass %g", marginal, pass);
	if (ret)
		return ret;
	in = judge_open(cli, file);
	if (!in)
		return CLI_FAILED;
	doc = json_loadf(in, JSON_REJECT_DUPLICATES, &error);
	judge_close(in);
	if (!doc)
		return cli_error(cli, "%s:%d: %s", file, error.line, error.text);
	ret = score(cli, file, doc, pass, marginal);
	json_decref(doc);
	return ret;
}
