// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns what webhooks are told, and how it is signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/webhooks/message.h"

static json_t *event_of(const char *kind, const char *to)
{
	return json_pack("{s:i, s:f, s:s, s:s, s:s, s:s?, s:s, s:n}", "id", 7, "time", 1718005600.5, "service", "web", "kind", kind,
			 "from", "5", "to", to, "reason", "a < b", "comment");
}

static void assert_body(__u32 format, json_t *event, const char *wanted)
{
	char *body = message_body(format, event);
	json_t *got, *want = json_loads(wanted, 0, NULL);

	assert_non_null(body);
	assert_non_null(want);
	got = json_loads(body, 0, NULL);
	if (!json_equal(got, want))
		fail_msg("%s\nis not\n%s", body, wanted);
	json_decref(got);
	json_decref(want);
	json_decref(event);
	free(body);
}

static void test_events_are_those_of_the_interface(void **state)
{
	static const struct { const char *kind; __u32 tell; } kinds[] = {
		{ "step", MODEL_TELL_STEP }, { "hold", MODEL_TELL_HOLD }, { "rollback", MODEL_TELL_ROLLBACK },
		{ "reflex", MODEL_TELL_ROLLBACK }, { "deadman", MODEL_TELL_ROLLBACK }, { "promote", MODEL_TELL_PROMOTE },
		{ "alarm", MODEL_TELL_ALARM }, { "config", 0 }, { "pause", 0 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		json_t *event = event_of(kinds[i].kind, "10");

		assert_int_equal(message_event(event), kinds[i].tell);
		json_decref(event);
	}
}

static void test_bodies_are_those_of_the_formats(void **state)
{
	assert_body(MODEL_WEBHOOK_JSON, event_of("reflex", "10"),
		    "{\"id\":7,\"time\":1718005600.5,\"service\":\"web\",\"kind\":\"reflex\",\"from\":\"5\",\"to\":\"10\","
		    "\"reason\":\"a < b\",\"comment\":null,\"event\":\"rollback\"}");
	assert_body(MODEL_WEBHOOK_SLACK, event_of("step", "10"), "{\"text\":\"web: step 5 -&gt; 10: a &lt; b\"}");
	assert_body(MODEL_WEBHOOK_ALERTMANAGER, event_of("rollback", "10"),
		    "[{\"labels\":{\"alertname\":\"perch\",\"event\":\"rollback\",\"service\":\"web\",\"severity\":\"critical\"},"
		    "\"annotations\":{\"summary\":\"web: rollback 5 -> 10: a < b\",\"reason\":\"a < b\"},"
		    "\"startsAt\":\"2024-06-10T07:46:40Z\"}]");
	/* an alarm that is over ends its alert */
	assert_body(MODEL_WEBHOOK_ALERTMANAGER, event_of("alarm", NULL),
		    "[{\"labels\":{\"alertname\":\"perch\",\"event\":\"alarm\",\"kind\":\"5\",\"service\":\"web\",\"severity\":\"critical\"},"
		    "\"annotations\":{\"summary\":\"web: alarm 5: a < b\",\"reason\":\"a < b\"},\"endsAt\":\"2024-06-10T07:46:40Z\"}]");
}

/* RFC 4231, test cases 2 and 6. */
static void test_signature_is_hmac_sha256(void **state)
{
	char key[132] = "", out[MESSAGE_SIGNATURE];

	assert_int_equal(message_sign("Jefe", "what do ya want for nothing?", out), 0);
	assert_string_equal(out, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	assert_int_equal(message_sign(key, "Test Using Larger Than Block-Size Key - Hash Key First", out), 0);
	assert_string_equal(out, "sha256=60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_are_those_of_the_interface),
		cmocka_unit_test(test_bodies_are_those_of_the_formats),
		cmocka_unit_test(test_signature_is_hmac_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
