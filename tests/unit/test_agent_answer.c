// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how numbers are read from answers, and how requests get their names and
 * secrets. */
#include <errno.h>
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

#include "../../user/agent/outside/answer.h"
#include "../../user/agent/outside/ask.h"

#define VECTOR(samples_) "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" samples_ "]}}"
#define SAMPLE(value_) "{\"metric\":{},\"value\":[1718005600.1,\"" value_ "\"]}"

static void test_prometheus_answers_are_one_number_or_none(void **state)
{
	static const struct { const char *text; double value; const char *why; } cases[] = {
		{ VECTOR(SAMPLE("0.25")), 0.25, NULL },
		{ VECTOR(SAMPLE("NaN")), NAN, NULL },
		{ VECTOR(SAMPLE("+Inf")), INFINITY, NULL },
		{ "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1718005600.1,\"7\"]}}", 7, NULL },
		{ VECTOR(""), 0, "no series" },
		{ VECTOR(SAMPLE("1") "," SAMPLE("2")), 0, "2 series; sum or average them" },
		{ VECTOR(SAMPLE("1x")), 0, "no number" },
		{ VECTOR("{}"), 0, "no number" },
		{ "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}", 0, "gives a matrix" },
		{ "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error at char 3\"}", 0, "parse error at char 3" },
		{ "{\"status\":\"success\"}", 0, "without data" },
		{ "{}", 0, "not Prometheus'" },
		{ "[]", 0, "not Prometheus'" },
		{ "<html>", 0, "not JSON" },
		{ "", 0, "not JSON" },
	};
	char why[ANSWER_WHY];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double value = -1;
		int r = answer_prometheus(cases[i].text, strlen(cases[i].text), &value, why);

		assert_int_equal(r, cases[i].why ? -EINVAL : 0);
		if (cases[i].why)
			assert_non_null(strstr(why, cases[i].why));
		else if (isnan(cases[i].value))
			assert_true(isnan(value));
		else
			assert_true(value == cases[i].value);
	}
}

static void test_pointer_leads_as_rfc_6901_has_it(void **state)
{
	static const char doc[] = "{\"a\":[1,{\"b/c\":2.5,\"~\":\"3\",\"\":4}],\"s\":\"x\",\"n\":null}";
	static const struct { const char *pointer; double value; } cases[] = {
		{ "/a/0", 1 }, { "/a/1/b~1c", 2.5 }, { "/a/1/~0", 3 }, { "/a/1/", 4 },
		{ "/a/2", NAN }, { "/a/x", NAN }, { "/a/1x", NAN }, { "/a/-1", NAN }, { "/s", NAN }, { "/n", NAN }, { "/q", NAN },
		{ "/a/1/b~2c", NAN }, { "/a", NAN }, { "", NAN },
	};
	char why[ANSWER_WHY];
	double value;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = answer_pointer(doc, sizeof(doc) - 1, cases[i].pointer, &value, why);

		if (isnan(cases[i].value) ? r != -EINVAL : r || value != cases[i].value)
			fail_msg("pointer '%s': %d", cases[i].pointer, r);
	}
	assert_int_equal(answer_pointer("12.5\n", 5, "", &value, why), 0);
	assert_true(value == 12.5);
	assert_int_equal(answer_pointer("x", 1, "", &value, why), -EINVAL);
}

static void test_names_are_put_in(void **state)
{
	const struct ask_names names = { "web", "v1.2-3" };
	char *text = ask_substitute("a{v=\"$version\",s=\"$service\"} $ $versions $serv", &names);

	assert_string_equal(text, "a{v=\"v1.2-3\",s=\"web\"} $ v1.2-3s $serv");
	free(text);
}

static void test_requests_have_secrets_from_files(void **state)
{
	const struct ask_names names = { "web", "v2" };
	struct model_target t = { .url = "http://x/$version", .n_headers = 1, .header = { { .name = "Authorization" } } };
	char path[] = "/tmp/test-agent-answer.XXXXXX", why[ASK_WHY] = "";
	int fd = mkstemp(path);
	struct ask ask;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "Bearer secret\n", 14), 14);
	close(fd);
	snprintf(t.header[0].file, sizeof(t.header[0].file), "%s", path);
	assert_int_equal(ask_target(&ask, &t, &names, why), 0);
	assert_string_equal(ask.fetch.url, "http://x/v2");
	assert_string_equal(ask.fetch.headers[0], "Authorization: Bearer secret");
	assert_null(ask.fetch.headers[1]);
	ask_clear(&ask);
	assert_int_equal(ask_prometheus(&ask, "http://p:9090//", "up{v=\"$version\"} > 1", &t, &names, why), 0);
	assert_string_equal(ask.fetch.url, "http://p:9090/api/v1/query?query=up%7Bv%3D%22v2%22%7D%20%3E%201");
	ask_clear(&ask);
	unlink(path);
	assert_int_equal(ask_target(&ask, &t, &names, why), -ENOENT);
	assert_non_null(strstr(why, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prometheus_answers_are_one_number_or_none),
		cmocka_unit_test(test_pointer_leads_as_rfc_6901_has_it),
		cmocka_unit_test(test_names_are_put_in),
		cmocka_unit_test(test_requests_have_secrets_from_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
