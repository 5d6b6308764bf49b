// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* `perch judge` says what the formulas say, in the documented fields, and
 * names what is wrong with its words and files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../user/cli/cli.h"

static char folder[] = "/tmp/perch-judge-XXXXXX";

/* Runs the line with -j and gives back the document. */
static json_t *said(int want, const char *format, ...)
{
	struct cli cli = { .json = true, .socket = "/nonexistent/perch.sock", .bpffs = "/nonexistent" };
	char words[512], *argv[32], *rest = words;
	int argc = 0, ret, keep = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	json_t *doc;
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	while ((argv[argc] = strtok_r(rest, " ", &rest)))
		argc++;
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ret = command_run(&cli, objects, "perch", argc, argv);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	rewind(file);
	doc = json_loadf(file, 0, NULL);
	fclose(file);
	assert_int_equal(ret, want);
	assert_non_null(doc);
	return doc;
}

/* The document's number, which stays below `tolerance` of it. */
static void expect(const json_t *doc, const char *key, double want, double tolerance)
{
	double got = json_number_value(json_object_get(doc, key));

	if (!(fabs(got - want) <= tolerance))
		fail_msg("%s: %.10g, not %.10g", key, got, want);
}

static void expect_text(json_t *doc, const char *key, const char *want)
{
	assert_string_equal(json_string_value(json_object_get(doc, key)), want);
}

/* A file of that text in the folder; its path. */
static const char *file_of(const char *name, const char *text)
{
	static char path[4][64];
	static int next;
	char *here = path[next++ % 4];
	FILE *f;

	snprintf(here, sizeof(path[0]), "%s/%s", folder, name);
	f = fopen(here, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return here;
}

static void test_sequential_gives_the_anchors(void **state)
{
	json_t *doc = said(CLI_OK, "judge sequential w 0.05 canary 4 stable 0 ratio 1.5 method grid");

	expect(doc, "logE", 7.6147493, 1e-6);
	expect(doc, "e", exp(7.6147493), 1e-3);
	expect(doc, "p", exp(-7.6147493), 1e-9);
	expect_text(doc, "verdict", "fail");
	assert_true(json_is_null(json_object_get(doc, "ratioHigh")));
	json_decref(doc);

	doc = said(CLI_OK, "judge sequential w 0.05 canary 10 stable 50 alpha 0.05");
	expect(doc, "logE", 4.4129993030495775, 1e-7);
	expect(doc, "ratioLow", 0.8773156283412046, 1e-7);
	expect(doc, "ratioHigh", 11.539625696394571, 1e-6);
	expect_text(doc, "verdict", "fail");
	json_decref(doc);
	doc = said(CLI_OK, "judge sequential w 0.05 canary 10 stable 50");
	expect_text(doc, "verdict", "inconclusive");
	json_decref(doc);
}

static void test_changepoint_gives_the_anchor(void **state)
{
	const char *file = file_of("blocks", "# canary stable\n1 9\n1 9\n1 9\n1 9\n1 9\n1 9\n1 9\n1 9\n1 9\n1 9\n\n8 8\n8 8\n");
	json_t *doc = said(CLI_OK, "judge changepoint %s w 0.1 ratio 1.5", file);

	expect(doc, "logE", 4.5559375, 1e-7);
	expect(doc, "plainLogE", -0.5012798, 1e-7);
	expect(doc, "blocks", 12, 0);
	json_decref(doc);
}

static void test_loss_gives_the_anchors(void **state)
{
	json_t *doc = said(CLI_OK, "judge loss canary 0/600 stable 100/10000 delta 0.01");

	expect(doc, "upper", 0.0086239, 1e-7);
	expect(doc, "lower", 0.0065069, 1e-7);
	expect(doc, "delta", 0.01, 0);
	expect(doc, "more", 0, 0);
	expect_text(doc, "verdict", "pass");
	json_decref(doc);

	doc = said(CLI_OK, "judge loss canary 0/100 stable 0/1000 delta 0.01");
	expect_text(doc, "verdict", "inconclusive");
	expect(doc, "more", 410, 5);
	json_decref(doc);
	doc = said(CLI_OK, "judge loss canary 90/1000 stable 0/1000 delta 0.01");
	assert_true(json_is_null(json_object_get(doc, "more")));
	json_decref(doc);
	/* no loss in sight at w = .5: the canary fails as often as stable */
	doc = said(CLI_OK, "judge loss canary 400/1000 stable 400/1000 delta 0.0001 w 0.5");
	expect_text(doc, "verdict", "pass");
	json_decref(doc);
}

static void test_quantile_agrees(void **state)
{
	char a[8000] = "", b[8000] = "";
	size_t at_a = 0, at_b = 0;
	json_t *doc;

	for (int i = 1; i <= 1000; i++) {
		at_a += snprintf(a + at_a, sizeof(a) - at_a, "%d\n", i);
		at_b += snprintf(b + at_b, sizeof(b) - at_b, "%d\n", i + 70);
	}
	doc = said(CLI_OK, "judge quantile %s %s quantile 0.5 alpha 0.05 at 100", file_of("a", a), file_of("b", b));
	expect(doc, "p", 0.814704, 1e-5);
	expect(json_object_get(doc, "canary"), "quantile", 570, 0);
	expect(json_object_get(doc, "stable"), "low", 414, 0);
	json_decref(doc);
}

static void test_mannwhitney_classifies(void **state)
{
	const char *low = file_of("a", "10.1\n11\n9\n10\nnan\n12\n10.5\n9.5\n11.5\n");
	const char *high = file_of("b", "30.1\n31\n29\n30\n32\n30.5\n29.5\n31.5\n");
	json_t *doc = said(CLI_OK, "judge mannwhitney %s %s", low, high);

	expect_text(doc, "classification", "High");
	expect(doc, "estimate", 20, 0.5);
	expect(doc, "effect", 30.45 / 10.45, 0.01);
	json_decref(doc);
	doc = said(CLI_OK, "judge mannwhitney %s %s direction decrease effect cles", low, high);
	expect_text(doc, "classification", "Pass");
	expect(doc, "effect", 1, 0);
	json_decref(doc);
	doc = said(CLI_OK, "judge mannwhitney %s %s", high, low);
	expect_text(doc, "classification", "Low");
	json_decref(doc);
	doc = said(CLI_OK, "judge mannwhitney %s /dev/null", low);
	expect_text(doc, "classification", "Nodata");
	assert_true(json_is_null(json_object_get(doc, "lower")));
	json_decref(doc);
}

static void test_score_weighs_groups(void **state)
{
	json_t *doc = said(CLI_OK, "judge score %s", file_of("score", "{\"groups\": {\"a\": 80}, \"metrics\": ["
		"{\"classification\": \"Pass\", \"group\": \"a\"}, {\"classification\": \"High\", \"group\": \"b\"}]}"));

	expect(doc, "score", 80, 1e-9);
	expect_text(doc, "classification", "Marginal");
	expect(json_array_get(json_object_get(doc, "groups"), 1), "weight", 20, 1e-9);
	json_decref(doc);
}

static json_t *policy(json_t *doc, size_t i)
{
	return json_array_get(json_object_get(doc, "policies"), i);
}

static void test_simulate_compares_policies(void **state)
{
	json_t *doc = said(CLI_OK, "judge simulate rate 200 bad 0.1 worse 3 runs 40 policy default policy maxRatio=1.2,steps=5/25/50/100");

	expect(doc, "canaryBad", 0.3, 1e-9);
	expect(policy(doc, 0), "rolledBack", 40, 0);
	expect(policy(doc, 1), "rolledBack", 40, 0);
	assert_true(json_number_value(json_object_get(policy(doc, 1), "rolledBackAfter")) <
		    json_number_value(json_object_get(policy(doc, 0), "rolledBackAfter")));
	json_decref(doc);
	doc = said(CLI_OK, "judge simulate rate 200 runs 20 seed 7");
	expect(policy(doc, 0), "succeeded", 20, 0);
	expect(policy(doc, 0), "succeededAfter", 300, 30);
	json_decref(doc);
}

/*
 * Two versions, a sample each minute: 60 connections of each a minute, one in
 * sixty of stable's failed; then the tables were new; and nobody knows what
 * was while perchd was away for an hour.
 */
static const char *recording(void)
{
	static char text[8192];
	size_t at = 0;
	unsigned n = 0, minute = 0;

	for (unsigned i = 0; i < 20; i++, n++, minute++) {
		if (i == 10)
			n = 1;
		if (i == 15)
			minute += 60;
		for (unsigned v = 0; v < 2; v++)
			at += snprintf(text + at, sizeof(text) - at,
				       "%s{\"time\":%u,\"service\":\"web\",\"version\":\"v%u\",\"connections\":%u,\"connectFailures\":%u,"
				       "\"resets\":0}", at ? "," : "[", 1000 + 60 * minute, v, 60 * n, v ? 0 : n);
	}
	snprintf(text + at, sizeof(text) - at, "]");
	return text;
}

static void test_replay_plays_what_was_recorded(void **state)
{
	const char *file = file_of("samples", recording());
	json_t *doc = said(CLI_OK, "judge replay %s runs 20 policy steps=50/100,maxLossPerHour=100000", file);

	expect(doc, "rate", 2, 0.01);
	expect(doc, "bad", 100.0 / 120, 0.01);
	expect(policy(doc, 0), "rolledBack", 0, 0);
	expect(policy(doc, 0), "succeeded", 20, 0);
	json_decref(doc);
	doc = said(CLI_OK, "judge replay %s service web more 50 runs 20 policy steps=50/100", file);
	expect(policy(doc, 0), "rolledBack", 20, 0);
	json_decref(doc);
}

static void expect_error(int want, const char *what, const char *format, const char *file)
{
	json_t *doc = said(want, format, file);
	const char *error = json_string_value(json_object_get(doc, "error"));

	assert_non_null(error);
	if (!strstr(error, what))
		fail_msg("'%s' does not speak of '%s'", error, what);
	json_decref(doc);
}

static void test_mistakes_are_named(void **state)
{
	expect_error(CLI_USAGE, "w '1'", "judge sequential w 1 canary 3 stable 4", "");
	expect_error(CLI_USAGE, "canary '-1'", "judge sequential w 0.1 canary -1 stable 4", "");
	expect_error(CLI_USAGE, "neither beta nor grid", "judge sequential w 0.1 canary 1 stable 4 method z", "");
	expect_error(CLI_USAGE, "canary '3'", "judge loss canary 3 stable 0/5 delta 0.1", "");
	expect_error(CLI_USAGE, "canary '6/5'", "judge loss canary 6/5 stable 0/5 delta 0.1", "");
	expect_error(CLI_USAGE, "needs w", "judge loss canary 1/5 stable 0/5 delta 0.1 ratio 2", "");
	expect_error(CLI_FAILED, "blocks2:2: '5'", "judge changepoint %s w 0.1", file_of("blocks2", "1 2\n5\n"));
	expect_error(CLI_FAILED, "-3 4", "judge changepoint %s w 0.1", file_of("blocks3", "-3 4\n"));
	expect_error(CLI_FAILED, "No such file", "judge changepoint /nonexistent w 0.1", "");
	expect_error(CLI_FAILED, "values:2: 'slow'", "judge quantile %s /dev/null", file_of("values", "1.5\nslow\n"));
	expect_error(CLI_USAGE, "direction 'up'", "judge mannwhitney a b direction up", "");
	expect_error(CLI_USAGE, "confidence '1'", "judge mannwhitney a b confidence 1", "");
	expect_error(CLI_USAGE, "above pass", "judge score a pass 50 marginal 60", "");
	expect_error(CLI_FAILED, "score2:2:", "judge score %s", file_of("score2", "{\n,"));
	expect_error(CLI_FAILED, "metrics[0].classification 'Bad'", "judge score %s",
		     file_of("score2", "{\"metrics\": [{\"classification\": \"Bad\"}]}"));
	expect_error(CLI_FAILED, "together at most 100", "judge score %s",
		     file_of("score2", "{\"groups\": {\"a\": 101}, \"metrics\": [{\"classification\": \"Pass\"}]}"));
	expect_error(CLI_USAGE, "no key 'steep'", "judge simulate policy steep=1", "");
	expect_error(CLI_USAGE, "needs a value", "judge simulate policy steps", "");
	expect_error(CLI_USAGE, "steps '3'", "judge simulate policy steps=5/3", "");
	expect_error(CLI_USAGE, "here may stand: policy", "judge simulate loud", "");
	expect_error(CLI_USAGE, "FILE is missing", "judge replay", "");
	expect_error(CLI_FAILED, "not a list of samples", "judge replay %s", file_of("samples2", "{}"));
	expect_error(CLI_FAILED, "[0] is not a sample", "judge replay %s", file_of("samples2", "[{\"service\":\"web\"}]"));
	expect_error(CLI_FAILED, "say service NAME", "judge replay %s", file_of("samples2", "[{\"service\":\"a\"},{\"service\":\"b\"}]"));
	expect_error(CLI_FAILED, "no connections", "judge replay %s service c", file_of("samples2", "[{\"service\":\"a\",\"time\":1,\"connections\":1}]"));
	expect_error(CLI_FAILED, "no values", "judge quantile /dev/null /dev/null", "");
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "blocks", "a", "b", "blocks2", "blocks3", "values", "score", "score2", "samples", "samples2" };
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential_gives_the_anchors),
		cmocka_unit_test(test_changepoint_gives_the_anchor),
		cmocka_unit_test(test_loss_gives_the_anchors),
		cmocka_unit_test(test_quantile_agrees),
		cmocka_unit_test(test_mannwhitney_classifies),
		cmocka_unit_test(test_score_weighs_groups),
		cmocka_unit_test(test_simulate_compares_policies),
		cmocka_unit_test(test_replay_plays_what_was_recorded),
		cmocka_unit_test(test_mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
