// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns by what a canary is compared with stable where nothing is said, and
 * where a list of gates is.
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
#define VERSIONS                                                                                                  \
	"    versions:\n      - { name: v1, role: stable, backends: [10.0.1.2] }\n"                               \
	"      - { name: v2, backends: [10.0.1.3] }\n"
#define WEB(listen) "services:\n  - name: web\n    listen: [" listen "]\n" VERSIONS
#define TCP WEB("\"192.0.2.10:80/tcp\"")
#define UDP WEB("\"192.0.2.10:53/udp\"")
#define BOTH WEB("\"192.0.2.10:53/udp\", \"192.0.2.10:53/tcp\"")

/* The service's comparison; a limit is beside it. */
static struct model_compare compared(const char *text, size_t *absolute)
{
	struct model_config *c = NULL;
	struct model_compare compare;
	char error[CONFIG_ERROR];

	if (config_parse("perch.yaml", text, strlen(text), &c, error))
		fail_msg("%s", error);
	assert_int_equal(c->n_services, 1);
	compare = c->services[0].rollout.compare;
	*absolute = c->services[0].rollout.n_gates;
	config_free(c);
	return compare;
}

/* A letter for each gate, in the order of the signals: '-' none, 'm' by the
 * rollout's margin, 'o' by its own. */
static void assert_compared(const char *text, const char *events, const char *waits, size_t absolute)
{
	char is[MODEL_EVENTS + MODEL_WAITS + 1] = "", expected[sizeof(is)];
	size_t n_absolute;
	struct model_compare c = compared(text, &n_absolute);

	for (unsigned e = 0; e < MODEL_EVENTS; e++)
		is[e] = !c.max_ratio[e] ? '-' : c.max_ratio[e] < 0 ? 'm' : 'o';
	for (unsigned w = 0; w < MODEL_WAITS; w++)
		is[MODEL_EVENTS + w] = !c.max_slowdown[w] ? '-' : c.max_slowdown[w] < 0 ? 'm' : 'o';
	snprintf(expected, sizeof(expected), "%s%s", events, waits);
	assert_string_equal(is, expected);
	assert_int_equal(n_absolute, absolute);
}

static void test_all_that_is_seen_is_compared_where_nothing_is_said(void **state)
{
	assert_compared(TOP TCP, "mmmm---", "mm", 0);
	assert_compared(TOP BOTH, "mmmm---", "mm", 0);
	assert_compared(TOP UDP, "-------", "-m", 0);
	assert_compared(TOP TCP "    rollout: { maxRatio: 2 }\n", "mmmm---", "mm", 0);
}

static void test_nothing_is_seen_of_one_direction(void **state)
{
	assert_compared(TOP WEB("\"192.0.2.10:80/tcp\"") "    forward: dsr\n", "-------", "--", 0);
	assert_compared(TOP WEB("\"192.0.2.10:80/tcp\"") "    forward: ipip\n", "-------", "--", 0);
	assert_compared(TOP WEB("\"192.0.2.10:80/tcp\"") "    forward: fullnat\n    fullnat: { sources: [10.0.0.9] }\n",
			"mmmm---", "mm", 0);
}

static void test_a_list_is_all_there_is(void **state)
{
	assert_compared(TOP TCP "    rollout: { gates: [] }\n", "-------", "--", 0);
	assert_compared(TOP TCP "    rollout: { gates: [{ signal: reset }, { signal: connect_time, maxSlowdown: 2 }] }\n",
			"-m-----", "o-", 0);
	assert_compared(TOP TCP "    rollout: { gates: [{ signal: reset, max: 5 }] }\n", "-------", "--", 1);
	assert_compared(TOP UDP "    observe: [udpReply]\n    rollout: { gates: [{ signal: udp_no_reply }] }\n", "------m", "--", 0);
}

static void test_what_is_looked_at_is_compared(void **state)
{
	assert_compared(TOP TCP "    observe: [http1]\n", "mmmmmm-", "mm", 0);
	assert_compared(TOP UDP "    observe: [udpReply]\n", "------m", "-m", 0);
	assert_compared(TOP BOTH "    observe: [http1, udpReply]\n", "mmmmmmm", "mm", 0);
	assert_compared(TOP "defaults: { observe: [http1] }\n" TCP, "mmmmmm-", "mm", 0);
	assert_compared(TOP "defaults: { observe: [http1] }\n" TCP "    observe: []\n", "mmmm---", "mm", 0);
	assert_compared(TOP "defaults: { observe: [http1] }\n" TCP "    forward: dsr\n", "-------", "--", 0);
	assert_compared(TOP TCP "    observe: [http1]\n    rollout: { gates: [{ signal: http_5xx, maxRatio: 1.2 }] }\n",
			"-----o-", "--", 0);
}

static void test_a_list_of_the_defaults_is_one(void **state)
{
	static const char defaults[] = "defaults: { rollout: { gates: [{ signal: reset }] } }\n",
			  none[] = "defaults: { rollout: { gates: [] } }\n",
			  others[] = "defaults: { rollout: { alpha: 0.02 } }\n";
	char text[1024];

	snprintf(text, sizeof(text), TOP "%s" TCP, defaults);
	assert_compared(text, "-m-----", "--", 0);
	snprintf(text, sizeof(text), TOP "%s" TCP, none);
	assert_compared(text, "-------", "--", 0);
	snprintf(text, sizeof(text), TOP "%s" TCP, others);
	assert_compared(text, "mmmm---", "mm", 0);
	snprintf(text, sizeof(text), TOP "%s" TCP "    rollout: { gates: [{ signal: no_response }] }\n", defaults);
	assert_compared(text, "--m----", "--", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_is_seen_is_compared_where_nothing_is_said),
		cmocka_unit_test(test_nothing_is_seen_of_one_direction),
		cmocka_unit_test(test_a_list_is_all_there_is),
		cmocka_unit_test(test_a_list_of_the_defaults_is_one),
		cmocka_unit_test(test_what_is_looked_at_is_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
