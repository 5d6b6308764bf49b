/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tests of the programs share: cmocka, modes, a fresh lab each. */
#ifndef PERCH_TEST_PROG_H
#define PERCH_TEST_PROG_H

#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "talk.h"

/* Every test of steering runs by both hooks and in both families. */
struct mode {
	enum lab_hook hook;
	bool v6;
};
#define MODES 4
#define for_each_mode(m)                                                       \
	for (struct mode m = { LAB_XDP, false }; mode_number(m) < MODES; m = mode_next(m))

static inline unsigned mode_number(struct mode m)
{
	return m.hook * 2 + m.v6;
}

static inline struct mode mode_next(struct mode m)
{
	unsigned next = mode_number(m) + 1;

	return (struct mode){ next / 2, next & 1 };
}

static inline enum perch_hook mode_hook(struct mode m)
{
	return m.hook == LAB_XDP ? PERCH_HOOK_XDP : PERCH_HOOK_TC_IN;
}

/* Of the word of that family's service. */
static inline __u32 lab_epoch(struct lab *lab, struct mode m)
{
	return perch_word_epoch(split_word(lab_split(lab, m.v6)));
}

/* One long wait votes in so many ns: the next one may. */
static inline void lab_next_moment(void)
{
	__u64 left = PERCH_STALL_NS - lab_now() % PERCH_STALL_NS + 1000000;
	struct timespec t = { left / 1000000000, left % 1000000000 };

	nanosleep(&t, NULL);
}

/* A client that no other test of this lab has been. */
static inline void mode_talk(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u32 n)
{
	talk_init(t, lab, m.hook, m.v6, protocol, n * MODES + mode_number(m));
}

/* Setup of a test: a lab with both services prepared, all to stable.  A test
 * may say in its initial state that it wants other options. */
static inline int prog_setup(void **state)
{
	static struct lab lab;

	assert_int_equal(lab_open(&lab, *state), 0);
	lab_web(&lab);
	*state = &lab;
	return 0;
}

/* The same with the services in the kernel. */
static inline int prog_setup_web(void **state)
{
	prog_setup(state);
	assert_int_equal(lab_apply(*state), 0);
	return 0;
}

static inline int prog_teardown(void **state)
{
	lab_close(*state);
	return 0;
}

#define prog_test(f) cmocka_unit_test_setup_teardown(f, prog_setup_web, prog_teardown)
/* For a test that changes the services and applies them itself. */
#define prog_test_bare(f) cmocka_unit_test_setup_teardown(f, prog_setup, prog_teardown)
#define prog_test_big(f, options)                                              \
	cmocka_unit_test_prestate_setup_teardown(f, prog_setup_web, prog_teardown, options)

#endif
