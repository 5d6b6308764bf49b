// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Pins in the store, on a real file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/store/store_pins.h"

static char dir[64];
static struct store *store;

static void open_again(void)
{
	char why[STORE_WHY] = "";
	bool corrupt;

	store_close(store);
	store = NULL;
	if (store_open(&store, dir, &corrupt, why))
		fail_msg("%s", why);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/perch-pins.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	open_again();
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	store_close(store);
	store = NULL;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct stored_pin pin(__u32 client, const char *target, __u64 until)
{
	return (struct stored_pin){ .client = { { 0, 0, 0xffff0000, client } }, .target = target, .until = until };
}

static bool count_pin(void *arg, const struct stored_pin *p)
{
	++*(unsigned *)arg;
	return true;
}

static unsigned count(const char *service, const char *target)
{
	unsigned n = 0;

	assert_int_equal(store_pins_each(store, service, target, count_pin, &n), 0);
	return n;
}

static bool first_pin(void *arg, const struct stored_pin *p)
{
	*(struct stored_pin *)arg = *p;
	return false;
}

static void test_pins_are_found_by_the_next_agent(void **state)
{
	const struct stored_pin pins[] = { pin(1, "v2", 1718000000123ull), pin(2, "canary", 0), pin(3, "v2", 7) };
	char target[PERCH_NAME_LEN];
	struct stored_pin found;

	assert_int_equal(store_pins_set(store, "web", pins, 3), 0);
	assert_int_equal(store_pins_set(store, "site", pins, 1), 0);
	open_again();
	assert_int_equal(count("web", NULL), 3);
	assert_int_equal(count("web", "v2"), 2);
	assert_int_equal(count("web", "v3"), 0);
	assert_int_equal(count("site", NULL), 1);
	assert_int_equal(store_pins_each(store, "site", NULL, first_pin, &found), 0);
	assert_memory_equal(&found.client, &pins[0].client, sizeof(found.client));
	assert_true(found.until == 1718000000123ull);
	assert_int_equal(store_pin_target(store, "web", &pins[1].client, target), 0);
	assert_string_equal(target, "canary");
	assert_int_equal(store_pin_target(store, "site", &pins[1].client, target), -ENOENT);
}

static void test_pin_set_again_replaces_what_was(void **state)
{
	struct stored_pin p = pin(1, "v2", 5);
	char target[PERCH_NAME_LEN];

	assert_int_equal(store_pins_set(store, "web", &p, 1), 0);
	p.target = "v3";
	assert_int_equal(store_pins_set(store, "web", &p, 1), 0);
	assert_int_equal(count("web", NULL), 1);
	assert_int_equal(store_pin_target(store, "web", &p.client, target), 0);
	assert_string_equal(target, "v3");
}

static void test_pins_deleted_are_gone_and_others_stay(void **state)
{
	const struct stored_pin pins[] = { pin(1, "v2", 0), pin(2, "v2", 0), pin(3, "v2", 0) };
	const struct perch_address gone[] = { pins[0].client, pins[2].client, { { 9, 9, 9, 9 } } };

	assert_int_equal(store_pins_set(store, "web", pins, 3), 0);
	assert_int_equal(store_pins_set(store, "site", pins, 3), 0);
	assert_int_equal(store_pins_delete(store, "web", gone, 3), 0);
	assert_int_equal(count("web", NULL), 1);
	/* some at a time, until none is left */
	assert_int_equal(store_pins_delete_some(store, "site", 2), 2);
	assert_int_equal(store_pins_delete_some(store, "site", 2), 1);
	assert_int_equal(store_pins_delete_some(store, "site", 2), 0);
	assert_int_equal(count("site", NULL), 0);
	open_again();
	assert_int_equal(count("web", NULL), 1);
}

static void test_bulk_of_pins_is_whole(void **state)
{
	static struct stored_pin pins[10000];

	for (__u32 i = 0; i < 10000; i++)
		pins[i] = pin(i, "v2", i);
	assert_int_equal(store_pins_set(store, "web", pins, 10000), 0);
	assert_int_equal(count("web", NULL), 10000);
	/* a target is needed: with one row that can't be, none is written */
	for (__u32 i = 0; i < 10000; i++)
		pins[i] = pin(20000 + i, i == 9000 ? NULL : "v3", 0);
	assert_int_not_equal(store_pins_set(store, "web", pins, 10000), 0);
	assert_int_equal(count("web", NULL), 10000);
	assert_int_equal(count("web", "v3"), 0);
}

static void test_pins_without_a_store_are_accepted(void **state)
{
	const struct stored_pin p = pin(1, "v2", 0);
	char target[PERCH_NAME_LEN];
	unsigned n = 0;

	assert_int_equal(store_pins_set(NULL, "web", &p, 1), 0);
	assert_int_equal(store_pins_delete(NULL, "web", &p.client, 1), 0);
	assert_int_equal(store_pins_delete_some(NULL, "web", 10), 0);
	assert_int_equal(store_pins_each(NULL, "web", NULL, count_pin, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_pin_target(NULL, "web", &p.client, target), -ENOENT);
}

#define pin_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pin_test(test_pins_are_found_by_the_next_agent),
		pin_test(test_pin_set_again_replaces_what_was),
		pin_test(test_pins_deleted_are_gone_and_others_stay),
		pin_test(test_bulk_of_pins_is_whole),
		pin_test(test_pins_without_a_store_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
