// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the mistakes in gates from outside and in webhooks: each is refused with
 * its line, its key, what is wrong and what would be right.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/config/config.h"

/* Line 9 is rollout's, 10 gates', 11 the first gate's. */
#define ROLLOUT "schema: 1\ninterfaces: [{ name: eth0 }]\nservices:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n"    \
	"    versions:\n      - { name: v1, role: stable, backends: [10.0.1.2] }\n"                                      \
	"      - { name: v2, role: canary, backends: [10.0.1.3] }\n    rollout:\n"
#define GATE ROLLOUT "      gates:\n"
#define OUTSIDE GATE "        - { name: errors, "

static const struct mistake {
	const char *text;
	int line;
	const char *key;
	const char *says;
} mistakes[] = {
	{ "schema: 1\nagent:\n  metricsTokenFile: /t\n", 3, "agent.metricsTokenFile", "is for values that come to listen, and there is none" },

	/* gates from outside */
	{ GATE "        - { signal: reset, max: 1, query: x }\n", 11, "services[0].rollout.gates[0].query",
	  "it is for gates from outside, which have a name and a source and no signal" },
	{ OUTSIDE "prometheus: x }\n", 11, "services[0].rollout.gates[0].prometheus", "'x' is not a URL; write http://" },
	{ OUTSIDE "url: \"file:///etc/passwd\" }\n", 11, "services[0].rollout.gates[0].url", "is not a URL" },
	{ OUTSIDE "url: \"http://a:b@host/\" }\n", 11, "services[0].rollout.gates[0].url", "has a password in it; write it into a file" },
	{ OUTSIDE "max: 1 }\n", 11, "services[0].rollout.gates[0]", "'errors' has no source; give one of metric, prometheus" },
	{ OUTSIDE "metric: a, url: \"http://b/\", max: 1 }\n", 11, "services[0].rollout.gates[0]", "has more than one source" },
	{ GATE "        - { metric: a, max: 1 }\n", 11, "services[0].rollout.gates[0].name", "is missing; a gate from outside needs it" },
	{ OUTSIDE "metric: a b, max: 1 }\n", 11, "services[0].rollout.gates[0].metric", "'a b' is not a name" },
	{ OUTSIDE "prometheus: \"http://p\", max: 1 }\n", 11, "services[0].rollout.gates[0].query", "is missing; prometheus needs it" },
	{ OUTSIDE "metric: a, query: x, max: 1 }\n", 11, "services[0].rollout.gates[0].query", "is for prometheus; take it out" },
	{ OUTSIDE "metric: a, pointer: /x, max: 1 }\n", 11, "services[0].rollout.gates[0].pointer", "is for url and urlFile" },
	{ OUTSIDE "url: \"http://b/\", pointer: x, max: 1 }\n", 11, "services[0].rollout.gates[0].pointer", "write a JSON pointer like" },
	{ OUTSIDE "metric: a, caFile: /x, max: 1 }\n", 11, "services[0].rollout.gates[0].caFile", "metric makes none" },
	{ OUTSIDE "url: \"http://b/\", caFile: x, max: 1 }\n", 11, "services[0].rollout.gates[0].caFile", "not an absolute path" },
	{ OUTSIDE "url: \"http://b/\", headers: { Authorization: secret }, max: 1 }\n", 11,
	  "services[0].rollout.gates[0].headers.Authorization", "a header's value is read from one" },
	{ OUTSIDE "url: \"http://b/\", headers: { \"A b\": { file: /x } }, max: 1 }\n", 11, "services[0].rollout.gates[0].headers",
	  "'A b' is not the name of a header" },
	{ OUTSIDE "metric: a }\n", 11, "services[0].rollout.gates[0].max", "is missing; a gate needs min, max or compare" },
	{ OUTSIDE "metric: a, max: much }\n", 11, "services[0].rollout.gates[0].max", "write a number like 98.5" },
	{ OUTSIDE "metric: a, max: \"5\" }\n", 11, "services[0].rollout.gates[0].max", "without quotes" },
	{ OUTSIDE "metric: a, max: .inf }\n", 11, "services[0].rollout.gates[0].max", "write a number like 98.5" },
	{ OUTSIDE "metric: a, min: 2, max: 1 }\n", 11, "services[0].rollout.gates[0].min", "2 is above max (1)" },
	{ OUTSIDE "metric: a, max: 1, threshold: 0 }\n", 11, "services[0].rollout.gates[0].threshold", "must be from 1 to 1000" },
	{ OUTSIDE "metric: a, max: 1, checkInterval: 5m }\n", 11, "services[0].rollout.gates[0].maxAge", "is shorter than checkInterval" },
	{ OUTSIDE "metric: a, max: 1, group: x }\n", 11, "services[0].rollout.gates[0].group", "is for compare: mannWhitney" },
	{ OUTSIDE "metric: a, compare: tTest }\n", 11, "services[0].rollout.gates[0].compare", "write mannWhitney" },
	{ OUTSIDE "metric: a, compare: mannWhitney, max: 1 }\n", 11, "services[0].rollout.gates[0].max", "is for gates with a limit" },
	{ OUTSIDE "prometheus: \"http://p\", query: up, compare: mannWhitney }\n", 11, "services[0].rollout.gates[0].query",
	  "has no $version; compare asks for the canary and for stable" },
	{ OUTSIDE "metric: a, compare: mannWhitney, weight: 101 }\n", 11, "services[0].rollout.gates[0].weight", "must be from 0 to 100" },
	{ OUTSIDE "metric: a, compare: mannWhitney, action: stop }\n", 11, "services[0].rollout.gates[0].action", "write rollback or hold" },
	{ OUTSIDE "metric: a, max: 1 }\n        - { name: errors, metric: b, max: 1 }\n", 12, "services[0].rollout.gates[1].name",
	  "'errors' is a gate already, on line 11" },
	{ GATE "        - { signal: reset, max: 1 }\n        - { name: reset, metric: b, max: 1 }\n", 12,
	  "services[0].rollout.gates[1].name", "'reset' is a gate on a signal" },
	{ OUTSIDE "metric: a, compare: mannWhitney, weight: 60 }\n"
	  "        - { name: b, metric: b, compare: mannWhitney, weight: 50 }\n", 12, "services[0].rollout.gates",
	  "weights are 110 together; they may be 100" },
	{ OUTSIDE "metric: a, compare: mannWhitney, group: g, weight: 60 }\n"
	  "        - { name: b, metric: b, compare: mannWhitney, group: g, weight: 50 }\n", 12, "services[0].rollout.gates",
	  "group g has two weights" },
	{ ROLLOUT "      webhooks: [{ url: x }]\n", 10, "services[0].rollout.webhooks[0].url", "is not a URL" },
	{ ROLLOUT "      webhooks: [{ format: slack }]\n", 10, "services[0].rollout.webhooks[0].url", "is missing; give it or urlFile" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", urlFile: /b }]\n", 10, "services[0].rollout.webhooks[0].url",
	  "is given beside urlFile; keep one" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", events: [start] }]\n", 10, "services[0].rollout.webhooks[0].events[0]",
	  "write step, hold, rollback, promote or alarm" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", events: [hold, hold] }]\n", 10, "services[0].rollout.webhooks[0].events[1]",
	  "is here twice; keep one" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", events: [] }]\n", 10, "services[0].rollout.webhooks[0].events", "from 1 to 5" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", format: teams }]\n", 10, "services[0].rollout.webhooks[0].format",
	  "write json, slack or alertmanager" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", format: slack, secretFile: /s }]\n", 10,
	  "services[0].rollout.webhooks[0].secretFile", "signs format: json alone" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", secretFile: s }]\n", 10, "services[0].rollout.webhooks[0].secretFile",
	  "not an absolute path" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", timeout: 2m }]\n", 10, "services[0].rollout.webhooks[0].timeout", "from 100ms to 1m" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", retries: 21 }]\n", 10, "services[0].rollout.webhooks[0].retries", "from 0 to 20" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", gate: promote }]\n", 10, "services[0].rollout.webhooks[0].gate", "write step" },
	{ ROLLOUT "      webhooks: [{ url: \"http://a\", gate: step, events: [hold] }]\n", 10,
	  "services[0].rollout.webhooks[0].events", "is for webhooks that are told" },
	{ ROLLOUT "      score: { pass: 50, marginal: 75 }\n", 10, "services[0].rollout.score", "marginal is above pass" },
};

static void test_config_mistake_is_refused_with_line_and_key(void **state)
{
	char error[CONFIG_ERROR], start[256];
	int failed = 0;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct model_config *c = NULL;
		int err = config_parse("perch.yaml", m->text, strlen(m->text), &c, error);

		snprintf(start, sizeof(start), "perch.yaml:%d: %s%s", m->line, m->key ?: "", m->key ? ": " : "");
		if (err == -EINVAL && !c && !strncmp(error, start, strlen(start)) && strstr(error, m->says) &&
		    !strchr(error, '\n') && strchr(error, ';'))
			continue;
		print_error("%zu: %d, expected \"%s\" and \"%s\", got \"%s\" for\n%s\n", i, err, start, m->says, error, m->text);
		config_free(c);
		failed++;
	}
	assert_int_equal(failed, 0);
	print_message("%zu mistakes, each refused\n", sizeof(mistakes) / sizeof(mistakes[0]));
}

/* Without its mistakes, what the table is built from is right. */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_mistake_is_refused_with_line_and_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
