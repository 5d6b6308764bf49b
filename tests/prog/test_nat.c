/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Address translation, both ways: every byte, verdict and counter. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>

static const unsigned sizes[] = { 0, 1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 100, 101, 535, 536, 1399, 1400, 1432 };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void test_nat_turns_tcp_both_ways(void **state)
{
	static struct talk t;
	__u32 n = 0;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, n++);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(t.backend.from_port, LAB_BACKEND_PORT);
		for (unsigned i = 0; i < SIZES; i++) {
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, sizes[i]), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, sizes[SIZES - 1 - i]), TALK_FORWARDED);
		}
	}
}

static void test_nat_turns_udp_of_every_size_both_ways(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_UDP, 1);
		for (unsigned size = 0; size <= 1452; size++) {
			assert_int_equal(talk_client(&t, 0, size), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, 0, size), TALK_FORWARDED);
		}
	}
}

static void test_nat_leaves_udp_without_checksum_without_one(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		/* over IPv6 too, for tunnels: RFC 6936 */
		mode_talk(&t, *state, m, IPPROTO_UDP, 2);
		t.client.unsummed = true;
		assert_int_equal(talk_client(&t, 0, 64), TALK_FORWARDED);
		t.backend.unsummed = true;
		assert_int_equal(talk_backend(&t, 0, 64), TALK_FORWARDED);
		assert_true(t.seen.unsummed);
	}
}

/* A UDP sum that comes out as 0 is written as 0xffff; 0 would mean none. */
static void test_nat_never_writes_a_udp_checksum_of_zero(void **state)
{
	static struct talk t;
	struct packet_layout l;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_UDP, 3);
		assert_int_equal(talk_client(&t, 0, 4), TALK_FORWARDED);
		for (unsigned try = 0; try < 400000; try++) {
			struct packet_spec want = t.client;
			static struct packet out;

			/* find a payload whose sum is 0xffff once the address is the backend's */
			want.to = t.backend.from;
			want.to_port = t.backend.from_port;
			want.payload = 4;
			want.seed = try;
			packet_build(&out, &want);
			assert_null(packet_lay_out(&out, &l));
			if (out.byte[l.sum] != 0xff || out.byte[l.sum + 1] != 0xff)
				continue;
			t.client.seed = try;
			assert_int_equal(talk_client(&t, 0, 4), TALK_FORWARDED);
			assert_false(t.seen.unsummed);
			break;
		}
		assert_int_equal(t.out.byte[l.sum] << 8 | t.out.byte[l.sum + 1], 0xffff);
	}
}

static void test_nat_keeps_tcp_options_and_urgent_flags(void **state)
{
	static struct talk t;
	__u32 n = 10;

	for_each_mode(m) {
		for (unsigned options = 4; options <= 40; options += 4) {
			mode_talk(&t, *state, m, IPPROTO_TCP, n++);
			t.client.tcp_options = options;
			assert_int_equal(talk_client(&t, TCP_SYN | 0xc0, 0), TALK_FORWARDED);
			t.backend.tcp_options = options;
			assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK | 0x40, 0), TALK_FORWARDED);
			assert_int_equal(talk_client(&t, TCP_ACK | 0x20, 77), TALK_FORWARDED);
		}
	}
}

/* The kernel checks that skb->csum still holds after the program. */
static void test_nat_keeps_a_complete_checksum_complete(void **state)
{
	static struct talk t;
	int result;

	for_each_mode(m) {
		if (m.hook != LAB_TC)
			continue;
		for (unsigned udp = 0; udp < 3; udp++) {
			mode_talk(&t, *state, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 60 + udp);
			t.complete = true;
			t.client.unsummed = udp == 2;	/* nothing makes up for its ports */
			result = talk_client(&t, udp ? 0 : TCP_SYN, udp ? 321 : 0);
			if (result == -EINVAL)
				skip();	/* Linux before 6.17 can't test it */
			assert_int_equal(result, TALK_FORWARDED);
			t.backend.unsummed = udp == 2;
			assert_int_equal(talk_backend(&t, udp ? 0 : TCP_SYN | TCP_ACK, udp ? 123 : 0), TALK_FORWARDED);
		}
	}
}

static void test_nat_counts_a_gso_packet_by_its_segments(void **state)
{
	static struct talk t;
	static struct packet out;
	struct perch_counters before, after;
	__u32 backend;

	for_each_mode(m) {
		struct lab_run how = { .hook = LAB_TC, .gso_size = 1000, .gso_segs = 3 };

		if (m.hook != LAB_TC)
			continue;
		mode_talk(&t, *state, m, IPPROTO_TCP, 61);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		backend = lab_backend_id(*state, talk_slot(&t), m.v6, t.host);
		lab_counters(*state, backend, &before);
		t.client.flags = TCP_ACK;
		t.client.payload = 2900;
		packet_build(&t.in, &t.client);
		how.ifindex = t.lab->client.ifindex;
		assert_int_equal(lab_run(*state, &how, &t.in, &out), lab_forward(LAB_TC));
		lab_counters(*state, backend, &after);
		assert_int_equal(after.packets - before.packets, 3);
		assert_true(after.bytes - before.bytes >= t.in.length);
		/* beyond 64 KiB the header has no room for the length */
		memset(t.in.byte + (m.v6 ? 18 : 16), 0, 2);
		assert_int_equal(lab_run(*state, &how, &t.in, &out), lab_forward(LAB_TC));
		how.gso_size = how.gso_segs = 0;
		assert_int_equal(lab_run(*state, &how, &t.in, &out), lab_pass(LAB_TC));
	}
}

static void test_nat_counts_flows_packets_bytes_and_reasons(void **state)
{
	static struct talk t;
	struct perch_counters c;

	for_each_mode(m) {
		enum perch_hook hook = mode_hook(m);
		__u64 new = lab_reason(*state, hook, PERCH_R_NEW), forwarded = lab_reason(*state, hook, PERCH_R_FORWARDED);
		__u64 reply = lab_reason(*state, hook, PERCH_R_REPLY), bytes;
		struct perch_counters before[2];
		unsigned hosts[] = { 2, 3 };

		for (unsigned i = 0; i < 2; i++)
			lab_counters(*state, lab_backend_id(*state, 0, m.v6, hosts[i]), &before[i]);
		mode_talk(&t, *state, m, IPPROTO_TCP, 62);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		bytes = 3 * (m.v6 ? 74 : 54) + 100;
		assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
		bytes += m.v6 ? 74 : 54;
		lab_counters(*state, lab_backend_id(*state, 0, m.v6, t.host), &c);
		assert_int_equal(c.opened - before[t.host - 2].opened, 1);
		assert_int_equal(c.ended - before[t.host - 2].ended, 0);
		assert_int_equal(c.packets - before[t.host - 2].packets, 4);
		assert_int_equal(c.bytes - before[t.host - 2].bytes, bytes);
		assert_int_equal(lab_reason(*state, hook, PERCH_R_NEW) - new, 1);
		assert_int_equal(lab_reason(*state, hook, PERCH_R_FORWARDED) - forwarded, 2);
		assert_int_equal(lab_reason(*state, hook, PERCH_R_REPLY) - reply, 1);
	}
}

static void test_nat_passes_what_may_live_no_longer(void **state)
{
	static struct talk t;
	struct flow_copy f;

	for_each_mode(m) {
		for (unsigned ttl = 0; ttl < 2; ttl++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 63 + ttl);
			t.client.ttl = ttl;
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
			assert_int_equal(talk_flow(&t, &f), -ENOENT);
		}
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_TTL), 2 * MODES);
}

static void test_nat_without_neighbour_leaves_xdp_untouched_and_uncounted(void **state)
{
	struct perch_counters c;
	struct lab *lab = *state;
	static struct talk t;
	struct flow_copy f;

	/* host 18 answers nobody */
	lab_backends(lab, 0, 18, 1);
	assert_int_equal(lab_apply(lab), 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct mode m = { LAB_XDP, v6 };

		mode_talk(&t, lab, m, IPPROTO_TCP, 70);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_NO_NEIGHBOUR), 2 * v6 + 1);
		assert_int_equal(talk_flow(&t, &f), -ENOENT);
		lab_counters(lab, lab_backend_id(lab, 0, v6, 18), &c);
		assert_int_equal(c.opened + c.packets + c.unlearned, 0);
		/* nor what the choice went by */
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_AMBIGUOUS), 0);
	}
}

/* TC hands the same packet to the kernel's own output, which resolves. */
static void test_nat_without_neighbour_is_finished_by_tc(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	static struct packet out;
	struct packet_spec seen;
	struct flow_copy f;

	lab_backends(lab, 0, 18, 1);
	assert_int_equal(lab_apply(lab), 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct mode m = { LAB_TC, v6 };
		struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex };

		mode_talk(&t, lab, m, IPPROTO_TCP, 71);
		t.client.flags = TCP_SYN;
		packet_build(&t.in, &t.client);
		assert_int_equal(lab_run(lab, &how, &t.in, &out), lab_forward(LAB_TC));
		assert_null(packet_read(&out, &seen));
		assert_int_equal(ntohl(seen.to.word[3]) & 0xff, 18);
		assert_int_equal(seen.to_port, LAB_BACKEND_PORT);
		assert_int_equal(seen.ttl, t.client.ttl - 1);
		assert_int_equal(talk_flow(&t, &f), 0);
	}
}

/* Left to TC: nothing changed, nothing entered, nothing counted. */
static void assert_left(struct lab *lab, struct talk *t, struct mode m, unsigned payload, enum perch_reason reason)
{
	__u64 before = lab_reason(lab, mode_hook(m), reason), active = lab_active(lab);
	struct flow_copy f;

	assert_int_equal(talk_client(t, TCP_SYN, payload), TALK_PASSED);
	assert_int_equal(lab_reason(lab, mode_hook(m), reason), before + 1);
	assert_int_equal(talk_flow(t, &f), -ENOENT);
	assert_int_equal(lab_active(lab), active);
}

static void test_nat_leaves_to_tc_what_the_next_hop_can_not_take(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		unsigned headers = m.v6 ? 60 : 40;

		mode_talk(&t, *state, m, IPPROTO_TCP, 80);
		if (m.hook == LAB_XDP)
			assert_left(*state, &t, m, 1501 - headers, PERCH_R_TOO_BIG);
		assert_int_equal(talk_client(&t, TCP_SYN, 1500 - headers), TALK_FORWARDED);
	}
}

static void test_nat_leaves_to_tc_what_a_device_takes_not_from_xdp(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		lab->datapath.maps.devices[i].xmit = 0;
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 81);
		if (m.hook == LAB_XDP)
			assert_left(lab, &t, m, 0, PERCH_R_NO_XMIT);
		else
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
	}
}

/* A veth's sender leaves its checksum to a device that will never be asked. */
static void test_nat_leaves_to_tc_what_has_no_checksum_yet(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct lab_run how = { .hook = m.hook, .ifindex = lab->client.ifindex };

		for (unsigned udp = 0; udp < 2; udp++) {
			__u64 left = lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_NO_CHECKSUM);
			struct flow_copy f;

			mode_talk(&t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 83);
			t.client.flags = udp ? 0 : TCP_SYN;
			t.client.payload = 99;
			packet_build(&t.in, &t.client);
			packet_leave_sum(&t.in);
			assert_true(packet_sum_is_pseudo(&t.in));
			if (m.hook == LAB_TC) {
				assert_int_equal(lab_run(lab, &how, &t.in, &t.out), lab_forward(LAB_TC));
				continue;
			}
			assert_int_equal(lab_run(lab, &how, &t.in, &t.out), XDP_PASS);
			assert_true(packet_same(&t.out, &t.in, stderr));
			assert_int_equal(talk_flow(&t, &f), -ENOENT);
			assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_NO_CHECKSUM), left + 1);
		}
	}
}

/* The reply of a backend on this host: addresses turn on its way out, the
 * rest is the stack's. */
static void test_nat_turns_replies_of_this_host_on_their_way_out(void **state)
{
	struct lab *lab = *state;
	static struct packet want;
	static struct talk t;

	for_each_mode(m) {
		struct lab_run how = { .hook = LAB_TC, .egress = true, .ifindex = lab->client.ifindex };
		struct packet_spec s;

		mode_talk(&t, lab, m, IPPROTO_TCP, 82);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		s = t.backend;
		s.flags = TCP_SYN | TCP_ACK;
		packet_build(&t.in, &s);
		assert_int_equal(lab_run(lab, &how, &t.in, &t.out), lab_pass(LAB_TC));
		s.from = t.client.to;
		s.from_port = t.client.to_port;
		packet_build(&want, &s);
		assert_true(packet_same(&t.out, &want, stderr));
		/* and what is not a reply goes out as it is */
		packet_build(&t.in, &t.client);
		assert_int_equal(lab_run(lab, &how, &t.in, &t.out), lab_pass(LAB_TC));
		assert_true(packet_same(&t.out, &t.in, stderr));
	}
}

static void test_nat_caches_the_next_hop_of_both_ways(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct flow_copy f;

	for_each_mode(m) {
		__u8 generation;

		mode_talk(&t, lab, m, IPPROTO_TCP, 72);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), 0);
		generation = lab->datapath.maps.control->route_generation;
		assert_int_equal(perch_via_generation(f.flow.via), generation);
		assert_memory_equal(&f.flow.via, lab_gateway_mac(), 6);
		/* another generation: looked up again, and still right */
		__atomic_fetch_add(&lab->datapath.maps.control->route_generation, 1, __ATOMIC_SEQ_CST);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_int_equal(perch_via_generation(f.flow.via), (__u8)(generation + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_nat_turns_tcp_both_ways),
		prog_test(test_nat_turns_udp_of_every_size_both_ways),
		prog_test(test_nat_leaves_udp_without_checksum_without_one),
		prog_test(test_nat_never_writes_a_udp_checksum_of_zero),
		prog_test(test_nat_keeps_tcp_options_and_urgent_flags),
		prog_test(test_nat_keeps_a_complete_checksum_complete),
		prog_test(test_nat_counts_a_gso_packet_by_its_segments),
		prog_test(test_nat_counts_flows_packets_bytes_and_reasons),
		prog_test(test_nat_passes_what_may_live_no_longer),
		prog_test_bare(test_nat_without_neighbour_leaves_xdp_untouched_and_uncounted),
		prog_test_bare(test_nat_without_neighbour_is_finished_by_tc),
		prog_test(test_nat_leaves_to_tc_what_the_next_hop_can_not_take),
		prog_test(test_nat_leaves_to_tc_what_a_device_takes_not_from_xdp),
		prog_test(test_nat_leaves_to_tc_what_has_no_checksum_yet),
		prog_test(test_nat_turns_replies_of_this_host_on_their_way_out),
		prog_test(test_nat_caches_the_next_hop_of_both_ways),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
