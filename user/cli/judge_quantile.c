// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch judge quantile: do two samples have the same quantile. */
#include <math.h>
#include <stdlib.h>

#include "../core/judge/band.h"
#include "judge.h"

#define QUANTILE 0.99
#define ALPHA 0.01
#define SHARPEST 1000		/* values, at which the test is made to be sharpest */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorted, without those that are no number. */
static size_t tidy(double *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(v[i]))
			v[kept++] = v[i];
	if (kept)
		qsort(v, kept, sizeof(*v), by_value);
	return kept;
}

static json_t *arm_doc(const double *v, size_t n, double q, double alpha)
{
	double radius = band_radius((double)n, 1, alpha);
	double low = floor((q - radius) * (double)n), high = ceil((q + radius) * (double)n);
	size_t at = (size_t)ceil(q * (double)n);

	return json_pack("{s:I,s:f,s:o,s:o,s:f}", "n", (json_int_t)n, "quantile", v[at ? at - 1 : 0],
			 "low", low >= 1 ? json_real(v[(size_t)low - 1]) : json_null(),
			 "high", high <= (double)n ? json_real(v[high >= 1 ? (size_t)high - 1 : 0]) : json_null(),
			 "radius", radius);
}

static void arm_text(const char *name, const json_t *arm)
{
	double low = field_number(arm, "low"), high = field_number(arm, "high");
	char from[TEXT_NUMBER] = "-", to[TEXT_NUMBER] = "-";

	if (!isnan(low))
		snprintf(from, sizeof(from), "%.7g", low);
	if (!isnan(high))
		snprintf(to, sizeof(to), "%.7g", high);
	printf("%-6s %.7g of %.0f values, band %s to %s\n", name, field_number(arm, "quantile"), field_number(arm, "n"),
	       from, to);
}

static void quantile_text(const json_t *doc)
{
	arm_text("stable", json_object_get(doc, "stable"));
	arm_text("canary", json_object_get(doc, "canary"));
	printf("p %.6g: %s\n", field_number(doc, "p"), field_line(doc, "verdict"));
}

static int compare(const struct cli *cli, const char *files[2], double q, double alpha, double at)
{
	double *v[2] = { NULL, NULL }, p;
	size_t n[2] = { 0, 0 };
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++) {
		ret = judge_values(cli, files[i], &v[i], &n[i]);
		n[i] = ret ? 0 : tidy(v[i], n[i]);
		if (!ret && !n[i])
			ret = cli_error(cli, "%s: no values", files[i]);
	}
	if (!ret) {
		p = band_quantile_p(v[0], n[0], v[1], n[1], q, at, alpha);
		ret = cli_print(cli, json_pack("{s:f,s:s,s:o,s:o}", "p", p, "verdict", p <= alpha ? "differs" : "inconclusive",
					       "stable", arm_doc(v[0], n[0], q, alpha), "canary", arm_doc(v[1], n[1], q, alpha)),
				quantile_text);
	}
	free(v[0]);
	free(v[1]);
	return ret;
}

int judge_quantile(struct cli *cli, int argc, char **argv)
{
	const char *files[2] = { NULL, NULL }, *q = NULL, *a = NULL, *at = NULL;
	const struct word words[] = {
		WORD_NEEDED("stable", "STABLE_FILE", &files[0]), WORD_NEEDED("canary", "CANARY_FILE", &files[1]),
		WORD("quantile", "Q", &q), WORD("alpha", "A", &a), WORD("at", "N", &at), {}
	};
	double quantile = QUANTILE, alpha = ALPHA, sharpest = SHARPEST;
	int ret = words_read(cli, argc, argv, words);

	ret = ret ?: judge_real(cli, "quantile", q, 0, 1, &quantile);
	ret = ret ?: judge_real(cli, "alpha", a, 0, 1, &alpha);
	ret = ret ?: judge_real(cli, "at", at, 0, 1e12, &sharpest);
	return ret ?: compare(cli, files, quantile, alpha, sharpest);
}
