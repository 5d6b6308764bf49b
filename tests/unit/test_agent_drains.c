// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Drains in the store: what a person said is found again by the next agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/store/store_drains.h"

static char dir[64];

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/perch-drains.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct store *open_again(struct store *s)
{
	char why[STORE_WHY] = "";
	bool corrupt;

	store_close(s);
	if (store_open(&s, dir, &corrupt, why))
		fail_msg("%s", why);
	return s;
}

static char seen[512];

static void note(void *arg, const char *address, __u64 since)
{
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s@%llu ", address, (unsigned long long)since);
}

static const char *drains(struct store *s, const char *service)
{
	seen[0] = 0;
	assert_int_equal(store_drains(s, service, note, NULL), 0);
	return seen;
}

static void test_drains_are_found_again_by_service(void **state)
{
	struct store *s = open_again(NULL);

	assert_string_equal(drains(s, "web"), "");
	assert_int_equal(store_drain(s, "web", "10.0.0.2:80", 1718000000), 0);
	assert_int_equal(store_drain(s, "web", "[fd00::1]:80", 1718000001), 0);
	assert_int_equal(store_drain(s, "api", "10.0.0.2:80", 1718000002), 0);
	s = open_again(s);
	assert_string_equal(drains(s, "web"), "10.0.0.2:80@1718000000 [fd00::1]:80@1718000001 ");
	assert_string_equal(drains(s, "api"), "10.0.0.2:80@1718000002 ");
	assert_int_equal(store_drain(s, "web", "10.0.0.2:80", 1718000009), 0);
	assert_string_equal(drains(s, "web"), "10.0.0.2:80@1718000009 [fd00::1]:80@1718000001 ");
	store_close(s);
}

static void test_resume_takes_one_or_all_of_a_service(void **state)
{
	struct store *s = open_again(NULL);

	assert_int_equal(store_resume(s, "web", "10.0.0.2:80"), 0);
	assert_int_equal(store_resume(s, "web", "10.0.0.2:80"), 0);
	assert_string_equal(drains(s, "web"), "[fd00::1]:80@1718000001 ");
	assert_int_equal(store_resume_all(s, "web"), 0);
	s = open_again(s);
	assert_string_equal(drains(s, "web"), "");
	assert_string_equal(drains(s, "api"), "10.0.0.2:80@1718000002 ");
	store_close(s);
}

static void test_no_store_is_no_error(void **state)
{
	assert_int_equal(store_drain(NULL, "web", "10.0.0.2:80", 1), 0);
	assert_int_equal(store_resume(NULL, "web", "10.0.0.2:80"), 0);
	assert_int_equal(store_resume_all(NULL, "web"), 0);
	assert_string_equal(drains(NULL, "web"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drains_are_found_again_by_service),
		cmocka_unit_test(test_resume_takes_one_or_all_of_a_service),
		cmocka_unit_test(test_no_store_is_no_error),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
