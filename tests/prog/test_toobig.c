/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What does not fit the next hop: its sender is told what does, in the
 * listener's name; XDP leaves that to TC. */
#include "prog.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "icmp.h"

#define MTU 1400

static void set_mtu(struct lab *lab, __u32 mtu)
{
	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		if (lab->datapath.maps.devices[i].in_use)
			lab->datapath.maps.devices[i].mtu = mtu;
}

static void assert_told(struct lab *lab, const struct lab_run *how, const struct packet_spec *s,
			const struct perch_address *from)
{
	__u64 before = lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_TOO_BIG_TOLD);
	static struct packet in, out, want;

	packet_build(&in, s);
	icmp_too_big(&want, s, from, MTU);
	assert_int_equal(lab_run(lab, how, &in, &out), TC_ACT_REDIRECT);
	assert_true(packet_same(&out, &want, stderr));
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_TOO_BIG_TOLD), before + 1);
}

static void start(struct talk *t, struct lab *lab, struct mode m, bool udp, __u32 n)
{
	mode_talk(t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, n);
	assert_int_equal(talk_client(t, udp ? 0 : TCP_SYN, 10), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, udp ? 0 : TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
}

static unsigned headers(struct mode m, bool udp)
{
	return (m.v6 ? 40 : 20) + (udp ? 8 : 20);
}

/* Both ends of connections send too much; `full`: their backends know nobody but
 * the source. */
static void assert_both_told(struct lab *lab, bool full)
{
	static struct talk t;

	set_mtu(lab, MTU);
	for_each_mode(m) {
		for (unsigned udp = 0; udp < 2; udp++) {
			struct lab_run how = { .hook = LAB_TC };

			start(&t, lab, m, udp, 10 + udp);
			t.client.flags = t.backend.flags = udp ? 0 : TCP_ACK;
			t.client.payload = t.backend.payload = MTU + 1 - headers(m, udp);
			how.ifindex = lab->client.ifindex;
			assert_told(lab, &how, &t.client, &t.client.to);
			how.ifindex = lab->backend.ifindex;
			assert_told(lab, &how, &t.backend, full ? &t.backend.to : &t.client.to);
		}
	}
}

static void test_too_big_is_told_in_both_directions(void **state)
{
	assert_both_told(*state, false);
}

static void test_too_big_is_told_by_the_source_that_a_backend_knows(void **state)
{
	struct lab *lab = *state;

	lab_fullnat(lab, 1, 61000, 65000);
	assert_int_equal(lab_apply(lab), 0);
	assert_both_told(lab, true);
}

static void test_too_big_is_not_what_fits(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_mtu(lab, MTU);
	for_each_mode(m) {
		start(&t, lab, m, false, 20);
		assert_int_equal(talk_client(&t, TCP_ACK, MTU - headers(m, false)), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK, MTU - headers(m, false)), TALK_FORWARDED);
		assert_int_equal(lab_reasons(lab, PERCH_R_TOO_BIG), 0);
	}
}

/* XDP has changed nothing and entered nothing, nor has TC. */
static void test_too_big_enters_no_flow(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_mtu(lab, MTU);
	for_each_mode(m) {
		struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex };
		__u64 before = lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_TOO_BIG);

		mode_talk(&t, lab, m, IPPROTO_UDP, 30);
		if (m.hook == LAB_XDP) {
			assert_int_equal(talk_client(&t, 0, MTU), TALK_PASSED);
			assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_TOO_BIG), before + 1);
		}
		t.client.payload = MTU;
		assert_told(lab, &how, &t.client, &t.client.to);
		assert_int_equal(talk_class(&t), PERCH_FREE);
		assert_int_equal(lab_active(lab), 0);
	}
}

/* The segments count, and all of them are the news of one. */
static void test_too_big_are_the_segments_of_a_super_packet(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	set_mtu(lab, MTU);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct mode m = { LAB_TC, v6 };
		struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex, .gso_segs = 3 };
		static struct packet in, out;

		start(&t, lab, m, false, 40);
		t.client.flags = TCP_ACK;
		t.client.payload = 3000;
		how.gso_size = MTU - headers(m, false);
		packet_build(&in, &t.client);
		assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
		assert_int_equal(out.length, in.length);
		how.gso_size++;
		assert_told(lab, &how, &t.client, &t.client.to);
	}
}

static void allow_fragments(struct packet *p)
{
	p->byte[ETH_HLEN + 6] = 0;
	icmp_sum_ip(p);
}

/* A request that may be fragmented must come out whole, for the stack. */
static void assert_goes_up(struct talk *t, const struct perch_address *to)
{
	struct lab_run how = { .hook = LAB_TC, .ifindex = t->lab->client.ifindex };
	static struct packet in, out, want;
	struct packet_spec s = t->client;

	packet_build(&in, &t->client);
	allow_fragments(&in);
	s.to = *to;
	s.to_port = LAB_BACKEND_PORT;
	packet_build(&want, &s);
	allow_fragments(&want);
	assert_int_equal(lab_run(t->lab, &how, &in, &out), TC_ACT_OK);
	assert_true(packet_same(&out, &want, stderr));
}

/* Without "don't fragment" a request goes up the stack, as its rewritten self,
 * to be taken apart; a reply's sender is told nevertheless. */
static void test_too_big_goes_up_if_it_may_be_fragmented(void **state)
{
	struct lab *lab = *state;
	static struct packet in, out;
	static struct talk t;
	struct lab_run how = { .hook = LAB_XDP, .ifindex = lab->backend.ifindex };
	struct mode m = { LAB_TC, false };
	struct perch_address only = lab_backend(false, 2);

	lab_backends(lab, 0, 2, 1);
	assert_int_equal(lab_apply(lab), 0);
	/* by what the route says, then by what is known of its device */
	mode_talk(&t, lab, m, IPPROTO_UDP, 50);
	t.client.payload = 1501;
	assert_goes_up(&t, &only);
	set_mtu(lab, MTU);
	start(&t, lab, m, true, 51);
	t.client.payload = MTU;
	assert_goes_up(&t, &only);
	start(&t, lab, m, true, 52);
	t.backend.payload = MTU;
	packet_build(&in, &t.backend);
	allow_fragments(&in);
	assert_int_equal(lab_run(lab, &how, &in, &out), XDP_PASS);
	assert_true(packet_same(&out, &in, stderr));
	how.hook = LAB_TC;
	assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_TOO_BIG_TOLD), 1);
}

/* More than enough in one second: the rest is dropped, and counted. */
static void test_too_big_is_told_so_often_and_no_more(void **state)
{
	struct lab *lab = *state;
	static struct packet in, out;
	static struct talk t;
	struct mode m = { LAB_TC, false };
	struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex };

	set_mtu(lab, MTU);
	start(&t, lab, m, true, 60);
	t.client.payload = MTU;
	packet_build(&in, &t.client);
	/* all of this second's and the next ones' are taken */
	for (unsigned i = 0; i < 5; i++) {
		__u64 second = lab_now() / 1000000000;

		lab->datapath.maps.control->too_big_tokens = second << 32 | PERCH_TOO_BIG_RATE;
		assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_SHOT);
		if (lab_now() / 1000000000 == second)
			break;
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_TOO_BIG_DROP), 1);
	lab->datapath.maps.control->too_big_tokens = 0;
	assert_told(lab, &how, &t.client, &t.client.to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_too_big_is_told_in_both_directions),
		prog_test_bare(test_too_big_is_told_by_the_source_that_a_backend_knows),
		prog_test(test_too_big_is_not_what_fits),
		prog_test(test_too_big_enters_no_flow),
		prog_test(test_too_big_are_the_segments_of_a_super_packet),
		prog_test(test_too_big_goes_up_if_it_may_be_fragmented),
		prog_test(test_too_big_is_told_so_often_and_no_more),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
