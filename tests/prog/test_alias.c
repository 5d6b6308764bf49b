/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One client port through several listeners to one backend at once: there it
 * becomes several, and an alias leads the replies back. */
#include "prog.h"

#include <arpa/inet.h>

#define LISTENERS 4

/* Both services with one backend and these listeners, of TCP or of UDP. */
static void one_backend(struct lab *lab, __u8 protocol)
{
	static struct perch_endpoint listen[2][LISTENERS];

	lab_backends(lab, 0, 2, 1);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned i = 0; i < LISTENERS; i++)
			listen[v6][i] = (struct perch_endpoint){
				.address = lab_listener(v6), .port = htons(1000 + i), .protocol = protocol,
			};
		lab->web[v6].placed.listen = listen[v6];
		lab->web[v6].placed.n_listen = LISTENERS;
	}
	assert_int_equal(lab_apply(lab), 0);
}

static void talk_through(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u32 n, unsigned listener)
{
	mode_talk(t, lab, m, protocol, n);
	t->client.to_port = 1000 + listener;
	t->translates = true;
}

/* Every bit of both directions is checked by talk. */
static void exchange(struct talk *t, __u8 flags)
{
	for (unsigned payload = 1; payload <= 1000; payload *= 10) {
		assert_int_equal(talk_client(t, flags, payload), TALK_FORWARDED);
		assert_int_equal(talk_backend(t, flags, payload + 1), TALK_FORWARDED);
	}
}

static void test_alias_keeps_connections_of_one_port_apart(void **state)
{
	static struct talk t[LISTENERS];

	one_backend(*state, IPPROTO_TCP);
	for_each_mode(m) {
		__u64 aliased = lab_reasons(*state, PERCH_R_ALIASED);

		for (unsigned i = 0; i < LISTENERS; i++) {
			talk_through(&t[i], *state, m, IPPROTO_TCP, 1, i);
			assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
			for (unsigned k = 0; k < i; k++)
				assert_int_not_equal(t[i].backend.to_port, t[k].backend.to_port);
		}
		/* who came first has its own port */
		assert_int_equal(t[0].backend.to_port, t[0].client.from_port);
		assert_int_equal(lab_reasons(*state, PERCH_R_ALIASED) - aliased, LISTENERS - 1);
		for (unsigned round = 0; round < 3; round++)
			for (unsigned i = 0; i < LISTENERS; i++)
				exchange(&t[i], TCP_ACK | TCP_PSH);
	}
}

static void test_alias_is_nobodys_connection(void **state)
{
	static struct talk first, second;
	struct lab *lab = *state;

	one_backend(lab, IPPROTO_TCP);
	for_each_mode(m) {
		__u64 active = lab_active(lab);
		size_t entries = flows_count(&lab->datapath.maps, NULL);

		talk_through(&first, lab, m, IPPROTO_TCP, 2, 0);
		talk_through(&second, lab, m, IPPROTO_TCP, 2, 1);
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_equal(lab_active(lab) - active, 2);
		assert_int_equal(flows_count(&lab->datapath.maps, NULL) - entries, 2);
		/* and it ends with its flow */
		assert_int_equal(talk_client(&second, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&second, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_client(&second, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(lab_active(lab) - active, 1);
		exchange(&first, TCP_ACK);
	}
}

/* A port that an alias took and a client then uses itself. */
static void test_alias_gives_way_to_nobody_and_meets_the_port_it_took(void **state)
{
	static struct talk first, second, third;

	one_backend(*state, IPPROTO_TCP);
	for_each_mode(m) {
		talk_through(&first, *state, m, IPPROTO_TCP, 3, 0);
		talk_through(&second, *state, m, IPPROTO_TCP, 3, 1);
		talk_through(&third, *state, m, IPPROTO_TCP, 3, 1);
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		third.client.from_port = second.backend.to_port;
		assert_int_equal(talk_connect(&third), TALK_FORWARDED);
		assert_int_not_equal(third.backend.to_port, second.backend.to_port);
		assert_int_not_equal(third.backend.to_port, first.backend.to_port);
		exchange(&third, TCP_ACK);
		exchange(&second, TCP_ACK);
		exchange(&first, TCP_ACK);
	}
}

static void test_alias_works_for_udp(void **state)
{
	static struct talk t[2];

	one_backend(*state, IPPROTO_UDP);
	for_each_mode(m) {
		for (unsigned i = 0; i < 2; i++) {
			talk_through(&t[i], *state, m, IPPROTO_UDP, 4, i);
			assert_int_equal(talk_client(&t[i], 0, 20), TALK_FORWARDED);
		}
		assert_int_not_equal(t[0].backend.to_port, t[1].backend.to_port);
		for (unsigned round = 0; round < 2; round++)
			for (unsigned i = 0; i < 2; i++)
				exchange(&t[i], 0);
	}
}

/* Once the first is over, its port is free for the next. */
static void test_alias_is_not_needed_after_the_first_closed(void **state)
{
	static struct talk first, second;

	one_backend(*state, IPPROTO_TCP);
	for_each_mode(m) {
		talk_through(&first, *state, m, IPPROTO_TCP, 5, 0);
		talk_through(&second, *state, m, IPPROTO_TCP, 5, 1);
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_client(&first, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&first, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_equal(second.backend.to_port, second.client.from_port);
		exchange(&second, TCP_ACK);
	}
}

/* A connect that came to nothing, and then one from the same port elsewhere:
 * the first is still in the table, and nobody's. */
static void test_reply_is_not_an_expired_flows(void **state)
{
	static struct talk first, second;

	one_backend(*state, IPPROTO_TCP);
	for_each_mode(m) {
		talk_through(&first, *state, m, IPPROTO_TCP, 6, 0);
		talk_through(&second, *state, m, IPPROTO_TCP, 6, 1);
		assert_int_equal(talk_client(&first, TCP_SYN, 0), TALK_FORWARDED);
		lab_age(*state, 7);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_equal(second.backend.to_port, second.client.from_port);
		exchange(&second, TCP_ACK);
	}
}

/* What the backend still sends on a connection that is over is not for the one
 * that came after it from the same port. */
static void test_alias_of_before_leads_nowhere(void **state)
{
	static struct talk first, second;

	one_backend(*state, IPPROTO_TCP);
	for_each_mode(m) {
		__u16 before;

		talk_through(&first, *state, m, IPPROTO_TCP, 7, 0);
		talk_through(&second, *state, m, IPPROTO_TCP, 7, 1);
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		before = second.backend.to_port;
		assert_int_equal(talk_client(&second, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&second, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		talk_through(&second, *state, m, IPPROTO_TCP, 7, 1);
		second.client.seq += 100000;
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_not_equal(second.backend.to_port, before);
		exchange(&second, TCP_ACK);
		second.backend.to_port = before;
		assert_int_equal(talk_backend(&second, TCP_ACK, 10), TALK_PASSED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_alias_keeps_connections_of_one_port_apart),
		prog_test_bare(test_alias_is_nobodys_connection),
		prog_test_bare(test_alias_gives_way_to_nobody_and_meets_the_port_it_took),
		prog_test_bare(test_alias_works_for_udp),
		prog_test_bare(test_alias_is_not_needed_after_the_first_closed),
		prog_test_bare(test_reply_is_not_an_expired_flows),
		prog_test_bare(test_alias_of_before_leads_nowhere),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
