/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* An address taken over from the stack with its connections, and handed back
 * to it with ours. */
#include "knock.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

#include "../../user/datapath/listeners.h"

static void sleep_ms(long ms)
{
	const struct timespec nap = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&nap, NULL);
}

#define ADOPT_MS 1500

static void adopt(struct lab *lab, __u64 ms)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.adopt = ms * 1000000;
	assert_int_equal(lab_apply(lab), 0);
}

/* The fate of a packet of a connection that nobody knows. */
static int midstream(struct talk *t, struct lab *lab, struct mode m, __u8 flags, unsigned payload)
{
	static __u32 n = 10000;

	mode_talk(t, lab, m, IPPROTO_TCP, n++);
	return talk_client(t, flags, payload);
}

static void test_adopted_connections_stay_with_the_stack(void **state)
{
	struct lab *lab = *state;
	static struct talk t, mine[MODES];
	__u64 until = lab_now() + ADOPT_MS * 1000000ull;

	adopt(lab, ADOPT_MS);
	for_each_mode(m) {
		__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_ADOPTED);

		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 0), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK | TCP_PSH, 100), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK | TCP_FIN, 0), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_RST, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_ADOPTED) - before, 4);
		/* who connects now is ours, and so is UDP */
		mode_talk(&mine[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&mine[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&t, lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&t, 0, 30), TALK_FORWARDED);
		/* the door is an address that was taken over, too */
		mode_talk(&t, lab, m, IPPROTO_TCP, 3);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_PASSED);
	}
	while (lab_now() < until + 10000000)
		sleep_ms(10);
	for_each_mode(m) {
		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&mine[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&mine[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
	}
}

static __u64 adopt_until(const struct lab *lab)
{
	const struct perch_listener *l = lab->datapath.maps.listeners;

	for (__u32 id = 1; id < lab->datapath.maps.control->listeners_n; id++)
		if (l[id].in_use && l[id].port == htons(LAB_PORT) && !lab_is_v6(&l[id].address))
			return l[id].adopt_until;
	return ~0ull;
}

static void test_adoption_is_the_first_take_overs(void **state)
{
	struct lab *lab = *state;
	__u64 before = lab_now(), first;
	static struct talk t;

	adopt(lab, 600000);
	first = adopt_until(lab);
	assert_in_range(first, before + 600000000000ull, lab_now() + 600000000000ull);
	/* neither a reload nor another agent nor a longer time begins it anew */
	adopt(lab, 600000);
	assert_int_equal(adopt_until(lab), first);
	reopen(lab);
	adopt(lab, 3600000);
	assert_int_equal(adopt_until(lab), first);
	/* a shorter one ends it sooner */
	adopt(lab, 1000);
	assert_in_range(adopt_until(lab), before, lab_now() + 1000000000);
	adopt(lab, 0);
	assert_int_equal(adopt_until(lab), 0);
	adopt(lab, 600000);
	assert_int_equal(adopt_until(lab), 0);
	assert_int_equal(midstream(&t, lab, (struct mode){ LAB_TC, false }, TCP_ACK, 0), TALK_FORWARDED);
	/* the stack had it in between: that is a take-over */
	tables_remove(lab->tables, 0);
	assert_int_equal(adopt_until(lab), ~0ull);
	adopt(lab, 600000);
	assert_true(adopt_until(lab) > first);
	assert_int_equal(midstream(&t, lab, (struct mode){ LAB_TC, false }, TCP_ACK, 0), TALK_PASSED);
}

static void test_leaving_listener_keeps_its_connections_only(void **state)
{
	struct lab *lab = *state;
	static struct talk t, tcp[MODES], udp[MODES];

	for_each_mode(m) {
		mode_talk(&tcp[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&tcp[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&udp[mode_number(m)], lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 30), TALK_FORWARDED);
	}
	assert_int_equal(listeners_leave_all(&lab->datapath.maps, true), 6);
	for_each_mode(m) {
		__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_LEAVING);

		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), TALK_PASSED);
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_DOOR_PORT), TALK_PASSED);
		assert_int_equal(knock(&t, lab, m, IPPROTO_UDP, LAB_UDP_PORT), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 10), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_LEAVING) - before, 4);
		assert_int_equal(talk_client(&tcp[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&tcp[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&udp[mode_number(m)], 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 10), TALK_FORWARDED);
	}
	/* another agent does not take them again by itself; an apply does */
	reopen(lab);
	assert_knock(lab, LAB_DOOR_PORT, TALK_PASSED);
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m)
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), TALK_FORWARDED);
}

static void test_called_off_leave_spares_who_leaves_anyway(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	listeners_leave_all(&lab->datapath.maps, true);
	lab->datapath.maps.names[1].leaving_until = lab_now();
	assert_int_equal(listeners_leave_all(&lab->datapath.maps, false), 3);
	for_each_mode(m)
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), m.v6 ? TALK_PASSED : TALK_FORWARDED);
}

static size_t left_of(const struct maps *m, unsigned service)
{
	size_t *n = calloc(m->control->services, sizeof(*n)), of;

	assert_non_null(n);
	flows_left(m, n);
	of = n[service];
	free(n);
	return of;
}

static void test_flows_left_are_those_with_something_to_say(void **state)
{
	const struct mode m = { LAB_TC, false };
	struct lab *lab = *state;
	const struct maps *maps = &lab->datapath.maps;
	static struct talk whole, half, reset, v6;

	mode_talk(&whole, lab, m, IPPROTO_TCP, 1);
	mode_talk(&half, lab, m, IPPROTO_TCP, 2);
	mode_talk(&reset, lab, m, IPPROTO_TCP, 3);
	mode_talk(&v6, lab, (struct mode){ LAB_XDP, true }, IPPROTO_UDP, 4);
	assert_int_equal(flows_left(maps, NULL), 0);
	assert_int_equal(talk_connect(&whole), TALK_FORWARDED);
	assert_int_equal(talk_connect(&half), TALK_FORWARDED);
	assert_int_equal(talk_connect(&reset), TALK_FORWARDED);
	assert_int_equal(talk_client(&v6, 0, 10), TALK_FORWARDED);
	assert_int_equal(flows_left(maps, NULL), 4);
	assert_int_equal(left_of(maps, 0), 3);
	assert_int_equal(left_of(maps, 1), 1);
	close_both(&whole);
	/* the other side may send for hours after one FIN */
	assert_int_equal(talk_client(&half, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(&reset, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(left_of(maps, 0), 3);
	lab_age(lab, 2);
	assert_int_equal(left_of(maps, 0), 1);
	assert_int_equal(left_of(maps, 1), 1);
	lab_age(lab, 30);
	assert_int_equal(left_of(maps, 0), 1);
	assert_int_equal(left_of(maps, 1), 0);
	lab_age(lab, 7200);
	assert_int_equal(flows_left(maps, NULL), 0);
}

static void test_handed_back_flows_pass_unsevered(void **state)
{
	struct lab *lab = *state;
	static struct talk tcp[MODES], udp[MODES];

	for_each_mode(m) {
		mode_talk(&tcp[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&tcp[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&udp[mode_number(m)], lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 30), TALK_FORWARDED);
	}
	assert_int_equal(lab_active(lab), 2 * MODES);
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	for_each_mode(m) {
		int fate = m.v6 ? TALK_FORWARDED : TALK_PASSED;

		assert_int_equal(talk_client(&tcp[mode_number(m)], TCP_ACK, 10), fate);
		assert_int_equal(talk_backend(&tcp[mode_number(m)], TCP_ACK, 10), fate);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 10), fate);
		assert_int_equal(talk_backend(&udp[mode_number(m)], 0, 10), fate);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED), 0);
	assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED_DROP), 0);
	assert_int_equal(left_of(&lab->datapath.maps, 0), 0);
	assert_int_equal(left_of(&lab->datapath.maps, 1), MODES);
}

static __u64 nobody(void *arg, __u32 backend)
{
	return 0;
}

/* Every end is counted once, so that its elements come free. */
static void test_handed_back_service_leaves_nothing(void **state)
{
	const struct mode m = { LAB_XDP, false };
	struct lab *lab = *state;
	static struct talk t;

	for (__u32 n = 0; n < 20; n++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, n);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		if (n % 2)
			close_both(&t);
	}
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	/* the first look notes that it is idle, one 2 s later frees it */
	for (int i = 0; i < 40 && !tables_version_empty(lab->tables, 0, 0); i++) {
		tables_reap(lab->tables, nobody, NULL);
		sleep_ms(100);
	}
	assert_true(tables_version_empty(lab->tables, 0, 0));
	assert_true(tables_version_empty(lab->tables, 0, 1));
	assert_false(tables_version_empty(lab->tables, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_adopted_connections_stay_with_the_stack),
		prog_test_bare(test_adoption_is_the_first_take_overs),
		prog_test(test_leaving_listener_keeps_its_connections_only),
		prog_test(test_called_off_leave_spares_who_leaves_anyway),
		prog_test(test_flows_left_are_those_with_something_to_say),
		prog_test(test_handed_back_flows_pass_unsevered),
		prog_test(test_handed_back_service_leaves_nothing),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
