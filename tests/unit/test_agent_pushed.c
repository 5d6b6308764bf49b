// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns series that were pushed, and secrets from files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/agent/outside/pushed.h"
#include "../../user/agent/outside/token.h"

#define SECOND 1000000000ull

static void test_series_keep_the_newest_values(void **state)
{
	struct pushed p = {};
	const struct pushed_series *s;

	for (int i = 0; i < 3 * PUSHED_VALUES; i++)
		assert_int_equal(pushed_add(&p, "web", "v2", "rate", i, i * SECOND), 0);
	s = pushed_find(&p, "web", "v2", "rate");
	assert_non_null(s);
	assert_int_equal(p.n, 1);
	assert_int_equal(s->count, 3 * PUSHED_VALUES);
	assert_true(pushed_last(s)->value == 3 * PUSHED_VALUES - 1);
	assert_null(pushed_find(&p, "web", "v1", "rate"));
	assert_null(pushed_find(&p, "shop", "v2", "rate"));
	assert_null(pushed_find(&p, "web", "v2", "other"));
	pushed_free(&p);
	assert_null(p.first);
}

static void test_series_two_at_one_time_are_told_apart(void **state)
{
	struct pushed p = {};
	__u64 first;

	assert_int_equal(pushed_add(&p, "web", "v2", "rate", 1, SECOND), 0);
	first = pushed_last(p.first)->at;
	assert_int_equal(pushed_add(&p, "web", "v2", "rate", 1, SECOND), 0);
	assert_true(pushed_last(p.first)->at > first);
	pushed_free(&p);
}

static void test_series_are_bounded_and_age(void **state)
{
	struct pushed p = {};
	char name[16];

	for (int i = 0; i < PUSHED_SERIES; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(pushed_add(&p, "web", "v2", name, 1, i < 10 ? SECOND : 2 * SECOND), 0);
	}
	assert_int_equal(pushed_add(&p, "web", "v2", "more", 1, 3 * SECOND), -ENOSPC);
	assert_int_equal(pushed_add(&p, "web", "v2", "m77", 2, 3 * SECOND), 0);
	/* an hour later the first ten have gone, and there is room */
	assert_int_equal(pushed_add(&p, "web", "v2", "more", 1, PUSHED_LIFE + SECOND), 0);
	assert_int_equal(p.n, PUSHED_SERIES - 10 + 1);
	assert_null(pushed_find(&p, "web", "v2", "m3"));
	assert_non_null(pushed_find(&p, "web", "v2", "m77"));
	pushed_age(&p, PUSHED_LIFE + 2 * SECOND);
	assert_int_equal(p.n, 2);
	pushed_free(&p);
}

static int token_of(const char *text, size_t n, char out[TOKEN_BYTES])
{
	char path[] = "/tmp/test-agent-pushed.XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
	r = token_read(path, out);
	unlink(path);
	return r;
}

static void test_token_is_the_text_of_its_file(void **state)
{
	char out[TOKEN_BYTES], many[TOKEN_BYTES];

	memset(many, 'x', sizeof(many));
	assert_int_equal(token_of(" secret-1\n", 10, out), 0);
	assert_string_equal(out, "secret-1");
	assert_int_equal(token_of("\n \n", 3, out), -ENODATA);
	assert_int_equal(token_of("", 0, out), -ENODATA);
	assert_int_equal(token_of("a\nb", 3, out), -EINVAL);
	assert_int_equal(token_of("a\0b", 3, out), -EINVAL);
	assert_int_equal(token_of(many, sizeof(many), out), -EFBIG);
	assert_int_equal(token_of(many, sizeof(many) - 1, out), 0);
	assert_int_equal(token_read("/nonexistent/token", out), -ENOENT);
	assert_string_equal(out, "");
}

static void test_token_authorizes_itself_alone(void **state)
{
	assert_true(token_authorizes("Bearer secret", "secret"));
	assert_true(token_authorizes("bearer secret", "secret"));
	assert_false(token_authorizes("Bearer secre", "secret"));
	assert_false(token_authorizes("Bearer secretx", "secret"));
	assert_false(token_authorizes("Bearer ", ""));
	assert_false(token_authorizes("Basic secret", "secret"));
	assert_false(token_authorizes("secret", "secret"));
	assert_false(token_authorizes(NULL, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_series_keep_the_newest_values),
		cmocka_unit_test(test_series_two_at_one_time_are_told_apart),
		cmocka_unit_test(test_series_are_bounded_and_age),
		cmocka_unit_test(test_token_is_the_text_of_its_file),
		cmocka_unit_test(test_token_authorizes_itself_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
