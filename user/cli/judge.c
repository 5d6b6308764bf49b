// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch judge: the judge's formulas on numbers that are given, so that anyone
 * can compute a verdict again.  Asks nobody and needs no perchd.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/judge/event.h"
#include "../core/judge/loss.h"
#include "../core/judge/mixture.h"
#include "judge.h"
#include "judge_simulate.h"

#define ALPHA 0.01
#define BETA 0.05
#define RATIO 1.0
#define MOST_VOTES 1000000000000ll
#define INTERVAL_PRIOR 100.0

int judge_real(const struct cli *cli, const char *key, const char *text, double min, double max, double *ret)
{
	char *end;
	double x;

	if (!text)
		return 0;
	errno = 0;
	x = strtod(text, &end);
	if (errno || end == text || *end || !(x > min) || !(x < max))
		return cli_usage(cli, "%s '%s' is not a number between %g and %g", key, text, min, max);
	*ret = x;
	return 0;
}

json_t *judge_number(double x)
{
	return isnan(x) ? json_null() : json_real(fmin(fmax(x, -DBL_MAX), DBL_MAX));
}

static void number_set(json_t *doc, const char *key, double x)
{
	json_object_set_new(doc, key, isinf(x) ? json_null() : judge_number(x));
}

static void evidence_text(const json_t *doc)
{
	double e = field_number(doc, "e");

	printf("E %.6g (log %.7f), p %.6g: %s\n", e, field_number(doc, "logE"), field_number(doc, "p"),
	       field_line(doc, "verdict"));
	if (json_object_get(doc, "ratioLow"))
		printf("risk ratio %.4g to %.4g\n", field_number(doc, "ratioLow"), field_number(doc, "ratioHigh"));
}

static json_t *evidence_doc(double log_e, double alpha)
{
	json_t *doc = json_object();

	number_set(doc, "logE", log_e);
	json_object_set_new(doc, "e", judge_number(exp(log_e)));
	number_set(doc, "p", fmin(1, exp(-log_e)));
	number_set(doc, "threshold", 1 / alpha);
	json_object_set_new(doc, "verdict", json_string(log_e >= -log(alpha) ? "fail" : "inconclusive"));
	return doc;
}

static void ratio_set(json_t *doc, struct ratio_interval r)
{
	number_set(doc, "ratioLow", r.low);
	number_set(doc, "ratioHigh", r.high);
}

/* What `w`, `ratio` and `alpha` say; those that are not given stay. */
static int terms_read(const struct cli *cli, const char *w, const char *ratio, const char *alpha,
		      double *ret_w, double *ret_ratio, double *ret_alpha)
{
	int ret = judge_real(cli, "w", w, 0, 1, ret_w);

	ret = ret ?: judge_real(cli, "ratio", ratio, 0, 1e6, ret_ratio);
	return ret ?: judge_real(cli, "alpha", alpha, 0, 1, ret_alpha);
}

static double grid_log_e(double w, double ratio, __u64 canary, __u64 stable)
{
	struct bet b;

	bet_begin(&b);
	bet_votes(&b, w, ratio, canary, stable);
	return bet_log_plain(&b);
}

static int do_sequential(struct cli *cli, int argc, char **argv)
{
	const char *w = NULL, *c = NULL, *s = NULL, *r = NULL, *a = NULL, *method = NULL;
	const struct word words[] = {
		{ .key = "w", .what = "SHARE", .value = &w, .needed = true },
		{ .key = "canary", .what = "COUNT", .value = &c, .needed = true },
		{ .key = "stable", .what = "COUNT", .value = &s, .needed = true },
		WORD("ratio", "R0", &r), WORD("alpha", "A", &a), WORD("method", "beta|grid", &method), {}
	};
	double share = 0, ratio = RATIO, alpha = ALPHA, log_e;
	long canary = 0, stable = 0;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	ret = ret ?: terms_read(cli, w, r, a, &share, &ratio, &alpha);
	ret = ret ?: words_number(cli, "canary", c, 0, MOST_VOTES, &canary);
	ret = ret ?: words_number(cli, "stable", s, 0, MOST_VOTES, &stable);
	if (ret)
		return ret;
	if (method && strcmp(method, "beta") != 0 && strcmp(method, "grid") != 0)
		return cli_usage(cli, "method '%s' is neither beta nor grid", method);
	log_e = method && *method == 'g' ? grid_log_e(share, ratio, canary, stable) :
					   mixture_one_sided(mixture_share(share, ratio), canary, stable);
	doc = evidence_doc(log_e, alpha);
	ratio_set(doc, mixture_ratio(share, INTERVAL_PRIOR, alpha, canary, stable));
	return cli_print(cli, doc, evidence_text);
}

/* Lines "C S", a block each, into the bet; *sum gets the totals. */
static int blocks_read(const struct cli *cli, const char *file, FILE *in, double w, double ratio, struct bet *b,
		       __u64 sum[2])
{
	char line[256];
	unsigned long long c, s;

	for (int n = 1; fgets(line, sizeof(line), in); n++) {
		char rest;

		if (line[strspn(line, " \t\n")] == 0 || *line == '#')
			continue;
		if (sscanf(line, "%llu %llu %c", &c, &s, &rest) != 2 || strchr(line, '-')) {
			line[strcspn(line, "\n")] = 0;
			text_printable(line);
			return cli_error(cli, "%s:%d: '%s' is not a block: bad votes of canary and stable, as in \"3 41\"",
					 file, n, line);
		}
		bet_block(b);
		bet_votes(b, w, ratio, c, s);
		sum[0] += c;
		sum[1] += s;
	}
	return ferror(in) ? cli_error(cli, "%s: %s", file, strerror(errno)) : 0;
}

static int do_changepoint(struct cli *cli, int argc, char **argv)
{
	const char *file = NULL, *w = NULL, *r = NULL, *a = NULL;
	const struct word words[] = {
		WORD_NEEDED("file", "FILE", &file), { .key = "w", .what = "SHARE", .value = &w, .needed = true },
		WORD("ratio", "R0", &r), WORD("alpha", "A", &a), {}
	};
	double share = 0, ratio = RATIO, alpha = ALPHA;
	__u64 sum[2] = { 0 };
	struct bet b;
	json_t *doc;
	FILE *in;
	int ret;

	ret = words_read(cli, argc, argv, words);
	ret = ret ?: terms_read(cli, w, r, a, &share, &ratio, &alpha);
	if (ret)
		return ret;
	in = judge_open(cli, file);
	if (!in)
		return CLI_FAILED;
	bet_begin(&b);
	ret = blocks_read(cli, file, in, share, ratio, &b, sum);
	judge_close(in);
	if (ret)
		return ret;
	doc = evidence_doc(bet_log_e(&b), alpha);
	json_object_set_new(doc, "blocks", json_integer(b.blocks));
	number_set(doc, "plainLogE", bet_log_plain(&b));
	ratio_set(doc, mixture_ratio(share, INTERVAL_PRIOR, alpha, sum[0], sum[1]));
	return cli_print(cli, doc, evidence_text);
}

/* "3/1200": bad of decided. */
static int share_read(const struct cli *cli, const char *key, const char *text, struct loss_counts *ret)
{
	unsigned long long bad, n;
	char rest;

	if (!text || sscanf(text, "%llu/%llu%c", &bad, &n, &rest) != 2 || strchr(text, '-') || bad > n || n > MOST_VOTES)
		return cli_usage(cli, "%s '%s' is not BAD/CONNECTIONS, as in 3/1200", key, text ?: "");
	*ret = (struct loss_counts){ bad, n };
	return 0;
}

static void loss_text(const json_t *doc)
{
	double more = field_number(doc, "more");

	printf("canary at most %.7g, stable at least %.7g: may lose %.7g, limit %.7g: %s\n", field_number(doc, "upper"),
	       field_number(doc, "lower"), field_number(doc, "upper") - field_number(doc, "lower"),
	       field_number(doc, "delta"), field_line(doc, "verdict"));
	if (more > 0)
		printf("needs about %.0f more connections of the canary\n", more);
}

static int do_loss(struct cli *cli, int argc, char **argv)
{
	const char *c = NULL, *s = NULL, *d = NULL, *b = NULL, *w = NULL, *r = NULL;
	const struct word words[] = {
		{ .key = "canary", .what = "BAD/CONNECTIONS", .value = &c, .needed = true },
		{ .key = "stable", .what = "BAD/CONNECTIONS", .value = &s, .needed = true },
		{ .key = "delta", .what = "SHARE", .value = &d, .needed = true },
		WORD("beta", "B", &b), WORD("w", "SHARE", &w), WORD("ratio", "R", &r), {}
	};
	double delta = 0, beta = BETA, share = 0, ratio = 1.5, unused;
	struct loss_counts canary = { 0 }, stable = { 0 };
	struct loss_bet bet = { { 0 } };
	struct loss_verdict v;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	ret = ret ?: share_read(cli, "canary", c, &canary);
	ret = ret ?: share_read(cli, "stable", s, &stable);
	ret = ret ?: judge_real(cli, "delta", d, 0, 1, &delta);
	ret = ret ?: judge_real(cli, "beta", b, 0, 1, &beta);
	if (!ret && w)
		ret = terms_read(cli, w, r, NULL, &share, &ratio, &unused);
	else if (!ret && r)
		ret = cli_usage(cli, "ratio needs w: the share under which the connections were assigned");
	if (ret)
		return ret;
	if (w)
		loss_votes(&bet, share, ratio, canary.bad, stable.bad);
	v = loss_judge(canary, stable, delta, beta, &bet);
	doc = json_object();
	number_set(doc, "upper", v.upper);
	number_set(doc, "lower", v.lower);
	number_set(doc, "delta", v.delta);
	if (w)
		number_set(doc, "logE", v.log_e);
	json_object_set_new(doc, "verdict", json_string(v.safe ? "pass" : "inconclusive"));
	json_object_set_new(doc, "more", v.safe ? json_integer(0) : judge_number(loss_more(canary, stable, delta, beta)));
	return cli_print(cli, doc, loss_text);
}

const struct command judge_commands[] = {
	COMMAND("sequential", do_sequential, "w SHARE canary COUNT stable COUNT [ratio R0] [alpha A] [method beta|grid]",
		"is the canary worse: evidence from bad votes at one share, and the interval of the risk ratio"),
	COMMAND("changepoint", do_changepoint, "FILE w SHARE [ratio R0] [alpha A]",
		"the gates' evidence from a line \"CANARY STABLE\" of bad votes per block of 60 s"),
	COMMAND("votes", judge_votes, "FILE",
		"the evidence of a rollout, made again of the votes that `perch -j rollout why NAME` told in FILE"),
	COMMAND("loss", do_loss, "canary BAD/CONNECTIONS stable BAD/CONNECTIONS delta SHARE [beta B] [w SHARE [ratio R]]",
		"is it safe to go on: may the canary lose delta more than stable"),
	COMMAND("quantile", judge_quantile, "STABLE_FILE CANARY_FILE [quantile Q] [alpha A] [at N]",
		"do the same quantiles differ; files with a value a line"),
	COMMAND("mannwhitney", judge_mannwhitney,
		"BASELINE_FILE CANARY_FILE [direction either|increase|decrease] [tolerance T] [confidence C] "
		"[effect meanRatio|cles] [increase EFFECT] [decrease EFFECT] [nan remove|replace] [outliers keep|remove]",
		"has a series of the canary shifted; files with a value a line"),
	COMMAND("simulate", judge_simulate,
		"[rate R] [bad PERCENT] [worse RATIO] [more PERCENT] [from DURATION] [runs N] [seed S] [policy KEY=VALUE,...]...",
		"whole rollouts in virtual time: how policies do on traffic of this kind, side by side"),
	COMMAND("replay", judge_replay,
		"FILE [service NAME] [worse RATIO] [more PERCENT] [from DURATION] [runs N] [seed S] [policy KEY=VALUE,...]...",
		"the same on traffic that was recorded: FILE holds what GET /v1/samples gave"),
	COMMAND("score", judge_score, "FILE [pass P] [marginal M]",
		"one number of many comparisons: {\"metrics\": [{\"classification\", \"group\", \"critical\"}], \"groups\": {}}"),
	{}
};
