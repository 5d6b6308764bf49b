/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A store on a real file, in a directory of the test's own. */
#ifndef TEST_AGENT_STORE_H
#define TEST_AGENT_STORE_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/agent/events.h"
#include "../../user/agent/store/store.h"
#include "../../user/agent/store/store_votes.h"

static char base[64], dir[96];

static inline int make_dir(void **state)
{
	snprintf(base, sizeof(base), "/tmp/perch-store.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(dir, sizeof(dir), "%s/state", base);
	return 0;
}

static inline int remove_dir(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	return system(command);
}

static inline struct store *open_again(struct store *s)
{
	char why[STORE_WHY] = "";
	bool corrupt;

	store_close(s);
	if (store_open(&s, dir, &corrupt, why))
		fail_msg("%s", why);
	assert_false(corrupt);
	return s;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

#endif
