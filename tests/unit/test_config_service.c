// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what a service begins with (defaults), what an operator's keys come to,
 * and services outside any file, alone and beside a file's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/config/config.h"
#include "../../user/core/address.h"

#define MS 1000000ull
#define S (1000 * MS)

#define TOP "schema: 1\ninterfaces: [{ name: eth0 }]\n"
#define VERSIONS                                                                                                  \
	"    versions:\n      - { name: v1, role: stable, backends: [10.0.1.2] }\n"                               \
	"      - { name: v2, backends: [10.0.1.3] }\n"
#define WEB TOP "services:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n" VERSIONS

static struct model_config *parse(const char *text)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse("perch.yaml", text, strlen(text), &c, error))
		fail_msg("%s", error);
	return c;
}

static void test_service_keys_of_an_operator_are_read(void **state)
{
	struct model_config *c = parse(TOP
		"agent: { deadman: 5s, pinTableSize: 2000000 }\n"
		"services:\n  - name: web\n    listen: [\"192.0.2.10:0/tcp\", \"[2001:db8::10]:0/tcp\", 192.0.2.10:443/udp]\n"
		"    exclude: [22, 179]\n    adopt: 10m\n    onStableDown: canary\n"
		"    healthCheck: { type: http, interval: 2s, timeout: 250ms, fall: 5, rise: 1, path: /ok?a=1, expect: 200-204 }\n"
		"    rules:\n      - { source: 10.9.0.0/16, version: canary }\n      - { source: \"2001:db8::/32\", version: v1 }\n"
		"      - { dscp: 46, version: previous }\n"
		"    versions:\n      - { name: v1, role: stable, backends: [10.0.1.2:80, \"[2001:db8:1::2]:80\"] }\n");
	const struct model_service *s = c->services;
	char text[ADDRESS_TEXT];

	assert_int_equal(c->agent.deadman, 5 * S);
	assert_int_equal(c->agent.pin_table_size, 2000000);
	assert_int_equal(s->listen[0].port, 0);
	assert_int_equal(ntohs(s->listen[2].port), 443);
	assert_int_equal(s->n_exclude, 2);
	assert_int_equal(s->exclude[0], 22);
	assert_int_equal(s->exclude[1], 179);
	assert_int_equal(s->adopt, 600 * S);
	assert_int_equal(s->stable_down, PERCH_DOWN_CANARY);
	assert_int_equal(s->health.type, MODEL_CHECK_HTTP);
	assert_int_equal(s->health.interval, 2 * S);
	assert_int_equal(s->health.timeout, 250 * MS);
	assert_int_equal(s->health.fall, 5);
	assert_int_equal(s->health.rise, 1);
	assert_string_equal(s->health.path, "/ok?a=1");
	assert_int_equal(s->health.expect_low, 200);
	assert_int_equal(s->health.expect_high, 204);
	assert_int_equal(s->n_rules, 3);
	assert_string_equal(prefix_format(&s->rules[0].source, s->rules[0].prefix, text), "10.9.0.0/16");
	assert_string_equal(s->rules[0].version, "canary");
	assert_string_equal(prefix_format(&s->rules[1].source, s->rules[1].prefix, text), "2001:db8::/32");
	assert_true(s->rules[2].by_dscp);
	assert_int_equal(s->rules[2].dscp, 46);
	assert_string_equal(s->rules[2].file, "perch.yaml");
	assert_int_equal(s->rules[2].line, 14);
	config_free(c);
}

static void test_service_keys_left_out_have_documented_defaults(void **state)
{
	struct model_config *c = parse(WEB "    healthCheck: {}\n");
	const struct model_service *s = c->services;

	assert_int_equal(c->agent.deadman, 30 * S);
	assert_int_equal(c->agent.pin_table_size, PERCH_PINS);
	assert_int_equal(s->adopt, 0);
	assert_int_equal(s->stable_down, PERCH_DOWN_REJECT);
	assert_int_equal(s->n_rules, 0);
	/* a check that says no more than that it is one */
	assert_int_equal(s->health.type, MODEL_CHECK_TCP);
	assert_int_equal(s->health.interval, S);
	assert_int_equal(s->health.timeout, 500 * MS);
	assert_int_equal(s->health.fall, 3);
	assert_int_equal(s->health.rise, 2);
	assert_null(s->health.path);
	assert_int_equal(s->health.expect_low, 200);
	assert_int_equal(s->health.expect_high, 399);
	config_free(c);
	c = parse(WEB);
	assert_int_equal(c->services[0].health.type, MODEL_CHECK_NONE);
	config_free(c);
}

#define DEFAULTS                                                                                                  \
	"defaults:\n"                                                                                             \
	"  affinity: connection\n  fragments: true\n  adopt: 5m\n  exclude: [22]\n  onStableDown: canary\n"                          \
	"  rollback: { established: sever, drainTimeout: 10s }\n"                                                 \
	"  healthCheck: { type: http, path: /healthz, interval: 5s }\n"                                           \
	"  rules: [{ source: 10.9.0.0/16, version: canary }]\n"                                                   \
	"  rollout: { interval: 2m, steps: [10, 50], gates: [{ signal: reset, max: 1 }, { signal: connect_failure, max: 2 }] }\n"

/* Also when they stand behind the services. */
static void test_defaults_reach_every_service(void **state)
{
	struct model_config *c = parse(WEB "  - name: all-ports\n    listen: [192.0.2.11:0/tcp]\n"
		"    versions: [{ name: v1, role: stable, backends: [10.0.1.2:80] }]\n" DEFAULTS);

	assert_int_equal(c->n_services, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct model_service *s = &c->services[i];

		assert_int_equal(s->affinity, PERCH_AFFINITY_CONNECTION);
		assert_true(s->fragments);
		assert_int_equal(s->adopt, 300 * S);
		assert_int_equal(s->stable_down, PERCH_DOWN_CANARY);
		assert_int_equal(s->established, PERCH_SEVER);
		assert_int_equal(s->drain_timeout, 10 * S);
		assert_string_equal(s->health.path, "/healthz");
		assert_int_equal(s->n_rules, 1);
		assert_int_equal(s->rollout.n_steps, 2);
		assert_int_equal(s->rollout.n_gates, 2);
	}
	/* ports can only be left alone by who has them all */
	assert_int_equal(c->services[0].n_exclude, 0);
	assert_int_equal(c->services[1].n_exclude, 1);
	config_free(c);
}

static void test_defaults_give_way_key_by_key(void **state)
{
	struct model_config *c = parse(TOP DEFAULTS
		"services:\n  - name: web\n    listen: [192.0.2.10:0/tcp]\n    affinity: client\n    exclude: [23, 24]\n"
		"    rollback: { drainTimeout: 20s }\n    healthCheck: { interval: 7s, path: /ready }\n"
		"    rules: [{ dscp: 1, version: stable }]\n"
		"    rollout: { watch: 0, gates: [{ signal: response_time, quantile: 0.5, max: 1s }] }\n"
		"    versions: [{ name: v1, role: stable, backends: [10.0.1.2:80] }]\n");
	const struct model_service *s = c->services;

	assert_int_equal(s->affinity, PERCH_AFFINITY_CLIENT);
	assert_int_equal(s->adopt, 300 * S);
	assert_int_equal(s->established, PERCH_SEVER);
	assert_int_equal(s->drain_timeout, 20 * S);
	assert_int_equal(s->health.type, MODEL_CHECK_HTTP);
	assert_int_equal(s->health.interval, 7 * S);
	assert_string_equal(s->health.path, "/ready");
	/* lists replace */
	assert_int_equal(s->n_exclude, 2);
	assert_int_equal(s->n_rules, 1);
	assert_true(s->rules[0].by_dscp);
	assert_int_equal(s->rollout.interval, 120 * S);
	assert_int_equal(s->rollout.watch, 0);
	assert_int_equal(s->rollout.step[0].share, 1000);
	assert_int_equal(s->rollout.n_gates, 1);
	assert_string_equal(s->rollout.gate[0].name, "response_time p50");
	config_free(c);
}

#define ALONE "name: web\nlisten: [\"192.0.2.10:80/tcp\"]\nversions:\n  - { name: v1, role: stable, backends: [10.0.1.2] }\n"

static struct model_config *parse_service(const char *text, const struct model_config *defaults)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse_service("web", text, strlen(text), defaults, &c, error))
		fail_msg("%s", error);
	return c;
}

static void test_service_alone_is_read_from_yaml_and_json(void **state)
{
	static const char json[] = "{\"name\":\"web\",\"listen\":[\"192.0.2.10:80/tcp\"],\n\t\"versions\":[{\"name\":\"v1\","
				   "\"role\":\"stable\",\"labels\":{\"commit\":\"ab\\u00e4\"},\"backends\":[\"10.0.1.2\"]}],\n"
				   "\t\"rollout\":{\"alpha\":0.01,\"steps\":[5,{\"weight\":50,\"pause\":\"manual\"}]}}";
	struct model_config *defaults = parse(TOP "defaults: { affinity: connection }\n"), *c;
	char error[CONFIG_ERROR];

	c = parse_service(ALONE, NULL);
	assert_int_equal(c->n_services, 1);
	assert_null(c->services[0].file);
	assert_string_equal(c->services[0].origin, "web");
	assert_string_equal(c->services[0].at, "");
	assert_int_equal(c->services[0].affinity, PERCH_AFFINITY_CLIENT);
	assert_int_equal(c->n_files, 0);
	assert_int_equal(config_check_new_service(c->services, error), 0);
	config_free(c);
	c = parse_service(json, defaults);
	assert_int_equal(c->services[0].affinity, PERCH_AFFINITY_CONNECTION);
	assert_string_equal(c->services[0].versions[0].labels[0].value, "ab\xc3\xa4");
	assert_true(c->services[0].rollout.step[1].manual);
	config_free(defaults);
	config_free(c);
}

static void test_service_alone_with_mistake_is_refused(void **state)
{
	static const struct { const char *text, *error; } mistakes[] = {
		{ "", "web:1: is empty; write a service: { name: " },
		{ "[]", "web:1: is a list; a service is a mapping" },
		{ ALONE "afinity: client\n", "web:5: afinity: is not a key of a service; did you mean 'affinity'?" },
		{ ALONE "rules: [{ sourceFile: /etc/shadow, version: v1 }]\n",
		  "web:5: rules[0].sourceFile: a service of the API reads no files; " },
		{ "name: web\nlisten: [\"192.0.2.10:80/tcp\"]\nversions:\n  - { name: v1, backends: [192.0.2.10] }\n",
		  "web:4: versions[0].backends[0]: 192.0.2.10 is an address that perch splits (listen[0], line 2)" },
		{ "name: web\nlisten: [a]\n", "web:2: listen[0]: 'a' is not understood; write ADDRESS:PORT" },
		{ "schema: 1\nservices: []\n", "web:1: schema: is not a key of a service; keys here: name" },
	};

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct model_config *c = NULL;
		char error[CONFIG_ERROR];
		int err = config_parse_service("web", mistakes[i].text, strlen(mistakes[i].text), NULL, &c, error);

		if (err != -EINVAL || c || strncmp(error, mistakes[i].error, strlen(mistakes[i].error)))
			fail_msg("%d, expected \"%s\", got \"%s\"", err, mistakes[i].error, error);
	}
}

static void test_service_alone_that_is_new_needs_one_stable(void **state)
{
	struct model_config *c = parse_service("name: web\nlisten: [192.0.2.10:80/tcp]\n"
					       "versions: [{ name: v1, backends: [10.0.1.2] }]\n", NULL);
	char error[CONFIG_ERROR];

	assert_int_equal(config_check_new_service(c->services, error), -EINVAL);
	assert_string_equal(error, "web:3: versions: no version has role stable; a new service needs one, which takes the "
				   "traffic at first");
	config_free(c);
}

#define TEXT(name_, text_) { .name = (name_), .text = (text_), .length = strlen(text_) }

static void test_services_beside_a_file_join_it_with_its_defaults(void **state)
{
	static const char file[] = WEB "defaults: { adopt: 5m }\n";
	const struct config_text texts[] = {
		TEXT("dns", "{ name: dns, listen: [192.0.2.11:53/udp], versions: [{ name: a, backends: [10.0.1.2] }] }"),
		TEXT("api", "{ name: api, listen: [192.0.2.11:80/tcp], versions: [{ name: a, backends: [10.0.1.2] }] }"),
	};
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse_with("perch.yaml", file, strlen(file), texts, 2, &c, error))
		fail_msg("%s", error);
	assert_int_equal(c->n_services, 3);
	assert_string_equal(c->services[0].name, "web");
	assert_string_equal(c->services[1].name, "dns");
	assert_string_equal(c->services[2].name, "api");
	assert_null(c->services[2].file);
	assert_int_equal(c->services[2].adopt, 300 * S);
	config_free(c);
}

static void test_services_beside_a_file_are_checked_with_it(void **state)
{
	static const struct { const char *text, *error; } mistakes[] = {
		{ "{ name: web, listen: [192.0.2.11:80/tcp], versions: [{ name: a, backends: [10.0.1.2] }] }",
		  "perch.yaml:4: services[0].name: 'web' was made by `perch service apply` and belongs to the API; rename it" },
		{ "{ name: api, listen: [192.0.2.10:80/tcp], versions: [{ name: a, backends: [10.0.1.2] }] }",
		  "api:1: listen[0]: 192.0.2.10:80/tcp is used already by services[0].listen[0] on line 5 of perch.yaml; " },
		{ "{ name: api, listen: [192.0.2.11:80/tcp],\n versions: [{ name: a, backends: [192.0.2.10] }] }",
		  "api:2: versions[0].backends[0]: 192.0.2.10 is an address that perch splits (services[0].listen[0], line 5 of "
		  "perch.yaml); " },
		{ "{ name: api, listen: [10.0.1.3:80/tcp], versions: [{ name: a, backends: [10.0.1.2] }] }",
		  "perch.yaml:8: services[0].versions[1].backends[0]: 10.0.1.3 is an address that perch splits (listen[0], line 1 "
		  "of api); " },
	};

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct config_text text = TEXT("api", mistakes[i].text);
		struct model_config *c = NULL;
		char error[CONFIG_ERROR];
		int err = config_parse_with("perch.yaml", WEB, strlen(WEB), &text, 1, &c, error);

		if (err != -EINVAL || c || strncmp(error, mistakes[i].error, strlen(mistakes[i].error)))
			fail_msg("%d, expected \"%s\", got \"%s\"", err, mistakes[i].error, error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_keys_of_an_operator_are_read),
		cmocka_unit_test(test_service_keys_left_out_have_documented_defaults),
		cmocka_unit_test(test_defaults_reach_every_service),
		cmocka_unit_test(test_defaults_give_way_key_by_key),
		cmocka_unit_test(test_service_alone_is_read_from_yaml_and_json),
		cmocka_unit_test(test_service_alone_with_mistake_is_refused),
		cmocka_unit_test(test_service_alone_that_is_new_needs_one_stable),
		cmocka_unit_test(test_services_beside_a_file_join_it_with_its_defaults),
		cmocka_unit_test(test_services_beside_a_file_are_checked_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
