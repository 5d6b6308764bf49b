/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choice computed in user space: known vectors, and what it must be blind
 * or sensitive to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "../../user/core/address.h"
#include "../../user/core/hash.h"

static const __u64 secret[4] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull, 1, 2 };

static struct hash_tuple tuple(const char *client, __u16 port)
{
	struct hash_tuple t = { .client_port = htons(port), .port = htons(80), .protocol = IPPROTO_TCP };

	assert_int_equal(address_parse(client, &t.client), 0);
	assert_int_equal(address_parse("192.0.2.10", &t.destination), 0);
	return t;
}

static void test_hash_siphash_meets_the_authors_vectors(void **state)
{
	/* SipHash-2-4 of 00 01 02 .., 0, 8 and 16 bytes of it (vectors.h) */
	const __u64 input[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };

	assert_true(hash_siphash(2, 4, secret, input, 0) == 0x726fdb47dd0e0e31ull);
	assert_true(hash_siphash(2, 4, secret, input, 1) == 0x93f5f5799a932462ull);
	assert_true(hash_siphash(2, 4, secret, input, 2) == 0x3f2acc7f57c29bdbull);
}

static void test_hash_mix_meets_splitmix64(void **state)
{
	/* the first outputs of SplitMix64 from seed 0 */
	assert_true(hash_mix(0x9e3779b97f4a7c15ull) == 0xe220a8397b1dcdafull);
	assert_true(hash_mix(2 * 0x9e3779b97f4a7c15ull) == 0x6e789e6aa1b965f4ull);
}

static void test_hash_client_affinity_sees_the_address_alone(void **state)
{
	struct hash_tuple a = tuple("10.1.0.7", 1000), b = tuple("10.1.0.7", 2000), c = tuple("10.1.0.8", 1000);

	b.port = htons(443);
	b.protocol = IPPROTO_UDP;
	assert_true(hash_affinity(secret, PERCH_AFFINITY_CLIENT, &a) == hash_affinity(secret, PERCH_AFFINITY_CLIENT, &b));
	assert_true(hash_affinity(secret, PERCH_AFFINITY_CLIENT, &a) != hash_affinity(secret, PERCH_AFFINITY_CLIENT, &c));
}

static void test_hash_client_affinity_takes_the_slash_64_of_ipv6(void **state)
{
	struct hash_tuple a = tuple("2001:db8:1:2::7", 1), b = tuple("2001:db8:1:2:ffff::9", 1);
	struct hash_tuple c = tuple("2001:db8:1:3::7", 1);

	assert_true(hash_affinity(secret, PERCH_AFFINITY_CLIENT, &a) == hash_affinity(secret, PERCH_AFFINITY_CLIENT, &b));
	assert_true(hash_affinity(secret, PERCH_AFFINITY_CLIENT, &a) != hash_affinity(secret, PERCH_AFFINITY_CLIENT, &c));
}

static void test_hash_connection_affinity_sees_every_part(void **state)
{
	struct hash_tuple a = tuple("10.1.0.7", 1000), other[5];
	__u64 hash = hash_affinity(secret, PERCH_AFFINITY_CONNECTION, &a);

	for (int i = 0; i < 5; i++)
		other[i] = a;
	other[0].client.word[3] ^= 1;
	other[1].client_port ^= 1;
	other[2].destination.word[3] ^= 1;
	other[3].port ^= 1;
	other[4].protocol = IPPROTO_UDP;
	for (int i = 0; i < 5; i++)
		assert_true(hash_affinity(secret, PERCH_AFFINITY_CONNECTION, &other[i]) != hash);
}

static void test_hash_value_is_even_over_the_range(void **state)
{
	unsigned count[10] = { 0 };

	for (__u32 n = 0; n < 100000; n++) {
		struct hash_tuple t = tuple("10.1.0.7", 1000);
		__u32 value;

		t.client.word[3] = htonl(0x0a000000 + n);
		value = hash_value(hash_affinity(secret, PERCH_AFFINITY_CLIENT, &t), 0x5a17);
		assert_in_range(value, 0, PERCH_SHARE_ALL - 1);
		count[value / (PERCH_SHARE_ALL / 10)]++;
	}
	/* 10,000 each, with a standard deviation of 95 */
	for (int i = 0; i < 10; i++)
		assert_in_range(count[i], 9500, 10500);
}

static void test_hash_entry_stays_in_its_slice(void **state)
{
	const __u64 slice = 101ull << 32 | 640;

	assert_int_equal(hash_entry(0, slice), 640);
	assert_int_equal(hash_entry(0xffffffff, slice), 740);
	assert_int_equal(hash_entry(0xdeadbeef00000000ull, slice), 640);	/* the low half alone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_siphash_meets_the_authors_vectors),
		cmocka_unit_test(test_hash_mix_meets_splitmix64),
		cmocka_unit_test(test_hash_client_affinity_sees_the_address_alone),
		cmocka_unit_test(test_hash_client_affinity_takes_the_slash_64_of_ipv6),
		cmocka_unit_test(test_hash_connection_affinity_sees_every_part),
		cmocka_unit_test(test_hash_value_is_even_over_the_range),
		cmocka_unit_test(test_hash_entry_stays_in_its_slice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
