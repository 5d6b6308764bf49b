// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a configuration takes of the kernel's tables, what they are loaded with
 * for it, and what does not fit any more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/sizes.h"
#include "../../user/config/config.h"

#define TOP "schema: 1\ninterfaces: [{ name: eth0 }]\n"

static struct model_config *parsed(const char *text)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse("perch.yaml", text, strlen(text), &c, error))
		fail_msg("%s", error);
	return c;
}

/* n services with a listener and two backends each. */
static struct model_config *many(unsigned n, const char *agent)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct model_config *c;

	assert_non_null(f);
	fprintf(f, TOP "%sservices:\n", agent);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "  - name: s%u\n    listen: [\"198.18.%u.%u:80/tcp\"]\n    versions: [{ name: v1, role: stable, "
			"backends: [\"10.1.%u.%u\", \"10.2.%u.%u\"] }]\n", i, i / 256, i % 256, i / 256, i % 256, i / 256, i % 256);
	fclose(f);
	c = parsed(text);
	free(text);
	return c;
}

static void test_needs_are_counted_by_table(void **state)
{
	struct model_config *c = parsed(TOP
		"services:\n"
		"  - name: web\n"
		"    listen: [\"192.0.2.1:0/tcp\", \"192.0.2.2:80/tcp\", \"[2001:db8::1]:80/tcp\"]\n"
		"    exclude: [22, 23]\n"
		"    versions:\n"
		"      - { name: v1, role: stable, backends: [10.0.0.1, 10.0.0.2, \"[2001:db8:1::1]\"] }\n"
		"      - { name: v2, door: [\"192.0.2.3:80/tcp\"], backends: [10.0.0.3, \"[2001:db8:1::2]\"] }\n");
	struct sizes s;

	sizes_needed(c, &s);
	assert_int_equal(s.services, 1);
	assert_int_equal(s.listeners, 1 + 3 * 3 + 1);	/* each may leave two ports alone */
	assert_int_equal(s.backends, 1 + 5);
	/* 211 entries in 7 lines for two, 101 in 4 for one */
	assert_int_equal(s.slice_words, 7 + 4 + 4 + 4);
	config_free(c);
}

static void test_weights_take_larger_tables(void **state)
{
	struct model_config *c = parsed(TOP
		"services:\n"
		"  - name: web\n"
		"    listen: [\"192.0.2.1:80/tcp\"]\n"
		"    versions: [{ name: v1, role: stable, backends: [{ address: 10.0.0.1, weight: 1 }, "
		"{ address: 10.0.0.2, weight: 9 }] }]\n");
	struct sizes s;

	sizes_needed(c, &s);
	assert_int_equal(s.slice_words, (1009 + PERCH_SLICE_WIDTH - 1) / PERCH_SLICE_WIDTH);
	config_free(c);
}

static void test_few_services_take_the_defaults(void **state)
{
	struct model_config *c = many(3, "");
	struct sizes s;

	sizes_wanted(c, &s);
	assert_int_equal(s.services, PERCH_SERVICES);
	assert_int_equal(s.listeners, PERCH_LISTENERS);
	assert_int_equal(s.backends, PERCH_BACKENDS);
	assert_int_equal(s.slice_words, PERCH_SLICE_WORDS);
	config_free(c);
}

static void test_many_services_take_what_they_need_and_room_to_grow(void **state)
{
	struct model_config *c = many(10000, "");
	struct sizes s, need;

	sizes_needed(c, &need);
	assert_int_equal(need.services, 10000);
	assert_int_equal(need.listeners, 10001);
	assert_int_equal(need.backends, 20001);
	assert_int_equal(need.slice_words, 70000);
	sizes_wanted(c, &s);
	assert_in_range(s.services, 11250, 11250 + 63);
	assert_in_range(s.listeners, 11251, 11251 + 63);
	assert_in_range(s.backends, 25001, 25001 + 63);
	assert_in_range(s.slice_words, 78750, 78750 + 63);
	config_free(c);
	/* never more than ids have bits for */
	c = many(16384, "");
	sizes_wanted(c, &s);
	assert_int_equal(s.services, PERCH_SERVICES_MOST);
	config_free(c);
}

static void test_keys_say_more(void **state)
{
	struct model_config *c = many(3, "agent: { serviceTableSize: 10000, backendTableSize: 20000, listenerTableSize: 9000 }\n");
	struct sizes s;

	sizes_wanted(c, &s);
	assert_int_equal(s.services, 10000);
	assert_int_equal(s.backends, 20001);
	assert_int_equal(s.listeners, 9001);
	assert_int_equal(s.slice_words, 80000);
	config_free(c);
	/* or less than the default, but not less than is there */
	c = many(100, "agent: { serviceTableSize: 16, backendTableSize: 16, listenerTableSize: 16 }\n");
	sizes_wanted(c, &s);
	assert_in_range(s.services, 100, 192);
	assert_in_range(s.backends, 201, 320);
	assert_in_range(s.listeners, 101, 192);
	config_free(c);
}

static void assert_no_room(const struct model_config *c, const struct perch_control *loaded, const char *what)
{
	char why[SIZES_WHY] = "";

	assert_int_equal(sizes_check(c, loaded, why), -ENOSPC);
	if (!strstr(why, what) || !strstr(why, "perchd --detach"))
		fail_msg("'%s' has no '%s'", why, what);
}

static void test_what_does_not_fit_is_refused_with_the_remedy(void **state)
{
	const struct perch_control fits = { .services = 100, .listeners_n = 101, .backends_n = 201, .slice_words = 700 };
	struct perch_control loaded = fits;
	struct model_config *c = many(100, "");
	char why[SIZES_WHY];

	assert_int_equal(sizes_check(c, &loaded, why), 0);
	loaded.services--;
	assert_no_room(c, &loaded, "names 100 services, and what is loaded has room for 99;");
	loaded = fits;
	loaded.listeners_n--;
	assert_no_room(c, &loaded, "names 100 listeners and doors, and what is loaded has room for 99;");
	loaded = fits;
	loaded.backends_n--;
	assert_no_room(c, &loaded, "names 200 backends, and what is loaded has room for 199;");
	loaded = fits;
	loaded.slice_words--;
	assert_no_room(c, &loaded, "agent.backendTableSize");
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_are_counted_by_table),
		cmocka_unit_test(test_weights_take_larger_tables),
		cmocka_unit_test(test_few_services_take_the_defaults),
		cmocka_unit_test(test_many_services_take_what_they_need_and_room_to_grow),
		cmocka_unit_test(test_keys_say_more),
		cmocka_unit_test(test_what_does_not_fit_is_refused_with_the_remedy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
