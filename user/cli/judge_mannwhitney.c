// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch judge mannwhitney: has a metric of the canary shifted against the
 * baseline's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/judge/mannwhitney.h"
#include "judge.h"

/* One of the names, in the order of the enum; -1: said. */
static int choice(const struct cli *cli, const char *key, const char *text, const char *const *names)
{
	char all[128] = "";

	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
		text_append(all, sizeof(all), "%s%s", i ? ", " : "", names[i]);
	}
	cli_usage(cli, "%s '%s' is none of %s", key, text, all);
	return -1;
}

static void value_set(json_t *doc, const char *key, double x)
{
	json_object_set_new(doc, key, judge_number(x));
}

static void line(const char *what, const json_t *doc, const char *key)
{
	double x = field_number(doc, key);

	if (!isnan(x))
		printf("%s %.7g", what, x);
}

static void result_text(const json_t *doc)
{
	printf("%s: %s\n", field_line(doc, "classification"), field_line(doc, "why"));
	line("shift", doc, "estimate");
	line(", from", doc, "lower");
	line(" to", doc, "upper");
	line("; effect", doc, "effect");
	if (!isnan(field_number(doc, "estimate")))
		putchar('\n');
}

static int compare(const struct cli *cli, const struct mannwhitney_policy *policy, const char *files[2])
{
	struct mannwhitney_result r;
	double *v[2] = { NULL, NULL };
	size_t n[2] = { 0, 0 };
	int ret = judge_values(cli, files[0], &v[0], &n[0]);

	ret = ret ?: judge_values(cli, files[1], &v[1], &n[1]);
	if (!ret && mannwhitney_judge(policy, v[0], n[0], v[1], n[1], &r))
		ret = cli_error(cli, "out of memory");
	if (!ret) {
		json_t *doc = json_pack("{s:s,s:s}", "classification", mannwhitney_class_name(r.class), "why", r.why);

		value_set(doc, "lower", r.lower);
		value_set(doc, "upper", r.upper);
		value_set(doc, "estimate", r.estimate);
		value_set(doc, "effect", r.effect);
		ret = cli_print(cli, doc, result_text);
	}
	free(v[0]);
	free(v[1]);
	return ret;
}

/* What the words say beyond numbers. */
static int kinds_read(const struct cli *cli, struct mannwhitney_policy *policy, const char *direction, const char *effect,
		      const char *nan, const char *outliers)
{
	static const char *const directions[] = { "either", "increase", "decrease", NULL };
	static const char *const effects[] = { "meanRatio", "cles", NULL };
	static const char *const nans[] = { "remove", "replace", NULL };
	static const char *const outlier_ways[] = { "keep", "remove", NULL };
	int e = effect ? choice(cli, "effect", effect, effects) : MANNWHITNEY_MEAN_RATIO, d, na, o;

	if (e < 0)
		return CLI_USAGE;
	*policy = mannwhitney_policy_of(e);
	d = direction ? choice(cli, "direction", direction, directions) : MANNWHITNEY_EITHER;
	na = d < 0 ? -1 : nan ? choice(cli, "nan", nan, nans) : 0;
	o = na < 0 ? -1 : outliers ? choice(cli, "outliers", outliers, outlier_ways) : 0;
	if (o < 0)
		return CLI_USAGE;
	policy->direction = d;
	policy->nan_is_zero = na;
	policy->outliers_go = o;
	return 0;
}

int judge_mannwhitney(struct cli *cli, int argc, char **argv)
{
	const char *files[2] = { NULL, NULL }, *direction = NULL, *tolerance = NULL, *confidence = NULL, *effect = NULL;
	const char *increase = NULL, *decrease = NULL, *nan = NULL, *outliers = NULL;
	const struct word words[] = {
		WORD_NEEDED("baseline", "BASELINE_FILE", &files[0]), WORD_NEEDED("canary", "CANARY_FILE", &files[1]),
		WORD("direction", "either|increase|decrease", &direction), WORD("tolerance", "T", &tolerance),
		WORD("confidence", "C", &confidence), WORD("effect", "meanRatio|cles", &effect),
		WORD("increase", "EFFECT", &increase), WORD("decrease", "EFFECT", &decrease),
		WORD("nan", "remove|replace", &nan), WORD("outliers", "keep|remove", &outliers), {}
	};
	struct mannwhitney_policy policy;
	int ret;

	ret = words_read(cli, argc, argv, words);
	ret = ret ?: kinds_read(cli, &policy, direction, effect, nan, outliers);
	ret = ret ?: judge_real(cli, "tolerance", tolerance, -1e-9, 100, &policy.tolerance);
	ret = ret ?: judge_real(cli, "confidence", confidence, 0, 1, &policy.confidence);
	ret = ret ?: judge_real(cli, "increase", increase, -1e-9, 1e6, &policy.increase);
	ret = ret ?: judge_real(cli, "decrease", decrease, -1e-9, 1e6, &policy.decrease);
	return ret ?: compare(cli, &policy, files);
}
