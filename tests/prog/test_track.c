/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The life of a flow: classes, proofs, restarts, ends. */
#include "prog.h"

#include <arpa/inet.h>

#include <errno.h>

static void test_track_handshake_establishes_on_the_clients_ack(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

/* Anybody can send an ACK; only who saw the SYN-ACK knows its number. */
static void test_track_wrong_ack_establishes_nothing(void **state)
{
	static struct talk t;
	__u32 right;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 2);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.client.ack = 0;
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		right = t.client.ack;
		for (int off = -2; off <= 2; off++) {
			if (!off)
				continue;
			t.client.ack = right + off;
			assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		}
		t.client.ack = right;
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

static void test_track_reply_that_is_no_syn_establishes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 3);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

static void test_track_fins_of_both_sides_close(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		for (unsigned client_first = 0; client_first < 2; client_first++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 4 + client_first);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			assert_int_equal(client_first ? talk_client(&t, TCP_FIN | TCP_ACK, 0) :
							talk_backend(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_TCP);
			assert_int_equal(client_first ? talk_backend(&t, TCP_FIN | TCP_ACK, 0) :
							talk_client(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
			/* the last ACKs still go their way */
			assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
		}
	}
	assert_int_equal(lab_active(*state), 0);
}

static void test_track_reset_of_either_side_closes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 6);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
		mode_talk(&t, *state, m, IPPROTO_TCP, 7);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
	}
	assert_int_equal(lab_active(*state), 0);
}

/* A RST far from the expected number is forwarded, for the end to judge, but
 * ends no flow here. */
static void test_track_blind_reset_closes_nothing(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 8);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		t.client.seq += 1 << 30;
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
		t.backend.seq -= 1 << 30;
		assert_int_equal(talk_backend(&t, TCP_RST, 0), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

/* The entry of a SYN is a client's port used again: which connection is it? */
static void test_track_same_syn_again_keeps_backend_and_entry(void **state)
{
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 9);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_int_equal(again.flow.created, first.flow.created);
		assert_true(again.flow.flags & PERCH_FLOW_RESYN);
	}
}

/* TCP Fast Open: the SYN comes again without its data, and the answer quotes
 * the data or leaves it out. */
static void test_track_syn_with_data_is_a_syn(void **state)
{
	struct perch_votes votes, before;
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		for (unsigned quoted = 0; quoted <= 500; quoted += 500) {
			lab_votes(*state, m.v6, 0, &before);
			mode_talk(&t, *state, m, IPPROTO_TCP, 40 + quoted);
			assert_int_equal(talk_client(&t, TCP_SYN, 500), TALK_FORWARDED);
			assert_int_equal(talk_flow(&t, &first), 0);
			t.client.seq -= 501;
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			assert_int_equal(talk_flow(&t, &again), 0);
			assert_int_equal(again.flow.created, first.flow.created);
			t.backend.ack = t.client.seq + quoted;
			assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_flow(&t, &again), 0);
			assert_true(again.flow.flags & PERCH_FLOW_ANSWERED);
			lab_votes(*state, m.v6, 0, &votes);
			assert_int_equal(votes.connects, before.connects + 1);
			assert_int_equal(votes.connect_failures, before.connect_failures);
			assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_TCP);
		}
	}
}

static void test_track_other_syn_on_an_embryonic_entry_begins_anew(void **state)
{
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		__u64 active = lab_active(*state);

		mode_talk(&t, *state, m, IPPROTO_TCP, 10);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		t.client.seq += 100000;
		t.known = false;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_true(again.flow.created > first.flow.created);
		assert_int_equal(again.flow.client_next, t.client.seq);
		assert_int_equal(lab_active(*state), active + 1);
	}
}

/* On an established one the backend's challenge ACK decides: same backend. */
static void test_track_syn_on_an_established_entry_stays(void **state)
{
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 11);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		t.client.seq += 100000;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_int_equal(again.class, PERCH_TCP);
		assert_int_equal(again.flow.created, first.flow.created);
		assert_int_equal(again.flow.backend, first.flow.backend);
	}
}

static void test_track_syn_on_a_closed_entry_begins_anew(void **state)
{
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		__u64 active = lab_active(*state);

		mode_talk(&t, *state, m, IPPROTO_TCP, 12);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		t.known = false;
		t.client.seq += 100000;
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_int_equal(again.class, PERCH_TCP);
		assert_true(again.flow.created > first.flow.created);
		assert_int_equal(lab_active(*state), active + 1);
	}
}

static void test_track_a_reset_begins_no_flow(void **state)
{
	struct flow_copy f;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 13);
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), -ENOENT);
	}
	assert_int_equal(lab_active(*state), 0);
}

static void test_track_udp_is_established_when_the_client_goes_on_after_a_reply(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_UDP, 14);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_UDP_NEW);
		assert_int_equal(talk_backend(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_UDP_NEW);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_UDP);
	}
}

static void test_track_sequence_numbers_follow_both_ends(void **state)
{
	struct flow_copy f;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 15);
		/* across the wrap */
		t.client.seq = 0xffffff00;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.backend.seq = 0xffffffe0;
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK, 200), TALK_FORWARDED);
			assert_int_equal(talk_flow(&t, &f), 0);
			assert_int_equal(f.flow.client_next, t.client.seq);
			assert_int_equal(f.flow.backend_next, t.backend.seq);
		}
		/* what comes again does not turn them back */
		t.client.seq -= 300;
		assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_int_equal(f.flow.client_next, t.client.seq + 200);
	}
}

/* Two CPUs see the two FINs at once, and neither sees the other's. */
static void lose_sight_of_a_fin(struct lab *lab, const struct talk *t, __u32 fin)
{
	const struct maps *m = &lab->datapath.maps;

	for (__u32 set = 0; set < m->control->flow_sets; set++)
		for (unsigned way = 0; way < PERCH_WAYS; way++) {
			struct perch_flow *f = &m->flows[set].flow[way];

			if (!memcmp(&f->key.client, &t->client.from, sizeof(f->key.client)) &&
			    f->key.client_port == htons(t->client.from_port))
				f->flags |= fin;
		}
}

static void test_track_knows_by_the_next_ack_that_two_fins_crossed(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		for (unsigned client_first = 0; client_first < 2; client_first++) {
			__u64 active = lab_active(*state);

			mode_talk(&t, *state, m, IPPROTO_TCP, 90 + client_first);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			if (client_first)
				assert_int_equal(talk_client(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
			else
				assert_int_equal(talk_backend(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
			lose_sight_of_a_fin(*state, &t, client_first ? PERCH_FLOW_FIN_BACKEND : PERCH_FLOW_FIN_CLIENT);
			assert_int_equal(talk_class(&t), PERCH_TCP);
			if (client_first)
				assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			else
				assert_int_equal(talk_backend(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_CLOSING);
			assert_int_equal(lab_active(*state), active);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_track_handshake_establishes_on_the_clients_ack),
		prog_test(test_track_knows_by_the_next_ack_that_two_fins_crossed),
		prog_test(test_track_wrong_ack_establishes_nothing),
		prog_test(test_track_reply_that_is_no_syn_establishes),
		prog_test(test_track_fins_of_both_sides_close),
		prog_test(test_track_reset_of_either_side_closes),
		prog_test(test_track_blind_reset_closes_nothing),
		prog_test(test_track_same_syn_again_keeps_backend_and_entry),
		prog_test(test_track_syn_with_data_is_a_syn),
		prog_test(test_track_other_syn_on_an_embryonic_entry_begins_anew),
		prog_test(test_track_syn_on_an_established_entry_stays),
		prog_test(test_track_syn_on_a_closed_entry_begins_anew),
		prog_test(test_track_a_reset_begins_no_flow),
		prog_test(test_track_udp_is_established_when_the_client_goes_on_after_a_reply),
		prog_test(test_track_sequence_numbers_follow_both_ends),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
