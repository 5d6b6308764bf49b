/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The tests' own packet builder and reader: against bytes whose
 * sums were made elsewhere, and against damage. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "packet.h"

static struct packet_spec sample(bool v6, __u8 protocol)
{
	struct packet_spec s = {
		.from_mac = { 2, 0, 0, 0, 0, 1 }, .to_mac = { 2, 0, 0, 0, 0, 2 },
		.from = { { 0, 0, htonl(0xffff), htonl(0xc0a80001) } },
		.to = { { 0, 0, htonl(0xffff), htonl(0xc0a800c7) } },
		.from_port = 4660, .to_port = 80, .protocol = protocol, .ttl = 64,
		.seq = 0x01020304, .ack = 0x05060708, .window = 512,
	};

	if (v6) {
		s.from = (struct perch_address){ { htonl(0x20010db8), 0, 0, htonl(1) } };
		s.to = (struct perch_address){ { htonl(0x20010db8), 0, 0, htonl(2) } };
	}
	if (protocol == IPPROTO_TCP)
		s.flags = TCP_ACK | TCP_PSH;
	return s;
}

static void test_packet_of_udp_has_known_bytes(void **state)
{
	/* the complements of 0x8989 (IPv4 header) and 0x94be (UDP and its pseudo header) */
	static const __u8 want[] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
		0x45, 0, 0, 28, 0x42, 0x42, 0x40, 0, 64, 17, 0x76, 0x76, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7,
		0x12, 0x34, 0, 80, 0, 8, 0x6b, 0x41,
	};
	struct packet_spec s = sample(false, IPPROTO_UDP);
	struct packet p;

	packet_build(&p, &s);
	assert_int_equal(p.length, sizeof(want));
	assert_memory_equal(p.byte, want, sizeof(want));
}

static void test_packet_reads_back_what_was_built(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct packet_spec s = sample(i & 1, i & 2 ? IPPROTO_TCP : IPPROTO_UDP), back;
		struct packet p;

		s.payload = 333;
		s.tos = 0x28;
		s.vlans = i % 3;
		s.tcp_options = s.protocol == IPPROTO_TCP ? 12 : 0;
		packet_build(&p, &s);
		assert_null(packet_read(&p, &back));
		if (s.protocol == IPPROTO_UDP)
			back.seq = s.seq, back.ack = s.ack, back.window = s.window;
		assert_memory_equal(&back, &s, sizeof(s));
	}
}

static void test_packet_reader_finds_each_flipped_byte_behind_ethernet(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct packet_spec s = sample(i & 1, i & 2 ? IPPROTO_TCP : IPPROTO_UDP), back;
		struct packet good, bad;
		unsigned missed = 0;

		s.payload = 41;
		packet_build(&good, &s);
		for (__u32 at = 14; at < good.length; at++) {
			bad = good;
			bad.byte[at] ^= 0x41;
			assert_false(packet_same(&bad, &good, NULL));
			missed += !packet_read(&bad, &back);
		}
		/* IPv6 has no checksum over traffic class, flow label and hop limit */
		assert_int_equal(missed, i & 1 ? 4 : 0);
	}
}

static void test_packet_compare_takes_both_zeros_of_a_checksum(void **state)
{
	struct packet_spec s = sample(false, IPPROTO_TCP);
	struct packet a, b;

	packet_build(&a, &s);
	b = a;
	a.byte[50] = a.byte[51] = 0;
	b.byte[50] = b.byte[51] = 0xff;
	assert_true(packet_same(&a, &b, NULL));
	b.byte[51] = 0xfe;
	assert_false(packet_same(&a, &b, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet_of_udp_has_known_bytes),
		cmocka_unit_test(test_packet_reads_back_what_was_built),
		cmocka_unit_test(test_packet_reader_finds_each_flipped_byte_behind_ethernet),
		cmocka_unit_test(test_packet_compare_takes_both_zeros_of_a_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
