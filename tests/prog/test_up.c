/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What goes up the stack of this host: to backends that live on it, and out of
 * devices where the programs are not.  Addresses and sums change, MACs and hop
 * count are the stack's; replies turn on their way out. */
#include "prog.h"

#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>

enum why_up { LOCAL, UNATTACHED, WHYS };

static void set_up(struct lab *lab, enum why_up why, bool on)
{
	int wait_ms;

	if (why == UNATTACHED) {
		routes_attached(lab->routes, "b0", !on);
		assert_int_equal(routes_read(lab->routes, &wait_ms), 0);
		if (wait_ms >= 0) {
			usleep((wait_ms + 1) * 1000);
			assert_int_equal(routes_read(lab->routes, &wait_ms), 0);
		}
		lab_take_redirects(lab);
		return;
	}
	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
		lab->datapath.maps.backends[id].local = on;
}

/* The client's next packet must come out for its backend, on no device. */
static void client_goes_up(struct talk *t, __u8 flags, unsigned payload)
{
	struct lab_run how = { .hook = t->hook, .ifindex = t->lab->client.ifindex };
	static struct packet want;
	struct packet_spec s;

	t->client.flags = flags;
	t->client.payload = payload;
	packet_build(&t->in, &t->client);
	assert_false(packet_sum_is_pseudo(&t->in));
	assert_int_equal(lab_run(t->lab, &how, &t->in, &t->out), lab_pass(t->hook));
	assert_null(packet_read(&t->out, &t->seen));
	s = t->client;
	s.to = t->seen.to;
	s.to_port = LAB_BACKEND_PORT;
	packet_build(&want, &s);
	assert_true(packet_same(&t->out, &want, stderr));
	assert_memory_equal(&s.to, &(struct perch_address[]){ lab_backend(lab_is_v6(&s.to), ntohl(s.to.word[3]) & 0xff) }, 16);
	t->client.seq += payload + !!(flags & TCP_SYN);
	t->client.seed += 0x10000;
}

/* And the backend's must turn on its way out by the client's device. */
static void backend_turns(struct talk *t, __u8 flags, unsigned payload)
{
	struct lab_run how = { .hook = LAB_TC, .egress = true, .ifindex = t->lab->client.ifindex };
	static struct packet want;
	struct packet_spec s = t->client;

	s.from = t->seen.to;
	s.from_port = t->seen.to_port;
	s.to = t->client.from;
	s.to_port = t->client.from_port;
	s.flags = flags;
	s.payload = payload;
	s.seq = t->client.ack;
	s.ack = t->client.seq;
	packet_build(&t->in, &s);
	assert_int_equal(lab_run(t->lab, &how, &t->in, &t->out), lab_pass(LAB_TC));
	s.from = t->client.to;
	s.from_port = t->client.to_port;
	packet_build(&want, &s);
	assert_true(packet_same(&t->out, &want, stderr));
	t->client.ack += payload + !!(flags & TCP_SYN);
}

static void test_up_goes_rewritten_and_its_replies_turn(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (enum why_up why = 0; why < WHYS; why++) {
		set_up(lab, why, true);
		for_each_mode(m) {
			for (unsigned udp = 0; udp < 2; udp++) {
				mode_talk(&t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 10 + 2 * why + udp);
				t.client.ack = 777;
				client_goes_up(&t, udp ? 0 : TCP_SYN, udp ? 50 : 0);
				backend_turns(&t, udp ? 0 : TCP_SYN | TCP_ACK, udp ? 60 : 0);
				client_goes_up(&t, udp ? 0 : TCP_ACK, 100);
				backend_turns(&t, udp ? 0 : TCP_ACK, 200);
				assert_int_equal(talk_class(&t), udp ? PERCH_UDP : PERCH_TCP);
			}
		}
		set_up(lab, why, false);
	}
}

/* The last hop is this host: there is none to spend on it. */
static void test_up_takes_a_packet_at_the_end_of_its_life_when_local(void **state)
{
	static struct talk t;

	set_up(*state, LOCAL, true);
	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 20);
		t.client.ttl = 1;
		client_goes_up(&t, TCP_SYN, 0);
	}
}

/* The cached next hop follows: the same flow leaves by the device again. */
static void test_up_ends_when_the_programs_come(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		set_up(lab, UNATTACHED, true);
		mode_talk(&t, lab, m, IPPROTO_TCP, 30);
		client_goes_up(&t, TCP_SYN, 0);
		set_up(lab, UNATTACHED, false);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	}
}

/* But not once both ends have spoken through the stack: what its firewall then
 * missed it would not forgive when the flow came back. */
static void test_up_is_kept_by_what_is_established(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct flow_copy f;

	for_each_mode(m) {
		set_up(lab, UNATTACHED, true);
		mode_talk(&t, lab, m, IPPROTO_TCP, 70);
		client_goes_up(&t, TCP_SYN, 0);
		backend_turns(&t, TCP_SYN | TCP_ACK, 0);
		client_goes_up(&t, TCP_ACK, 0);
		set_up(lab, UNATTACHED, false);
		client_goes_up(&t, TCP_ACK, 100);
		backend_turns(&t, TCP_ACK, 200);
		/* while who begins now goes by the device, until its programs leave */
		mode_talk(&t, lab, m, IPPROTO_TCP, 71);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_int_equal(f.flow.flags & PERCH_FLOW_UP, 0);
		set_up(lab, UNATTACHED, true);
		client_goes_up(&t, TCP_ACK, 100);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_int_equal(f.flow.flags & PERCH_FLOW_UP, PERCH_FLOW_UP);
		set_up(lab, UNATTACHED, false);
		client_goes_up(&t, TCP_ACK, 100);
	}
}

/* A super-packet that is larger than any device's MTU is the stack's too. */
static void test_up_takes_super_packets(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_up(lab, LOCAL, true);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct lab_run how = {
			.hook = LAB_TC, .ifindex = lab->client.ifindex, .gso_size = 1448, .gso_segs = 2,
		};

		talk_init(&t, lab, LAB_TC, v6, IPPROTO_TCP, 40 + v6);
		client_goes_up(&t, TCP_SYN, 0);
		t.client.flags = TCP_ACK;
		t.client.payload = 2896;
		packet_build(&t.in, &t.client);
		assert_int_equal(lab_run(lab, &how, &t.in, &t.out), lab_pass(LAB_TC));
		assert_null(packet_read(&t.out, &t.seen));
		assert_int_equal(t.seen.to_port, LAB_BACKEND_PORT);
	}
}

/* A reply to what went up comes in by a device with programs, as from a port of
 * a bridge that has none: the stack is to see it, then it turns. */
static void test_up_lets_replies_in_untouched(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_up(lab, UNATTACHED, true);
	for_each_mode(m) {
		struct lab_run how = { .hook = m.hook, .ifindex = lab->backend.ifindex };
		__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_TURNED_LATER);
		struct packet_spec s;

		mode_talk(&t, lab, m, IPPROTO_TCP, 50);
		client_goes_up(&t, TCP_SYN, 0);
		s = t.client;
		s.from = t.seen.to;
		s.from_port = t.seen.to_port;
		s.to = t.client.from;
		s.to_port = t.client.from_port;
		s.flags = TCP_SYN | TCP_ACK;
		s.ack = t.client.seq;
		packet_build(&t.in, &s);
		assert_int_equal(lab_run(lab, &how, &t.in, &t.out), lab_pass(m.hook));
		assert_true(packet_same(&t.out, &t.in, stderr));
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_TURNED_LATER), before + 1);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		backend_turns(&t, TCP_SYN | TCP_ACK, 0);
		client_goes_up(&t, TCP_ACK, 0);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

/* Past the stack with the first packet, whose reply it then sees alone: no. */
static void test_up_is_where_an_unknown_neighbour_is_asked_for(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_up(lab, UNATTACHED, true);
	assert_int_equal(system("i=2; while [ $i -le 3 ]; do ip neigh del 10.2.0.$i dev b0;"
				"ip neigh del fd02::$i dev b0; i=$((i+1)); done"), 0);
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 60);
		client_goes_up(&t, TCP_SYN, 0);
	}
	assert_int_equal(system("i=2; while [ $i -le 3 ]; do ip neigh replace 10.2.0.$i lladdr 02:00:00:00:02:0$i dev b0 nud permanent;"
				"ip neigh replace fd02::$i lladdr 02:00:00:00:02:0$i dev b0 nud permanent; i=$((i+1)); done"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_up_goes_rewritten_and_its_replies_turn),
		prog_test(test_up_takes_a_packet_at_the_end_of_its_life_when_local),
		prog_test(test_up_ends_when_the_programs_come),
		prog_test(test_up_is_kept_by_what_is_established),
		prog_test(test_up_takes_super_packets),
		prog_test(test_up_lets_replies_in_untouched),
		prog_test(test_up_is_where_an_unknown_neighbour_is_asked_for),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
