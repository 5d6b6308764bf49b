// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what differs between two configurations, in a person's terms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/config/config.h"

#define TOP "schema: 1\ninterfaces: [{ name: eth0 }]\n"
#define WEB TOP "services:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n    versions:\n"                \
	    "      - { name: v1, role: stable, backends: [10.0.1.2] }\n"                                         \
	    "      - { name: v2, backends: [10.0.1.3] }\n"

static struct model_config *parse(const char *text)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse("perch.yaml", text, strlen(text), &c, error))
		fail_msg("%s", error);
	return c;
}

static void tell(void *arg, const char *path, const char *from, const char *to)
{
	FILE *f = arg;

	fprintf(f, "%s: %s -> %s\n", path, from ?: "(none)", to ?: "(none)");
}

static char *diff(struct model_config *from, struct model_config *to)
{
	size_t length;
	char *text;
	FILE *f = open_memstream(&text, &length);

	assert_non_null(f);
	assert_int_equal(config_diff(from, to, tell, f), 0);
	fclose(f);
	config_free(from);
	config_free(to);
	return text;
}

static void assert_diff(const char *from, const char *to, const char *expected)
{
	char *text = diff(parse(from), parse(to));

	assert_string_equal(text, expected);
	free(text);
}

static void test_diff_of_same_meaning_is_empty(void **state)
{
	assert_diff(WEB, WEB, "");
	/* written otherwise, and with what is built in anyway */
	assert_diff(WEB,
		    "services:\n  - versions:\n      - { name: v1, role: stable, backends: [{ address: 10.0.1.2 }] }\n"
		    "      - { name: v2, role: canary, backends: [10.0.1.3] }\n    name: web\n"
		    "    listen: [192.0.2.10:80/tcp]\n    rollback: { drainTimeout: 0.5m }\n    rules: []\n"
		    "interfaces: [{ name: eth0, attach: auto }]\nagent: { deadman: 30s }\nschema: 1\n", "");
}

static void test_diff_names_each_key_with_both_values(void **state)
{
	assert_diff(WEB,
		    "schema: 1\nagent: { listen: \"[::1]:9911\", deadman: 0 }\n"
		    "interfaces: [{ name: eth*, foreign: tc }]\ndefaults: { affinity: connection }\n"
		    "services:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\", \"192.0.2.10:0/udp\"]\n"
		    "    exclude: [22, 53]\n    adopt: 10m\n    onStableDown: canary\n"
		    "    healthCheck: { type: http, expect: 200 }\n    rollback: { established: sever }\n"
		    "    rules: [{ source: 10.9.0.0/16, version: canary }, { dscp: 10, version: v2 }]\n"
		    "    rollout:\n      steps: [2.5, { weight: 50, pause: manual }, { weight: 60, pause: 90s }]\n"
		    "      gates: [{ signal: reset, max: 0.05 }, { signal: response_time, quantile: 0.999, max: 0.5s }]\n"
		    "    versions:\n      - { name: v1, role: stable, backends: [{ address: 10.0.1.2, weight: 2 }] }\n"
		    "      - { name: v2, door: [192.0.2.10:81/tcp], labels: { commit: ab12 }, backends: [10.0.1.4:8080] }\n",
		    "agent.deadman: 30s -> 0s\n"
		    "interfaces: [eth0] -> [eth*]\n"
		    "interfaces.eth0.attach: auto -> (none)\n"
		    "interfaces.eth0.foreign: refuse -> (none)\n"
		    "interfaces.eth0.decap: false -> (none)\n"
		    "agent.listen: (none) -> \"[::1]:9911\"\n"
		    "interfaces.eth*.attach: (none) -> auto\n"
		    "interfaces.eth*.foreign: (none) -> tc\n"
		    "interfaces.eth*.decap: (none) -> false\n"
		    "services.web.listen: [\"192.0.2.10:80/tcp\"] -> [\"192.0.2.10:80/tcp\", \"192.0.2.10:0/udp\"]\n"
		    "services.web.affinity: client -> connection\n"
		    "services.web.adopt: 0s -> 10m\n"
		    "services.web.onStableDown: reject -> canary\n"
		    "services.web.healthCheck.type: none -> http\n"
		    "services.web.healthCheck.expect: 200-399 -> 200\n"
		    "services.web.versions.v1.backends: [10.0.1.2] -> [{ address: 10.0.1.2, weight: 2 }]\n"
		    "services.web.versions.v2.backends: [10.0.1.3] -> [\"10.0.1.4:8080\"]\n"
		    "services.web.rollback.established: drain -> sever\n"
		    "services.web.rollout.steps: [1, 5, 10, 25, 50, 100] -> "
		    "[2.5, { weight: 50, pause: manual }, { weight: 60, pause: 90s }]\n"
		    "services.web.rollout.gates: every signal that is seen -> "
		    "[{ signal: reset, max: 0.05 }, { signal: response_time, quantile: 0.999, max: 500ms }]\n"
		    "services.web.exclude: (none) -> [22, 53]\n"
		    "services.web.versions.v2.door: (none) -> [\"192.0.2.10:81/tcp\"]\n"
		    "services.web.versions.v2.labels.commit: (none) -> ab12\n"
		    "services.web.rules[10.9.0.0/16]: (none) -> canary\n"
		    "services.web.rules[dscp 10]: (none) -> v2\n");
}

static void test_diff_tells_of_ways_to_forward(void **state)
{
	assert_diff(WEB,
		    "schema: 1\ninterfaces: [{ name: eth0, decap: true }]\n"
		    "services:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n    forward: gue\n"
		    "    tunnel: { source: [10.0.0.9, \"2001:db8::9\"] }\n"
		    "    versions:\n      - { name: v1, role: stable, backends: [10.0.1.2] }\n"
		    "      - { name: v2, backends: [\"[2001:db8::3]\"] }\n",
		    "interfaces.eth0.decap: false -> true\n"
		    "services.web.forward: nat -> gue\n"
		    "services.web.versions.v2.backends: [10.0.1.3] -> [\"[2001:db8::3]\"]\n"
		    "services.web.tunnel.source: (none) -> [\"10.0.0.9\", \"2001:db8::9\"]\n");
}

/* A service is told by what its writer wrote, not by all that is built in. */
static void test_diff_of_service_that_comes_or_goes_is_what_was_written(void **state)
{
	static const char both[] = WEB
		"  - name: dns\n    listen: [\"[2001:db8::10]:53/udp\"]\n    rollout: { interval: 5m }\n"
		"    versions:\n      - { name: a, role: stable, backends: [\"[2001:db8:1::2]\", \"[2001:db8:1::3]:5353\"] }\n";

	assert_diff(WEB, both,
		    "services.dns.listen: (none) -> [\"[2001:db8::10]:53/udp\"]\n"
		    "services.dns.versions.a.role: (none) -> stable\n"
		    "services.dns.versions.a.backends: (none) -> [\"[2001:db8:1::2]\", \"[2001:db8:1::3]:5353\"]\n"
		    "services.dns.rollout.interval: (none) -> 5m\n");
	assert_diff(both, WEB,
		    "services.dns.listen: [\"[2001:db8::10]:53/udp\"] -> (none)\n"
		    "services.dns.versions.a.role: stable -> (none)\n"
		    "services.dns.versions.a.backends: [\"[2001:db8:1::2]\", \"[2001:db8:1::3]:5353\"] -> (none)\n"
		    "services.dns.rollout.interval: 5m -> (none)\n");
}

/* WEB with rules for n networks, those from `from` on to the canary. */
static struct model_config *parse_rules(unsigned n, unsigned from)
{
	struct model_config *c;
	size_t length;
	char *text;
	FILE *f = open_memstream(&text, &length);

	assert_non_null(f);
	fputs(WEB "    rules:\n", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "      - { source: 10.%u.%u.0/24, version: %s }\n", i / 256, i % 256,
			i < from ? "stable" : "canary");
	fclose(f);
	c = parse(text);
	free(text);
	return c;
}

static void test_diff_of_many_rules_is_counted(void **state)
{
	char *text = diff(parse_rules(300, 300), parse_rules(302, 298));

	assert_string_equal(text, "services.web.rules[10.1.42.0/24]: stable -> canary\n"
				  "services.web.rules[10.1.43.0/24]: stable -> canary\n"
				  "services.web.rules[10.1.44.0/24]: (none) -> canary\n"
				  "services.web.rules[10.1.45.0/24]: (none) -> canary\n");
	free(text);
	text = diff(parse_rules(300, 300), parse_rules(250, 190));
	assert_string_equal(text, "services.web.rules: 300 rules -> 250 rules: 0 new, 50 gone, 60 lead elsewhere\n");
	free(text);
}

/* Writes a configuration from what is told about one that was empty: paths
 * become nested keys, versions a list. */
struct writer {
	FILE *f;
	char at[3][64];		/* the keys that are open below the service */
};

static void write_leaf(void *arg, const char *path, const char *from, const char *to)
{
	struct writer *w = arg;
	char copy[256], *rest = copy, *part, *parts[8];
	int n = 0;

	assert_null(from);
	snprintf(copy, sizeof(copy), "%s", path);
	while ((part = strsep(&rest, ".")))
		parts[n++] = part;
	assert_string_equal(parts[0], "services");
	for (int i = 2; i < n - 1; i++) {
		bool in_list = !strcmp(parts[2], "versions");

		if (!strcmp(w->at[i - 2], parts[i]))
			continue;
		snprintf(w->at[i - 2], sizeof(w->at[0]), "%s", parts[i]);
		for (int j = i - 1; j < 3; j++)
			w->at[j][0] = 0;
		fprintf(w->f, in_list && i == 3 ? "%*s- name: %s\n" : "%*s%s:\n", 2 * i, "", parts[i]);
	}
	fprintf(w->f, "%*s%s: %s\n", 2 * n - 2, "", parts[n - 1], to);
}

static void test_diff_values_are_read_back_as_they_are_told(void **state)
{
	static const char all[] = TOP
		"services:\n  - name: web\n    listen: [\"192.0.2.10:0/tcp\", \"192.0.2.10:443/tcp\", \"[2001:db8::10]:443/udp\"]\n"
		"    exclude: [22, 53]\n    affinity: connection\n    fragments: true\n    adopt: 90s\n    onStableDown: canary\n"
		"    healthCheck: { type: http, interval: 1.5s, timeout: 250ms, fall: 5, rise: 1, path: /ok, expect: 200-204 }\n"
		"    rollback: { established: keep, drainTimeout: 45m }\n"
		"    rollout:\n      steps: [2.5, { weight: 50, pause: manual }, { weight: 60, pause: 90s }]\n"
		"      interval: 100ms\n      minConnections: 7\n      maxStepTime: 2h\n      progressDeadline: 3h\n"
		"      watch: 0\n      holdback: 7.25\n      keepPrevious: 0\n      alpha: 0.000001\n"
		"      reflex: { connectFailures: 0 }\n"
		"      gates: [{ signal: connect_failure, max: 99.99 }, { signal: reset, max: 0.01 },\n"
		"              { signal: response_time, quantile: 0.999999, max: 0.01ms },\n"
		"              { name: a, metric: b, min: -0.5, max: 1e6, threshold: 7, consecutive: false, critical: true, action: hold },\n"
		"              { name: c, prometheus: \"http://p:9090\", query: \"up{v=\\\"$version\\\"}\\n\", caFile: /ca, initialDelay: 1m,\n"
		"                headers: { Authorization: { file: /token }, X-Scope: { file: /scope } }, compare: mannWhitney,\n"
		"                direction: decrease, tolerance: 0.5, confidence: 0.9, effect: cles, group: g, weight: 12.5,\n"
		"                checkInterval: 2s, maxAge: 3s, action: rollback },\n"
		"              { name: d, url: \"https://h/a?b\", pointer: \"/x/0\", min: 1 }, { name: e, urlFile: /url, max: 2 }]\n"
		"      webhooks: [{ url: \"http://a/$service\", events: [hold, alarm], secretFile: /s, timeout: 2s, retries: 0 },\n"
		"                 { urlFile: /slack, format: slack }, { url: \"https://b\", gate: step, caFile: /ca }]\n"
		"      score: { pass: 90.5, marginal: 60 }\n"
		"    versions:\n      - name: v1\n        role: stable\n"
		"        backends: [{ address: 10.0.1.2, weight: 256 }, \"[2001:db8:1::2]\"]\n"
		"      - name: v2\n        role: baseline\n        door: [192.0.2.11:81/tcp]\n"
		"        labels: { commit: ab12, pipeline: p1 }\n"
		"        backends: [10.0.1.4:8080, { address: \"[2001:db8:1::3]:80\", weight: 3 }]\n";
	struct model_config *empty = parse(TOP), *c = parse(all);
	struct writer w = {};
	char *text, *left;
	size_t length;

	w.f = open_memstream(&text, &length);
	assert_non_null(w.f);
	fputs(TOP "services:\n  - name: web\n", w.f);
	assert_int_equal(config_diff(empty, c, write_leaf, &w), 0);
	fclose(w.f);
	left = diff(c, parse(text));
	assert_string_equal(left, "");
	free(left);
	/* and every key was told: without one of them something differs */
	assert_non_null(strstr(text, "confidence: 0.9, effect: cles, group: g, weight: 12.5"));
	left = diff(empty, parse(text));
	assert_true(strlen(left) > 1000);
	free(left);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff_of_same_meaning_is_empty),
		cmocka_unit_test(test_diff_names_each_key_with_both_values),
		cmocka_unit_test(test_diff_tells_of_ways_to_forward),
		cmocka_unit_test(test_diff_of_service_that_comes_or_goes_is_what_was_written),
		cmocka_unit_test(test_diff_of_many_rules_is_counted),
		cmocka_unit_test(test_diff_values_are_read_back_as_they_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
