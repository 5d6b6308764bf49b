/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fullnat: the backend sees a source of this host, replies come back to it and
 * go to the client; no two connections are one to a backend, and a port goes
 * with its flow.
 */
#include <arpa/inet.h>
#include <unistd.h>

#include "prog.h"

#define FIRST 61000
#define LAST 65000
#define FEW_FIRST 61003		/* 13 ports, over the edges of two groups of eight */
#define FEW_LAST 61015
#define FEW (FEW_LAST - FEW_FIRST + 1)

static struct lab *lab_with(void **state, unsigned sources, __u16 first, __u16 last, unsigned backends)
{
	struct lab *lab = *state;

	lab_fullnat(lab, sources, first, last);
	lab_backends(lab, 0, 2, backends);
	assert_int_equal(lab_apply(lab), 0);
	return lab;
}

/* Is what the backend sees one of `n` sources, by a port in range? */
static void assert_source(const struct talk *t, bool v6, unsigned n, __u16 first, __u16 last)
{
	bool known = false;

	for (unsigned i = 0; i < n; i++) {
		struct perch_address a = lab_source(v6, i);

		known = known || !memcmp(&a, &t->backend.to, sizeof(a));
	}
	assert_true(known);
	assert_in_range(t->backend.to_port, first, last);
}

static void exchange(struct talk *t, __u8 flags)
{
	assert_int_equal(talk_client(t, flags, 100), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, flags, 200), TALK_FORWARDED);
}

static void close_both(struct talk *t)
{
	assert_int_equal(talk_client(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_client(t, TCP_ACK, 0), TALK_FORWARDED);
}

static void test_tcp_goes_out_from_a_source_and_comes_back(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 2);
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_source(&t, m.v6, 1, FIRST, LAST);
		for (int i = 0; i < 3; i++)
			exchange(&t, TCP_ACK | TCP_PSH);
		assert_int_equal(talk_class(&t), PERCH_TCP);
		close_both(&t);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
	}
}

static void test_udp_goes_out_from_a_source_and_comes_back(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 2);
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_UDP, 2);
		exchange(&t, 0);
		assert_source(&t, m.v6, 1, FIRST, LAST);
		exchange(&t, 0);
		assert_int_equal(talk_class(&t), PERCH_UDP);
	}
}

static void test_complete_checksums_hold(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 2);
	static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	static struct talk t;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned i = 0; i < 2; i++) {
			talk_init(&t, lab, LAB_TC, v6, protocols[i], 20);
			t.complete = true;
			if (protocols[i] == IPPROTO_TCP)
				assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			exchange(&t, protocols[i] == IPPROTO_TCP ? TCP_ACK : 0);
			exchange(&t, protocols[i] == IPPROTO_TCP ? TCP_ACK : 0);
		}
	}
}

/* Does one of them have the same ends at the backend as another? */
static bool ends_differ(const struct talk *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			if (t[i].backend.to_port == t[k].backend.to_port && t[i].host == t[k].host &&
			    !memcmp(&t[i].backend.to, &t[k].backend.to, sizeof(t[i].backend.to)))
				return false;
	return true;
}

static void test_clients_with_the_same_port_are_told_apart(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 1);
	static struct talk t[24];

	for_each_mode(m) {
		for (unsigned i = 0; i < 24; i++) {
			mode_talk(&t[i], lab, m, IPPROTO_TCP, 100 + i);
			t[i].client.from_port = 40000;
			assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
		}
		assert_true(ends_differ(t, 24));
		for (unsigned i = 0; i < 24; i++)
			exchange(&t[23 - i], TCP_ACK);
	}
}

/* All ports of a source towards each of the backends, and not one more. */
static void test_every_port_serves_every_backend(void **state)
{
	struct lab *lab = lab_with(state, 2, FEW_FIRST, FEW_LAST, 1);
	static struct talk t[2 * FEW + 1];

	for_each_mode(m) {
		__u64 refused = lab_reasons(lab, PERCH_R_NO_SOURCE);

		for (unsigned i = 0; i < 2 * FEW; i++) {
			mode_talk(&t[i], lab, m, IPPROTO_TCP, 200 + i);
			assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
			assert_source(&t[i], m.v6, 2, FEW_FIRST, FEW_LAST);
			exchange(&t[i], TCP_ACK);
		}
		assert_true(ends_differ(t, 2 * FEW));
		assert_int_equal(lab_reasons(lab, PERCH_R_NO_SOURCE), refused);
		mode_talk(&t[2 * FEW], lab, m, IPPROTO_TCP, 200 + 2 * FEW);
		assert_int_equal(talk_connect(&t[2 * FEW]), TALK_DROPPED);
		assert_int_equal(lab_reasons(lab, PERCH_R_NO_SOURCE), refused + 1);
		/* who is there does not notice */
		for (unsigned i = 0; i < 2 * FEW; i++)
			exchange(&t[i], TCP_ACK);
		for (unsigned i = 0; i < 2 * FEW; i++)
			close_both(&t[i]);
		lab_age(lab, 11);	/* at rest, and over */
	}
}

static void test_a_port_is_used_towards_two_backends_at_once(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, FIRST, 2);
	static struct talk t[32];
	unsigned connected = 0, hosts = 0;

	for (unsigned i = 0; i < 32; i++) {
		talk_init(&t[i], lab, LAB_XDP, false, IPPROTO_TCP, 300 + i);
		if (talk_connect(&t[i]) != TALK_FORWARDED)
			continue;
		assert_int_equal(t[i].backend.to_port, FIRST);
		hosts |= 1u << t[i].host;
		connected++;
	}
	assert_int_equal(connected, 2);
	assert_int_equal(hosts, 1u << 2 | 1u << 3);
	for (unsigned i = 0; i < 32; i++)
		if (t[i].known)
			exchange(&t[i], TCP_ACK);
}

/* A port that was given back is somebody's again, after a rest even at once. */
static void test_ports_come_back(void **state)
{
	struct lab *lab = lab_with(state, 1, FEW_FIRST, FEW_LAST, 1);
	static struct talk t[FEW], next;

	for_each_mode(m) {
		for (unsigned i = 0; i < FEW; i++) {
			mode_talk(&t[i], lab, m, IPPROTO_TCP, 400 + i);
			assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
			exchange(&t[i], TCP_ACK);
		}
		close_both(&t[5]);
		mode_talk(&next, lab, m, IPPROTO_TCP, 450);
		assert_int_equal(talk_connect(&next), TALK_DROPPED);
		lab_age(lab, 2);
		mode_talk(&next, lab, m, IPPROTO_TCP, 451);
		assert_int_equal(talk_connect(&next), TALK_FORWARDED);
		assert_int_equal(next.backend.to_port, t[5].backend.to_port);
		exchange(&next, TCP_ACK);
		/* the old one's last words are not the new one's */
		assert_int_not_equal(talk_client(&t[5], TCP_ACK, 0), TALK_FORWARDED);
		for (unsigned i = 0; i < FEW; i++)
			if (i != 5)
				close_both(&t[i]);
		close_both(&next);
		lab_age(lab, 11);
	}
}

/* The port given back longest ago comes first. */
static void test_a_port_rests_as_long_as_there_are_others(void **state)
{
	struct lab *lab = lab_with(state, 1, 61008, 61023, 1);
	static struct talk t;
	__u32 seen = 0;

	for (unsigned i = 0; i < 16; i++) {
		talk_init(&t, lab, LAB_XDP, false, IPPROTO_TCP, 500 + i);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		close_both(&t);
		lab_age(lab, 11);
		assert_false(seen >> (t.backend.to_port - 61008) & 1);
		seen |= 1u << (t.backend.to_port - 61008);
	}
}

/* A flood of SYNs holds no port against who means it. */
static void test_what_is_not_proven_gives_way(void **state)
{
	struct lab *lab = lab_with(state, 1, FEW_FIRST, FEW_LAST, 1);
	static struct talk t;
	__u64 active;

	for_each_mode(m) {
		for (unsigned i = 0; i < FEW; i++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, 600 + i);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		}
		active = lab_active(lab);
		mode_talk(&t, lab, m, IPPROTO_TCP, 650);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_DROPPED);
		lab_age(lab, 2);
		mode_talk(&t, lab, m, IPPROTO_TCP, 651);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		exchange(&t, TCP_ACK);
		/* one came, one went */
		assert_int_equal(lab_active(lab), active);
		close_both(&t);
		lab_age(lab, 11);
	}
}

/* A connect that nobody answered has failed, also when somebody takes its port
 * before the walk comes by. */
static void test_unanswered_connect_that_loses_its_port_has_failed(void **state)
{
	struct lab *lab = lab_with(state, 1, FEW_FIRST, FEW_LAST, 1);
	struct perch_votes before, now;
	static struct talk t;
	__u64 passes;

	lab_votes(lab, false, 0, &before);
	for (unsigned i = 0; i < FEW; i++) {
		talk_init(&t, lab, LAB_XDP, false, IPPROTO_TCP, 900 + i);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	}
	lab_age(lab, 7);
	talk_init(&t, lab, LAB_XDP, false, IPPROTO_TCP, 950);
	assert_int_equal(talk_connect(&t), TALK_FORWARDED);
	passes = lab->datapath.maps.control->sweep_passes;
	for (int i = 0; i < 2000 && lab->datapath.maps.control->sweep_passes < passes + 3; i++)
		usleep(10000);
	lab_votes(lab, false, 0, &now);
	assert_int_equal(now.connect_failures - before.connect_failures, FEW);
	close_both(&t);
	lab_age(lab, 11);
}

/* A client that begins anew leaves its port; where it has the same one at another
 * source now, who takes the old one does not end it. */
static void test_a_port_that_was_left_is_taken_alone(void **state)
{
	struct lab *lab = lab_with(state, 2, FIRST, FIRST, 1);
	struct perch_address left;
	static struct talk t, next;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 970);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		left = t.backend.to;
		t.known = false;
		t.client.seq += 100000;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(t.backend.to_port, FIRST);
		assert_memory_not_equal(&left, &t.backend.to, sizeof(left));
		lab_age(lab, 2);
		mode_talk(&next, lab, m, IPPROTO_TCP, 971);
		assert_int_equal(talk_connect(&next), TALK_FORWARDED);
		assert_memory_equal(&left, &next.backend.to, sizeof(left));
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		lab_age(lab, 7200 + 1);
	}
}

/* The clockwork gives back what a flow left without a word. */
static void test_an_expired_flow_gives_its_port_back(void **state)
{
	struct lab *lab = lab_with(state, 1, FEW_FIRST, FEW_LAST, 1);
	__u64 passes;
	static struct talk t;

	for (unsigned i = 0; i < FEW; i++) {
		talk_init(&t, lab, LAB_XDP, false, IPPROTO_UDP, 700 + i);
		exchange(&t, 0);
		exchange(&t, 0);
	}
	lab_age(lab, 121);
	passes = lab->datapath.maps.control->sweep_passes;
	for (int i = 0; i < 2000 && lab->datapath.maps.control->sweep_passes < passes + 3; i++)
		usleep(10000);
	lab_age(lab, 11);
	for (unsigned i = 0; i < FEW; i++) {
		talk_init(&t, lab, LAB_XDP, false, IPPROTO_UDP, 750 + i);
		exchange(&t, 0);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_NO_SOURCE), 0);
}

/* A flow that only sends keeps its port: the clockwork asks the flow. */
static void test_one_way_traffic_keeps_its_port(void **state)
{
	struct lab *lab = lab_with(state, 1, FEW_FIRST, FEW_FIRST, 1);
	static struct talk t, other;
	__u64 passes;

	talk_init(&t, lab, LAB_XDP, false, IPPROTO_UDP, 800);
	exchange(&t, 0);
	exchange(&t, 0);
	for (int round = 0; round < 3; round++) {
		lab_age(lab, 100);
		assert_int_equal(talk_client(&t, 0, 50), TALK_FORWARDED);
		passes = lab->datapath.maps.control->sweep_passes;
		for (int i = 0; i < 2000 && lab->datapath.maps.control->sweep_passes < passes + 2; i++)
			usleep(10000);
	}
	talk_init(&other, lab, LAB_XDP, false, IPPROTO_UDP, 801);
	assert_int_equal(talk_client(&other, 0, 50), TALK_DROPPED);
	exchange(&t, 0);
}

/* What comes to a source, but from no backend's port, is this host's own. */
static void test_what_is_not_a_reply_passes(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 1);
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 900);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		t.backend.to_port ^= 1;
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_PASSED);
		t.backend.to_port ^= 1;
		t.backend.from_port++;
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_PASSED);
		t.backend.from_port--;
		exchange(&t, TCP_ACK);
	}
}

static void test_severed_both_ends_are_told(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 1);
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 1000);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		exchange(&t, TCP_ACK);
		lab_sever(lab, m.v6, 0);
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_ANSWERED);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_ANSWERED);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
	}
}

/* Flows keep the source that they have when another is configured. */
static void test_sources_change_under_flows(void **state)
{
	struct lab *lab = lab_with(state, 1, FIRST, LAST, 1);
	static struct talk before[MODES], after;
	struct perch_address other;
	unsigned i = 0;

	for_each_mode(m) {
		mode_talk(&before[i], lab, m, IPPROTO_TCP, 1100);
		assert_int_equal(talk_connect(&before[i++]), TALK_FORWARDED);
	}
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].sources.address[0] = lab_source(v6, 5);
	assert_int_equal(lab_apply(lab), 0);
	i = 0;
	for_each_mode(m) {
		mode_talk(&after, lab, m, IPPROTO_TCP, 1101);
		assert_int_equal(talk_connect(&after), TALK_FORWARDED);
		other = lab_source(m.v6, 5);
		assert_memory_equal(&after.backend.to, &other, sizeof(other));
		exchange(&before[i], TCP_ACK);
		assert_source(&before[i++], m.v6, 1, FIRST, LAST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_tcp_goes_out_from_a_source_and_comes_back),
		prog_test_bare(test_udp_goes_out_from_a_source_and_comes_back),
		prog_test_bare(test_complete_checksums_hold),
		prog_test_bare(test_clients_with_the_same_port_are_told_apart),
		prog_test_bare(test_every_port_serves_every_backend),
		prog_test_bare(test_a_port_is_used_towards_two_backends_at_once),
		prog_test_bare(test_ports_come_back),
		prog_test_bare(test_a_port_rests_as_long_as_there_are_others),
		prog_test_bare(test_what_is_not_proven_gives_way),
		prog_test_bare(test_unanswered_connect_that_loses_its_port_has_failed),
		prog_test_bare(test_a_port_that_was_left_is_taken_alone),
		prog_test_bare(test_an_expired_flow_gives_its_port_back),
		prog_test_bare(test_one_way_traffic_keeps_its_port),
		prog_test_bare(test_what_is_not_a_reply_passes),
		prog_test_bare(test_severed_both_ends_are_told),
		prog_test_bare(test_sources_change_under_flows),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
