/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dsr: to the backend by its MAC, the rest as it came but for the hop count;
 * and what becomes of connections of which only the client is seen.
 */
#include "prog.h"

#include <errno.h>

#include "../../user/datapath/filter.h"

/* A lab whose services forward so, without ports of their own. */
static int setup_direct(void **state)
{
	struct lab *lab;

	prog_setup(state);
	lab = *state;
	lab_forwards(lab, PERCH_DSR);
	assert_int_equal(lab_apply(lab), 0);
	return 0;
}

#define LAB_FLOWS 8192		/* what a lab has room for */

#define direct_test(f) cmocka_unit_test_setup_teardown(f, setup_direct, prog_teardown)

static void test_direct_changes_macs_and_hop_count_alone(void **state)
{
	static const unsigned sizes[] = { 0, 1, 2, 3, 100, 535, 1432 };
	static struct talk t;

	for_each_mode(m) {
		for (unsigned udp = 0; udp < 2; udp++) {
			mode_talk(&t, *state, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 1 + udp);
			if (!udp)
				assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
				assert_int_equal(talk_client(&t, udp ? 0 : TCP_ACK | TCP_PSH, sizes[i]), TALK_FORWARDED);
			assert_memory_equal(&t.seen.to, &t.client.to, sizeof(t.seen.to));
		}
	}
}

static void test_direct_keeps_a_complete_checksum_complete(void **state)
{
	static struct talk t;
	int result;

	for_each_mode(m) {
		if (m.hook != LAB_TC)
			continue;
		mode_talk(&t, *state, m, IPPROTO_TCP, 3);
		t.complete = true;
		result = talk_client(&t, TCP_SYN, 0);
		if (result == -EINVAL)
			skip();	/* Linux before 6.17 can't test it */
		assert_int_equal(result, TALK_FORWARDED);
	}
}

static void test_direct_takes_tags_off(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		for (unsigned tags = 1; tags <= 2; tags++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 40 + tags);
			t.client.vlans = tags;
			assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
			assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
			assert_int_equal(t.seen.vlans, 0);
		}
	}
}

/* A full table: who is only believed gives way to a new connection, but not to
 * one while there is a half-open one to take. */
static void test_direct_gives_way_after_what_is_half_open(void **state)
{
	struct lab *lab = *state;
	size_t before[16], after[16];
	static struct talk t;
	__u32 n = 1000;

	/* more believed ones than there is room for */
	for (; n < 1000 + LAB_FLOWS * 5 / 4; n++) {
		mode_talk(&t, lab, (struct mode){ LAB_XDP, false }, IPPROTO_TCP, n);
		assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
	}
	flows_count(&lab->datapath.maps, before);
	assert_true(before[PERCH_ONE_SIDED] > LAB_FLOWS * 8 / 10);
	lab_age(lab, 1);
	for (unsigned i = 0; i < LAB_FLOWS; i++, n++) {
		mode_talk(&t, lab, (struct mode){ LAB_XDP, false }, IPPROTO_TCP, n);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		if (i % 64 == 0)
			lab_age(lab, 1);
	}
	flows_count(&lab->datapath.maps, after);
	/* in each pair of sets the first half-open one took a place, and the
	 * others that one's */
	assert_true(after[PERCH_EMBRYONIC] > 0);
	assert_true(after[PERCH_ONE_SIDED] > before[PERCH_ONE_SIDED] / 2);
	assert_true(after[PERCH_ONE_SIDED] < before[PERCH_ONE_SIDED]);
	assert_int_equal(lab_active(lab), after[PERCH_EMBRYONIC] + after[PERCH_ONE_SIDED]);
}

static void test_direct_passes_a_backend_behind_a_router(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	/* what is not in the backends' network is behind the clients' gateway */
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].backend[0][0].address = lab_client(v6, 77);
	lab_single(lab, 0);
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 4);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_NOT_ON_LINK), 1 + m.v6);
	}
	assert_int_equal(lab_active(lab), 0);
}

/* The backend is this host: its stack has the listener's address. */
static void test_direct_passes_to_a_backend_of_this_host_unchanged(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct flow_copy f;

	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].backend[0][0].address = lab_backend(v6, 1);
	lab_single(lab, 0);
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 5);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_PASSED);
		assert_int_equal(talk_flow(&t, &f), 0);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_NEW), MODES);
}

/* A packet from the backend's own address is another connection, even when it
 * would be the reply of nat. */
static void test_direct_takes_nothing_for_a_reply(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 6);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.backend.from = lab_backend(m.v6, t.host);
		filter_set_source(&lab->datapath.maps, &t.backend.from);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_NOT_OUR_REPLY), 1 + m.v6);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_REPLY), 0);
}

static void test_direct_believes_a_client_that_goes_on_in_sequence(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 7);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		t.client.seq += 1 << 24;
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		t.client.seq -= 1 << 24;
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_ONE_SIDED);
	}
	assert_int_equal(lab_active(*state), MODES);
}

/* The backend may go on for long after its client's FIN: ACKs keep the flow. */
static void test_direct_counts_an_end_once_and_keeps_what_goes_on(void **state)
{
	static const __u8 ends[] = { TCP_FIN | TCP_ACK, TCP_RST };
	static struct talk t;

	for_each_mode(m) {
		for (unsigned i = 0; i < 2; i++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 8 + i);
			assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
			assert_int_equal(lab_active(*state), 1);
			assert_int_equal(talk_client(&t, ends[i], 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
			assert_int_equal(lab_active(*state), 0);
			for (unsigned n = 0; n < 3; n++) {
				lab_age(*state, 9);
				assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			}
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
			assert_int_equal(lab_active(*state), 0);
		}
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_AMBIGUOUS), 0);
}

static void test_direct_begins_anew_with_a_syn_after_the_end(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 10);
		assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		t.client.seq += 100000;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(lab_active(*state), 1 + mode_number(m));
	}
}

/* Nobody saw an answer, and nobody could have. */
static void test_direct_counts_no_silence_as_failure(void **state)
{
	struct lab *lab = *state;
	struct perch_counters c;
	struct perch_votes v;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 11);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		lab_age(lab, 7);
		/* its slot is taken by the same client's next connect */
		t.client.seq += 5000;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		lab_counters(lab, lab_backend_id(lab, 0, m.v6, t.host), &c);
		assert_int_equal(c.connect_failures, 0);
		lab_votes(lab, m.v6, 0, &v);
		assert_int_equal(v.connects + v.connect_failures + v.established, 0);
	}
}

static void test_direct_tells_the_client_of_a_severed_version(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 12);
		assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
		lab_sever(lab, m.v6, 0);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_ANSWERED);
		assert_true(t.seen.flags & TCP_RST);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
		/* what the client then says to what its backend still sends goes there */
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
	}
	assert_int_equal(lab_active(lab), 0);
}

/* Two listeners, one client port, one backend: there the addresses differ. */
static void test_direct_needs_no_other_port_for_a_second_listener(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		lab_step(*state, PERCH_SHARE_ALL);
		mode_talk(&t, *state, m, IPPROTO_TCP, 13);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.client.to_port = LAB_DOOR_PORT;
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_ALIASED), 0);
}

static void test_direct_change_of_a_loaded_service_is_refused(void **state)
{
	struct lab *lab = *state;
	char why[WHY] = "";

	lab->web[0].placed.forward = PERCH_NAT;
	assert_int_equal(tables_apply(lab->tables, &lab->web[0].placed, NULL, NULL, why), -EBUSY);
	assert_non_null(strstr(why, "can't change"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		direct_test(test_direct_changes_macs_and_hop_count_alone),
		direct_test(test_direct_keeps_a_complete_checksum_complete),
		direct_test(test_direct_takes_tags_off),
		direct_test(test_direct_gives_way_after_what_is_half_open),
		direct_test(test_direct_passes_a_backend_behind_a_router),
		direct_test(test_direct_passes_to_a_backend_of_this_host_unchanged),
		direct_test(test_direct_takes_nothing_for_a_reply),
		direct_test(test_direct_believes_a_client_that_goes_on_in_sequence),
		direct_test(test_direct_counts_an_end_once_and_keeps_what_goes_on),
		direct_test(test_direct_begins_anew_with_a_syn_after_the_end),
		direct_test(test_direct_counts_no_silence_as_failure),
		direct_test(test_direct_tells_the_client_of_a_severed_version),
		direct_test(test_direct_needs_no_other_port_for_a_second_listener),
		direct_test(test_direct_change_of_a_loaded_service_is_refused),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
