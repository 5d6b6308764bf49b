/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Addresses as text: what is accepted, what is refused, and the way back. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/address.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void test_address_parse_gives_the_contracts_bytes(void **state)
{
	static const __u8 v4[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
	static const __u8 v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	struct perch_address a;

	assert_int_equal(address_parse("192.0.2.1", &a), 0);
	assert_memory_equal(&a, v4, 16);
	assert_true(address_is_v4(&a));
	assert_int_equal(address_family(&a), PERCH_IPV4);
	assert_int_equal(address_parse("::ffff:192.0.2.1", &a), 0);
	assert_memory_equal(&a, v4, 16);
	assert_int_equal(address_parse("2001:db8::1", &a), 0);
	assert_memory_equal(&a, v6, 16);
	assert_false(address_is_v4(&a));
	assert_int_equal(address_family(&a), PERCH_IPV6);
	assert_int_equal(address_parse("[2001:db8::1]", &a), 0);
	assert_memory_equal(&a, v6, 16);
}

static void test_address_parse_refuses_and_leaves_the_result(void **state)
{
	static const char *const wrong[] = {
		"", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80",
		"[1.2.3.4]", "[::1", "::1]", "[::1]x", "[::1]:80", "[]", "[", ":::", "fe80::1%eth0", "example.org",
		"1:2:3:4:5:6:7:8:9", "[1111111111111111111111111111111111111111111111111111111111111111111111]",
	};
	struct perch_address a, before;

	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (address_parse(wrong[i], &a) != -EINVAL)
			fail_msg("accepted '%s'", wrong[i]);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void test_address_port_takes_every_form(void **state)
{
	static const struct {
		const char *text, *address;
		unsigned port;
		const char *formatted;
	} right[] = {
		{ "10.0.1.2", "10.0.1.2", 0, "10.0.1.2" },
		{ "10.0.1.2:0", "10.0.1.2", 0, "10.0.1.2" },
		{ "10.0.1.2:80", "10.0.1.2", 80, "10.0.1.2:80" },
		{ "10.0.1.2:65535", "10.0.1.2", 65535, "10.0.1.2:65535" },
		{ "2001:db8::1", "2001:db8::1", 0, "2001:db8::1" },
		{ "[2001:db8::1]", "2001:db8::1", 0, "2001:db8::1" },
		{ "[2001:DB8:0::1]:80", "2001:db8::1", 80, "[2001:db8::1]:80" },
	};

	for (size_t i = 0; i < COUNT(right); i++) {
		struct perch_address a, want;
		char text[ADDRESS_TEXT];
		__be16 port = 1;

		assert_int_equal(address_parse(right[i].address, &want), 0);
		assert_int_equal(address_port_parse(right[i].text, &a, &port), 0);
		assert_memory_equal(&a, &want, sizeof(a));
		assert_int_equal(ntohs(port), right[i].port);
		assert_string_equal(address_port_format(&a, port, text), right[i].formatted);
	}
}

static void test_address_port_refuses_and_leaves_the_result(void **state)
{
	static const char *const wrong[] = {
		"", ":", ":80", "10.0.1.2:", "10.0.1.2:65536", "10.0.1.2:99999", "10.0.1.2:100000", "10.0.1.2:-1",
		"10.0.1.2:+1", "10.0.1.2:080", "10.0.1.2:80 ", "10.0.1.2: 80", "10.0.1.2:80:80", "10.0.1.2:0x50",
		"[::1]80", "[::1]:", "[::1]:x", "[10.0.1.2]:80", "[::1:80", "10.0.1:80", "10.0.1.2:80/tcp",
	};
	struct perch_address a, before;
	__be16 port = 7;

	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (address_port_parse(wrong[i], &a, &port) != -EINVAL)
			fail_msg("accepted '%s'", wrong[i]);
		assert_memory_equal(&a, &before, sizeof(a));
		assert_int_equal(port, 7);
	}
}

static void test_endpoint_needs_port_and_protocol(void **state)
{
	static const struct {
		const char *text;
		int err;
	} wrong[] = {
		{ "", -EINVAL }, { "192.0.2.10", -EINVAL }, { "192.0.2.10:80", -EINVAL }, { "192.0.2.10/tcp", -EINVAL },
		{ "192.0.2.10:80/", -EINVAL }, { "192.0.2.10:/tcp", -EINVAL }, { "/tcp", -EINVAL },
		{ "2001:db8::1/tcp", -EINVAL }, { "192.0.2.10:80/sctp", -EPROTONOSUPPORT },
		{ "192.0.2.10:80/TCP", -EPROTONOSUPPORT }, { "192.0.2.10:80/tcp/udp", -EPROTONOSUPPORT },
		{ "192.0.2.10:80/tcp ", -EPROTONOSUPPORT }, { "nonsense:80/sctp", -EINVAL },
	};
	struct perch_endpoint e, before;

	memset(&e, 0x5a, sizeof(e));
	before = e;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		int err = endpoint_parse(wrong[i].text, &e);

		if (err != wrong[i].err)
			fail_msg("'%s' gave %d", wrong[i].text, err);
		assert_memory_equal(&e, &before, sizeof(e));
	}
}

static void test_endpoint_round_trips(void **state)
{
	static const char *const right[] = {
		"192.0.2.10:80/tcp", "192.0.2.10:0/udp", "[2001:db8::10]:443/udp", "[::]:0/tcp", "0.0.0.0:1/tcp",
		"255.255.255.255:65535/udp", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535/udp",
	};

	for (size_t i = 0; i < COUNT(right); i++) {
		struct perch_endpoint e;
		char text[ADDRESS_TEXT];

		assert_int_equal(endpoint_parse(right[i], &e), 0);
		assert_int_equal(e.fragments, 0);
		assert_string_equal(endpoint_format(&e, text), right[i]);
	}
}

/* Any bytes are some address: text and back must be the same bytes. */
static void test_random_addresses_round_trip(void **state)
{
	unsigned seed = 1;

	for (int i = 0; i < 100000; i++) {
		struct perch_endpoint e = { .protocol = i & 1 ? IPPROTO_TCP : IPPROTO_UDP }, back;
		char text[ADDRESS_TEXT];

		for (int w = 0; w < 4; w++)
			e.address.word[w] = rand_r(&seed) % 4 ? (__u32)rand_r(&seed) * 2 + (i & 1) : 0;
		if (i % 3 == 0) {
			e.address.word[0] = e.address.word[1] = 0;
			e.address.word[2] = htonl(0xffff);
		}
		e.port = rand_r(&seed);
		assert_int_equal(endpoint_parse(endpoint_format(&e, text), &back), 0);
		assert_memory_equal(&e, &back, sizeof(e));
	}
}

static void test_prefix_counts_bits_of_the_128(void **state)
{
	static const struct { const char *text, *back; __u32 prefix; } right[] = {
		{ "10.9.0.0/16", "10.9.0.0/16", 112 }, { "0.0.0.0/0", "0.0.0.0/0", 96 }, { "192.0.2.1", "192.0.2.1", 128 },
		{ "192.0.2.1/32", "192.0.2.1", 128 }, { "2001:db8::/32", "2001:db8::/32", 32 }, { "::/0", "::/0", 0 },
		{ "2001:db8::1/128", "2001:db8::1", 128 }, { "::ffff:10.0.0.0/104", "10.0.0.0/8", 104 },
	};
	static const char *const wrong[] = {
		"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/8 ", "10.0/8", "::/129",
		"2001:db8::/1000", "10.0.0.0/255.0.0.0",
	};
	struct perch_address a, before;
	char text[ADDRESS_TEXT];
	__u32 prefix = 7;

	for (size_t i = 0; i < COUNT(right); i++) {
		assert_int_equal(prefix_parse(right[i].text, &a, &prefix), 0);
		assert_int_equal(prefix, right[i].prefix);
		assert_string_equal(prefix_format(&a, prefix, text), right[i].back);
	}
	memcpy(&before, &a, sizeof(a));
	prefix = 7;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (prefix_parse(wrong[i], &a, &prefix) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
		assert_memory_equal(&a, &before, sizeof(a));
		assert_int_equal(prefix, 7);
	}
}

static void test_prefix_with_bits_behind_it_is_told_and_masked(void **state)
{
	static const struct { const char *text, *right; } cases[] = {
		{ "10.9.1.1/16", "10.9.0.0/16" }, { "10.9.1.1/31", "10.9.1.0/31" }, { "128.0.0.0/0", "0.0.0.0/0" },
		{ "2001:db8::1/33", "2001:db8::/33" }, { "2001:db8:0:1::/63", "2001:db8::/63" }, { "::1/127", "::/127" },
		{ "2001:db8:ffff::/33", "2001:db8:8000::/33" },
	};
	struct perch_address a;
	char text[ADDRESS_TEXT];
	__u32 prefix;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(prefix_parse(cases[i].text, &a, &prefix), -EDOM);
		assert_string_equal(prefix_format(&a, prefix, text), cases[i].right);
	}
}

/* Bit by bit, against what words and shifts come to. */
static void test_address_mask_keeps_the_prefix_alone(void **state)
{
	for (__u32 prefix = 0; prefix <= 128; prefix++) {
		struct perch_address a = { { ~0u, ~0u, ~0u, ~0u } };
		const __u8 *byte = (const __u8 *)&a;

		address_mask(&a, prefix);
		for (__u32 bit = 0; bit < 128; bit++)
			assert_int_equal(byte[bit / 8] >> (7 - bit % 8) & 1, bit < prefix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_parse_gives_the_contracts_bytes),
		cmocka_unit_test(test_address_parse_refuses_and_leaves_the_result),
		cmocka_unit_test(test_address_port_takes_every_form),
		cmocka_unit_test(test_address_port_refuses_and_leaves_the_result),
		cmocka_unit_test(test_endpoint_needs_port_and_protocol),
		cmocka_unit_test(test_endpoint_round_trips),
		cmocka_unit_test(test_random_addresses_round_trip),
		cmocka_unit_test(test_prefix_counts_bits_of_the_128),
		cmocka_unit_test(test_prefix_with_bits_behind_it_is_told_and_masked),
		cmocka_unit_test(test_address_mask_keeps_the_prefix_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
