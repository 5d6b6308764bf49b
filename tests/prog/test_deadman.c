/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The dead-man: what is armed goes back to stable when the heartbeat stops. */
#include "prog.h"

#include <unistd.h>

#define SECOND 1000000000ull

static void heart(struct lab *lab, __u64 limit, __u64 at)
{
	lab->datapath.maps.control->deadman = limit;
	__atomic_store_n(&lab->datapath.maps.control->heartbeat, at, __ATOMIC_RELEASE);
}

/* A step of both services to half, armed or not. */
static void begin(struct lab *lab, bool armed)
{
	heart(lab, SECOND, lab_now());
	assert_int_equal(lab_step(lab, 5000), 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct perch_split *s = lab_split(lab, v6);
		__u64 word;

		if (armed)
			assert_int_equal(split_flags(s, split_word(s), PERCH_ARMED, 0, &word), 0);
	}
}

static bool fired(struct lab *lab, bool v6)
{
	return perch_word_epoch(split_word(lab_split(lab, v6))) & 1;
}

/* Beats for so long. */
static void live(struct lab *lab, unsigned ms)
{
	for (unsigned i = 0; i < ms / 50; i++) {
		__atomic_store_n(&lab->datapath.maps.control->heartbeat, lab_now(), __ATOMIC_RELEASE);
		usleep(50000);
	}
}

static void test_deadman_fires_when_the_heart_stops_and_not_before(void **state)
{
	struct lab *lab = *state;
	__u64 counted = lab_reasons(lab, PERCH_R_DEADMAN), stopped;

	begin(lab, true);
	live(lab, 2000);
	assert_false(fired(lab, false) || fired(lab, true));
	stopped = lab->datapath.maps.control->heartbeat;
	while (!(fired(lab, false) && fired(lab, true)) && lab_now() - stopped < 10 * SECOND)
		usleep(10000);
	/* samples of a service in a rollout are taken every 100 ms */
	assert_true(lab_now() - stopped >= SECOND);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		__u32 flags = perch_word_flags(split_word(lab_split(lab, v6)));

		assert_true(fired(lab, v6));
		assert_true(flags & PERCH_BY_DEADMAN && flags & PERCH_ROLLED_BACK);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_DEADMAN) - counted, 2);
	/* and once is enough */
	usleep(500000);
	assert_int_equal(lab_reasons(lab, PERCH_R_DEADMAN) - counted, 2);
}

static void test_deadman_leads_every_new_connection_to_stable(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	begin(lab, true);
	heart(lab, SECOND, lab_now() - 2 * SECOND);
	for (unsigned i = 0; i < 500 && !(fired(lab, false) && fired(lab, true)); i++)
		usleep(10000);
	for_each_mode(m) {
		for (unsigned n = 0; n < 100; n++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, n);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			assert_int_equal(talk_slot(&t), 0);
		}
	}
}

static void stays(struct lab *lab)
{
	usleep(1500000);
	assert_false(fired(lab, false) || fired(lab, true));
}

static void test_deadman_leaves_alone_what_is_not_armed(void **state)
{
	begin(*state, false);
	heart(*state, SECOND, lab_now() - 2 * SECOND);
	stays(*state);
}

static void test_deadman_of_zero_never_fires(void **state)
{
	begin(*state, true);
	heart(*state, 0, lab_now() - 1000 * SECOND);
	stays(*state);
}

static void test_deadman_needs_a_live_stable_backend(void **state)
{
	struct lab *lab = *state;

	begin(lab, true);
	lab_backends(lab, 0, 2, 0);
	assert_int_equal(lab_apply(lab), 0);
	heart(lab, SECOND, lab_now() - 2 * SECOND);
	stays(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_deadman_fires_when_the_heart_stops_and_not_before),
		prog_test(test_deadman_leads_every_new_connection_to_stable),
		prog_test(test_deadman_leaves_alone_what_is_not_armed),
		prog_test(test_deadman_of_zero_never_fires),
		prog_test(test_deadman_needs_a_live_stable_backend),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
