/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is not ours: passes byte for byte, is never dropped, enters no flow. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>

/* A packet for the listener, to be spoilt. */
static struct packet_spec ours(struct lab *lab, struct mode m, __u8 protocol)
{
	static struct talk t;

	mode_talk(&t, lab, m, protocol, 900);
	t.client.flags = protocol == IPPROTO_TCP ? TCP_SYN : 0;
	t.client.payload = 32;
	return t.client;
}

static void assert_untouched(struct lab *lab, struct mode m, const struct packet *p, __u32 ifindex)
{
	struct lab_run how = { .hook = m.hook, .ifindex = ifindex };
	static struct packet out;
	int verdict = lab_run(lab, &how, p, &out);

	/* the kernel makes no skb with less than an IP header */
	if (m.hook == LAB_TC && verdict == -EINVAL && p->length < ETH_HLEN + 40)
		return;
	if (verdict == lab_pass(m.hook) && packet_same(&out, p, stderr))
		return;
	fprintf(stderr, "%s returned %d for\n", m.hook == LAB_XDP ? "xdp" : "tc", verdict);
	packet_print(p, NULL, stderr);
	fail();
}

/* No packet of a test may have left a trace but in the reasons of a pass. */
static void assert_no_trace(struct lab *lab)
{
	size_t by_class[16];

	assert_int_equal(flows_count(&lab->datapath.maps, by_class), 0);
	assert_int_equal(lab_reasons(lab, PERCH_R_NEW) + lab_reasons(lab, PERCH_R_UNLEARNED), 0);
	assert_int_equal(lab_reasons(lab, PERCH_R_REWRITE_FAILED) + lab_reasons(lab, PERCH_R_SEVERED_DROP), 0);
}

/* The same packet must go where it should when it is not spoilt: else the
 * tests below would pass with a program that passes everything. */
static void test_foreign_base_packet_is_ours(void **state)
{
	static struct packet p, out;

	for_each_mode(m) {
		struct lab *lab = *state;
		struct lab_run how = { .hook = m.hook, .ifindex = lab->client.ifindex };
		struct packet_spec s = ours(lab, m, IPPROTO_TCP);

		packet_build(&p, &s);
		assert_int_equal(lab_run(lab, &how, &p, &out), lab_forward(m.hook));
	}
}

static void spoil_and_run(struct lab *lab, struct mode m, enum perch_reason reason, const struct packet_spec *s)
{
	__u64 before = lab_reason(lab, mode_hook(m), reason);
	static struct packet p;

	packet_build(&p, s);
	assert_untouched(lab, m, &p, lab->client.ifindex);
	assert_int_equal(lab_reason(lab, mode_hook(m), reason) - before, 1);
}

static void test_foreign_packets_pass_with_their_reason(void **state)
{
	struct lab *lab = *state;

	for_each_mode(m) {
		struct packet_spec s = ours(lab, m, IPPROTO_TCP);

		s.to_port = LAB_PORT + 1;
		spoil_and_run(lab, m, PERCH_R_NO_LISTENER, &s);
		s = ours(lab, m, IPPROTO_UDP);
		s.to_port = LAB_PORT;
		spoil_and_run(lab, m, PERCH_R_NO_LISTENER, &s);
		s = ours(lab, m, IPPROTO_TCP);
		s.to.word[3] ^= htonl(3);
		spoil_and_run(lab, m, PERCH_R_NOT_OURS, &s);
		s = ours(lab, m, IPPROTO_TCP);
		s.protocol = m.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		spoil_and_run(lab, m, PERCH_R_PROTOCOL, &s);
		s.protocol = IPPROTO_ESP;
		spoil_and_run(lab, m, PERCH_R_PROTOCOL, &s);
		s = ours(lab, m, IPPROTO_UDP);
		s.fragment = m.v6 ? 1 : 0x2000;		/* the first of several */
		spoil_and_run(lab, m, PERCH_R_FRAGMENT, &s);
		s.fragment = m.v6 ? 8 << 3 : 8;		/* the last of several */
		spoil_and_run(lab, m, PERCH_R_FRAGMENT, &s);
	}
	assert_no_trace(lab);
}

static void test_foreign_third_vlan_tag_passes(void **state)
{
	for_each_mode(m) {
		struct packet_spec s = ours(*state, m, IPPROTO_TCP);

		s.vlans = 3;
		spoil_and_run(*state, m, PERCH_R_NOT_IP, &s);
	}
	assert_no_trace(*state);
}

/* IPv4 addresses in IPv6 form are the tables' way to write IPv4: what has them
 * on the wire is no IPv4 and nobody's. */
static void test_foreign_mapped_addresses_pass(void **state)
{
	struct lab *lab = *state;
	static struct packet p;

	for_each_mode(m) {
		struct packet_spec s = ours(lab, m, IPPROTO_TCP);
		struct perch_address client = lab_client(false, 1), listener = lab_listener(false);

		if (!m.v6)
			continue;
		packet_build(&p, &s);
		memcpy(p.byte + ETH_HLEN + 8, &client, sizeof(client));
		memcpy(p.byte + ETH_HLEN + 24, &listener, sizeof(listener));
		assert_untouched(lab, m, &p, lab->client.ifindex);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_NOT_OURS), 1);
	}
	assert_no_trace(lab);
}

static void test_foreign_arp_and_neighbour_discovery_pass(void **state)
{
	static const __u8 arp[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 1, 0xfe, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 1, 0xfe, 10, 1, 0, 0xfe, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10,
	};
	struct lab *lab = *state;
	static struct packet p;

	for_each_mode(m) {
		struct packet_spec s = ours(lab, m, IPPROTO_TCP);

		p.length = sizeof(arp);
		memcpy(p.byte, arp, sizeof(arp));
		assert_untouched(lab, m, &p, lab->client.ifindex);
		if (!m.v6)
			continue;
		/* a solicitation for the listener's own address */
		s.protocol = IPPROTO_ICMPV6;
		s.ttl = 255;
		s.payload = 32;
		packet_build(&p, &s);
		p.byte[54] = 135;
		memcpy(p.byte + 62, &s.to, 16);
		assert_untouched(lab, m, &p, lab->client.ifindex);
	}
	assert_no_trace(lab);
}

/* Cut off at each length; what is cut is never forwarded. */
static void test_foreign_truncated_headers_pass(void **state)
{
	struct lab *lab = *state;
	static struct packet p;

	for_each_mode(m) {
		for (unsigned udp = 0; udp < 2; udp++) {
			struct packet_spec s = ours(lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP);
			__u32 whole;

			packet_build(&p, &s);
			for (whole = p.length; --p.length >= ETH_HLEN;)
				assert_untouched(lab, m, &p, lab->client.ifindex);
			assert_int_equal(p.length + 1, ETH_HLEN);
			assert_true(whole > p.length);
		}
	}
	assert_no_trace(lab);
}

/* The frame is whole, but what it says about its lengths is not true. */
static void test_foreign_false_lengths_pass(void **state)
{
	struct lab *lab = *state;
	static struct packet p;
	struct packet_layout l;

	for_each_mode(m) {
		struct packet_spec s = ours(lab, m, IPPROTO_TCP);

		for (unsigned doff = 0; doff < 16; doff++) {
			packet_build(&p, &s);
			assert_null(packet_lay_out(&p, &l));
			if (doff >= 5 && doff * 4 <= l.end - l.transport)
				continue;
			p.byte[l.transport + 12] = doff << 4;
			assert_untouched(lab, m, &p, lab->client.ifindex);
		}
		for (unsigned length = 0; length < 20; length++) {
			packet_build(&p, &s);
			p.byte[m.v6 ? 18 : 16] = 0;
			p.byte[m.v6 ? 19 : 17] = length;
			assert_untouched(lab, m, &p, lab->client.ifindex);
			p.byte[m.v6 ? 18 : 16] = 0xff;
			assert_untouched(lab, m, &p, lab->client.ifindex);
		}
		for (unsigned ihl = 0; !m.v6 && ihl < 16; ihl++) {
			packet_build(&p, &s);
			p.byte[14] = 0x40 | ihl;
			if (ihl != 5)
				assert_untouched(lab, m, &p, lab->client.ifindex);
		}
		for (unsigned version = 0; version < 16; version++) {
			packet_build(&p, &s);
			p.byte[14] = version << 4 | (p.byte[14] & 15);
			if (version != (m.v6 ? 6 : 4))
				assert_untouched(lab, m, &p, lab->client.ifindex);
		}
	}
	assert_no_trace(lab);
}

/* Garbage with our addresses in it, so that it gets past the filter. */
static void test_foreign_garbage_passes(void **state)
{
	struct lab *lab = *state;
	static struct packet p;
	unsigned seed = 42;

	for_each_mode(m) {
		struct perch_address to = lab_listener(m.v6);

		for (unsigned i = 0; i < 20000; i++) {
			p.length = ETH_HLEN + rand_r(&seed) % 120;
			for (__u32 b = 0; b < p.length; b++)
				p.byte[b] = rand_r(&seed) >> 8;
			if (i & 1) {
				p.byte[12] = m.v6 ? 0x86 : 8;
				p.byte[13] = m.v6 ? 0xdd : 0;
			}
			if (i & 2) {
				memcpy(p.byte + (m.v6 ? 38 : 30), &to.word[m.v6 ? 0 : 3], m.v6 ? 16 : 4);
				p.byte[m.v6 ? 20 : 23] = i & 4 ? IPPROTO_TCP : IPPROTO_UDP;
			}
			/* whatever it is, it must not be for a listener */
			p.byte[(m.v6 ? 56 : 36)] = 0x77;
			assert_untouched(lab, m, &p, lab->client.ifindex);
		}
	}
	assert_no_trace(lab);
}

/* From a backend, but no flow of ours: its own traffic. */
static void test_foreign_traffic_of_a_backend_passes(void **state)
{
	struct lab *lab = *state;
	static struct packet p;

	for_each_mode(m) {
		for (unsigned udp = 0; udp < 2; udp++) {
			struct packet_spec s = ours(lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP);
			__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_NOT_OUR_REPLY);

			s.to = s.from;
			s.from = lab_backend(m.v6, 2);
			s.from_port = LAB_BACKEND_PORT;
			packet_build(&p, &s);
			assert_untouched(lab, m, &p, lab->backend.ifindex);
			assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_NOT_OUR_REPLY) - before, 1);
		}
	}
	assert_no_trace(lab);
}

/* A client that is connected through us also talks to the backend itself. */
static void test_foreign_direct_connection_to_a_backend_passes(void **state)
{
	struct lab *lab = *state;
	static struct packet p;
	static struct talk t;

	for_each_mode(m) {
		struct packet_spec s;

		mode_talk(&t, lab, m, IPPROTO_TCP, 901);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		s = t.client;
		s.to = t.backend.from;
		s.to_port = LAB_BACKEND_PORT;
		s.from_port++;
		packet_build(&p, &s);
		assert_untouched(lab, m, &p, lab->client.ifindex);
		s = t.backend;
		s.to_port++;
		packet_build(&p, &s);
		assert_untouched(lab, m, &p, lab->backend.ifindex);
		/* and from another port of the backend to the same client port */
		s = t.backend;
		s.from_port++;
		packet_build(&p, &s);
		assert_untouched(lab, m, &p, lab->backend.ifindex);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_foreign_base_packet_is_ours),
		prog_test(test_foreign_packets_pass_with_their_reason),
		prog_test(test_foreign_third_vlan_tag_passes),
		prog_test(test_foreign_mapped_addresses_pass),
		prog_test(test_foreign_arp_and_neighbour_discovery_pass),
		prog_test(test_foreign_truncated_headers_pass),
		prog_test(test_foreign_false_lengths_pass),
		prog_test(test_foreign_garbage_passes),
		prog_test(test_foreign_traffic_of_a_backend_passes),
		prog_test(test_foreign_direct_connection_to_a_backend_passes),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
