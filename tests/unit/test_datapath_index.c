// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The index over elements against a list of what was added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/datapath/index.h"

#define SERVICES 16u
#define ELEMENTS 512u
#define HASHES 40u		/* few, so that chains are long */

/* By id; service SERVICES: not added. */
static __u32 service_of[ELEMENTS], hash_of[ELEMENTS];
static __u64 added[ELEMENTS];

static size_t check_service(const struct index *x, __u32 service)
{
	size_t n = 0;
	__u64 last = 0;

	for (__u32 id = x->first[service]; id; id = x->next[id], n++) {
		assert_int_equal(service_of[id], service);
		/* in the order in which they came */
		assert_true(added[id] > last);
		last = added[id];
		if (!x->next[id])
			assert_int_equal(x->last[service], id);
	}
	if (!n)
		assert_int_equal(x->last[service], 0);
	return n;
}

static bool is_found(const struct index *x, __u32 id)
{
	for (__u32 at = index_find(x, hash_of[id]); at; at = x->same[at])
		if (at == id)
			return true;
	return false;
}

static void check(const struct index *x)
{
	size_t n = 0, listed = 0;

	for (__u32 id = 1; id < ELEMENTS; id++) {
		bool there = service_of[id] != SERVICES;

		n += there;
		assert_int_equal(is_found(x, id), there);
	}
	for (__u32 s = 0; s < SERVICES; s++)
		listed += check_service(x, s);
	assert_int_equal(listed, n);
}

static void test_index_follows_whoever_comes_and_goes(void **state)
{
	struct index x;

	srand(7);
	assert_int_equal(index_open(&x, SERVICES, ELEMENTS), 0);
	for (__u32 id = 0; id < ELEMENTS; id++)
		service_of[id] = SERVICES;
	for (__u64 step = 1; step <= 20000; step++) {
		__u32 id = 1 + rand() % (ELEMENTS - 1);

		if (service_of[id] == SERVICES) {
			service_of[id] = rand() % SERVICES;
			hash_of[id] = rand() % HASHES;
			added[id] = step;
			index_add(&x, service_of[id], id, hash_of[id]);
		} else {
			index_remove(&x, service_of[id], id, hash_of[id]);
			service_of[id] = SERVICES;
		}
		if (step % 100 == 0)
			check(&x);
	}
	index_close(&x);
}

static void test_hash_tells_endpoints_apart(void **state)
{
	unsigned used[4096] = { 0 }, most = 0;

	/* ports of one address, as services of one host have them */
	for (__u32 port = 0; port < 4096; port++) {
		__u32 key[5] = { 0, 0, 0xffff0000, 0x0a0200c0, port }, hash = index_hash(key, sizeof(key)) % 4096;

		if (++used[hash] > most)
			most = used[hash];
	}
	assert_in_range(most, 1, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_follows_whoever_comes_and_goes),
		cmocka_unit_test(test_hash_tells_endpoints_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
