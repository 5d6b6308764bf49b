/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The end of established flows: sever, drain, and whom it must not touch. */
#include "prog.h"

#include <errno.h>

#define LATER_MS 60000

/* Connections of the canary. */
static void connect_canary(struct talk *t, struct lab *lab, struct mode m, __u32 n)
{
	assert_int_equal(lab_step(lab, 10000), 0);
	mode_talk(t, lab, m, IPPROTO_TCP, n);
	assert_int_equal(talk_connect(t), TALK_FORWARDED);
	assert_int_equal(talk_slot(t), 1);
}

/* What came out is a RST to the sender of `sent`, as its stack wants it. */
static void assert_reset(const struct talk *t, const struct packet_spec *sent)
{
	const struct packet_spec *r = &t->seen;

	assert_memory_equal(&r->to, &sent->from, sizeof(r->to));
	assert_memory_equal(&r->from, &sent->to, sizeof(r->from));
	assert_int_equal(r->to_port, sent->from_port);
	assert_int_equal(r->from_port, sent->to_port);
	assert_memory_equal(r->to_mac, sent->from_mac, 6);
	assert_memory_equal(r->from_mac, sent->to_mac, 6);
	assert_int_equal(r->payload, 0);
	assert_int_equal(r->tcp_options, 0);
	assert_true(r->ttl >= 32);
	if (sent->flags & TCP_ACK) {
		assert_int_equal(r->flags, TCP_RST);
		assert_int_equal(r->seq, sent->ack);
	} else {
		assert_int_equal(r->flags, TCP_RST | TCP_ACK);
		assert_int_equal(r->ack, sent->seq + sent->payload + !!(sent->flags & TCP_FIN));
	}
}

static void test_sever_answers_both_ends_with_a_reset(void **state)
{
	static struct talk t;
	__u32 n = 1;

	for_each_mode(m) {
		for (unsigned payload = 0; payload < 1200; payload += 399) {
			__u64 severed = lab_reason(*state, mode_hook(m), PERCH_R_SEVERED);

			connect_canary(&t, *state, m, n++);
			lab_sever(*state, m.v6, 1);
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, payload), TALK_ANSWERED);
			assert_reset(&t, &t.client);
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, payload), TALK_ANSWERED);
			assert_reset(&t, &t.backend);
			assert_int_equal(lab_reason(*state, mode_hook(m), PERCH_R_SEVERED), severed + 2);
		}
	}
	assert_int_equal(lab_active(*state), 0);
}

static void test_sever_answers_what_has_no_ack(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		connect_canary(&t, *state, m, 30);
		lab_sever(*state, m.v6, 1);
		t.client.tcp_options = 12;
		assert_int_equal(talk_client(&t, TCP_FIN, 33), TALK_ANSWERED);
		assert_reset(&t, &t.client);
	}
}

/* Two ends that answer resets with resets never stop. */
static void test_sever_answers_no_reset(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		connect_canary(&t, *state, m, 31);
		lab_sever(*state, m.v6, 1);
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_DROPPED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_DROPPED);
		assert_int_equal(lab_reason(*state, mode_hook(m), PERCH_R_SEVERED_DROP), m.v6 ? 4 : 2);
	}
}

static void test_sever_answer_keeps_a_complete_checksum_complete(void **state)
{
	static struct talk t;
	int result;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		connect_canary(&t, *state, (struct mode){ LAB_TC, v6 }, 32);
		lab_sever(*state, v6, 1);
		t.complete = true;
		/* with a payload to cut the kernel itself takes the sum for unknown */
		result = talk_client(&t, TCP_ACK, 0);
		if (result == -EINVAL)
			skip();		/* Linux before 6.17 can't test it */
		assert_int_equal(result, TALK_ANSWERED);
	}
}

static void test_sever_lets_a_new_connection_in(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		connect_canary(&t, *state, m, 33);
		lab_sever(*state, m.v6, 1);
		t.known = false;
		t.client.seq += 1000000;
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_TCP);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(lab_active(*state), mode_number(m) + 1);
	}
}

static void test_sever_touches_no_other_version(void **state)
{
	static struct talk canary, stable;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 0), 0);
		mode_talk(&stable, *state, m, IPPROTO_TCP, 34);
		assert_int_equal(talk_connect(&stable), TALK_FORWARDED);
		connect_canary(&canary, *state, m, 35);
		lab_sever(*state, m.v6, 1);
		assert_int_equal(talk_client(&stable, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&stable, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&stable), PERCH_TCP);
		assert_int_equal(talk_client(&canary, TCP_ACK, 10), TALK_ANSWERED);
	}
}

static void test_sever_of_udp_decides_anew(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct packet_spec backend;

		assert_int_equal(lab_step(*state, 10000), 0);
		mode_talk(&t, *state, m, IPPROTO_UDP, 36);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
		backend = t.backend;
		split_rollback(lab_split(*state, m.v6), PERCH_BY_AGENT);
		lab_sever(*state, m.v6, 1);
		assert_int_equal(talk_backend(&t, 0, 10), TALK_DROPPED);
		t.known = false;
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		/* the old backend's late answer is no longer the flow's */
		t.backend = backend;
		assert_int_equal(talk_backend(&t, 0, 10), TALK_PASSED);
	}
}

static void test_drain_ends_flows_when_it_is_due_and_not_before(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_version *v = lab_version(*state, m.v6, 1);

		connect_canary(&t, *state, m, 37);
		version_drain(lab_control(*state), v, lab_now(), LATER_MS);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_FORWARDED);
		/* the time has come */
		__atomic_store_n(&v->drain_at, lab_now(), __ATOMIC_SEQ_CST);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_ANSWERED);
		assert_reset(&t, &t.client);
	}
}

static void test_drain_spares_what_came_after_it(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		version_drain(lab_control(*state), lab_version(*state, m.v6, 1), lab_now(), 0);
		connect_canary(&t, *state, m, 38);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_FORWARDED);
	}
}

/* The packet of one end became its answer: the other end may wait for ever. */
static void test_sever_leaves_the_silent_end_to_user_space(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		connect_canary(&t, lab, m, 40);
		lab_sever(lab, m.v6, 1);
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_ANSWERED);
		assert_int_equal(flows_sever(&lab->datapath.maps, lab_now()), 1);
		assert_int_equal(flows_sever(&lab->datapath.maps, lab_now()), 0);
		connect_canary(&t, lab, m, 41);
		lab_sever(lab, m.v6, 1);
		assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_ANSWERED);
		assert_int_equal(talk_backend(&t, TCP_ACK, 0), TALK_ANSWERED);
		assert_int_equal(flows_sever(&lab->datapath.maps, lab_now()), 0);
	}
}

/* User space told both ends of an idle flow: what still comes is answered. */
static void test_sever_mark_of_user_space_ends_a_flow(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		size_t by_class[16];

		connect_canary(&t, lab, m, 39);
		lab_sever(lab, m.v6, 1);
		assert_int_equal(flows_sever(&lab->datapath.maps, lab_now()), 1);
		assert_int_equal(flows_sever(&lab->datapath.maps, lab_now()), 0);
		flows_count(&lab->datapath.maps, by_class);
		assert_int_equal(by_class[PERCH_TCP], 0);
		assert_int_equal(talk_client(&t, TCP_ACK, 1), TALK_ANSWERED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_sever_answers_both_ends_with_a_reset),
		prog_test(test_sever_answers_what_has_no_ack),
		prog_test(test_sever_answers_no_reset),
		prog_test(test_sever_answer_keeps_a_complete_checksum_complete),
		prog_test(test_sever_lets_a_new_connection_in),
		prog_test(test_sever_touches_no_other_version),
		prog_test(test_sever_of_udp_decides_anew),
		prog_test(test_drain_ends_flows_when_it_is_due_and_not_before),
		prog_test(test_drain_spares_what_came_after_it),
		prog_test(test_sever_leaves_the_silent_end_to_user_space),
		prog_test(test_sever_mark_of_user_space_ends_a_flow),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
