/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Maglev tables in numbers: shares, what a change of backends disturbs, and
 * that nothing but keys and weights decides. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/core/maglev.h"

#define LARGEST 65521
#define MEMBERS 1024

static __u16 table[LARGEST + 1], other[LARGEST + 1];

static void members_make(struct maglev_member *m, size_t n)
{
	__u64 x = 88172645463325252ull;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		m[i] = (struct maglev_member){ .key = x, .weight = 1, .id = i + 1 };
	}
}

static size_t count_id(const __u16 *t, size_t size, __u16 id)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += t[i] == id;
	return n;
}

static void test_size_is_a_prime_with_room_for_each(void **state)
{
	static struct maglev_member m[MEMBERS];

	members_make(m, MEMBERS);
	assert_int_equal(maglev_size(m, 0), 0);
	for (size_t n = 1; n <= MEMBERS; n++) {
		size_t size = maglev_size(m, n);

		assert_true(size >= (n * 100 < LARGEST ? n * 100 : LARGEST) && size <= LARGEST);
		for (size_t d = 2; d * d <= size; d++)
			assert_int_not_equal(size % d, 0);
	}
	m[0].weight = m[1].weight = 0;
	assert_int_equal(maglev_size(m, 2), 0);
	assert_int_equal(maglev_size(m, 3), 101);
	/* the lightest has its hundred, as long as the spread is small */
	m[0].weight = 1;
	m[1].weight = 9;
	assert_int_equal(maglev_size(m, 2), 1009);
	m[1].weight = 1000000;
	assert_int_equal(maglev_size(m, 2), 2003);
}

static void shares_check(const struct maglev_member *m, size_t n)
{
	size_t size = maglev_size(m, n);
	__u64 sum = 0;

	assert_int_equal(maglev_fill(m, n, table, size), 0);
	for (size_t i = 0; i < n; i++)
		sum += m[i].weight;
	for (size_t i = 0; i < n; i++) {
		double want = (double)size * m[i].weight / sum, got = count_id(table, size, m[i].id);

		/* within an entry or two, and 2 % of what it should have */
		if (got < want - 0.02 * want - 1 || got > want + 0.02 * want + 1)
			fail_msg("member %zu of %zu: %.0f entries of %.1f", i, n, got, want);
	}
}

static void test_shares_follow_weights(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 5, 10, 50, 200, 600 };
	static struct maglev_member m[MEMBERS];
	unsigned seed = 11;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		members_make(m, sizes[i]);
		shares_check(m, sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			m[k].weight = 1 + rand_r(&seed) % 10;
		shares_check(m, sizes[i]);
	}
	members_make(m, 3);
	m[0].weight = 100;
	m[1].weight = 200;
	m[2].weight = 1;
	shares_check(m, 3);
}

static void test_member_without_weight_gets_nothing(void **state)
{
	struct maglev_member m[4];
	size_t size;

	members_make(m, 4);
	m[2].weight = 0;
	size = maglev_size(m, 4);
	assert_int_equal(maglev_fill(m, 4, table, size), 0);
	assert_int_equal(count_id(table, size, m[2].id), 0);
	assert_int_equal(count_id(table, size, 0), 0);
}

static void test_order_and_repetition_change_nothing(void **state)
{
	static struct maglev_member m[50], turned[50];
	size_t size;

	members_make(m, 50);
	for (size_t i = 0; i < 50; i++)
		m[i].weight = 1 + i % 3;
	for (size_t i = 0; i < 50; i++)
		turned[i] = m[(i * 7 + 3) % 50];
	size = maglev_size(m, 50);
	assert_int_equal(maglev_fill(m, 50, table, size), 0);
	assert_int_equal(maglev_fill(turned, 50, other, size), 0);
	assert_memory_equal(table, other, size * sizeof(*table));
	assert_int_equal(maglev_fill(m, 50, other, size), 0);
	assert_memory_equal(table, other, size * sizeof(*table));
}

static void test_ids_are_labels_only(void **state)
{
	static struct maglev_member m[10];
	size_t size;

	members_make(m, 10);
	size = maglev_size(m, 10);
	assert_int_equal(maglev_fill(m, 10, table, size), 0);
	for (size_t i = 0; i < 10; i++)
		m[i].id = 1000 - i;
	assert_int_equal(maglev_fill(m, 10, other, size), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(other[i], 1000 - (table[i] - 1));
}

/* Entries that moved though neither end of the move is the one that left. */
static double disturbed_by_loss(struct maglev_member *m, size_t n, size_t gone, size_t size)
{
	__u16 id = m[gone].id;
	__u32 weight = m[gone].weight;
	size_t moved = 0;

	assert_int_equal(maglev_fill(m, n, table, size), 0);
	m[gone].weight = 0;
	assert_int_equal(maglev_fill(m, n, other, size), 0);
	m[gone].weight = weight;
	assert_int_equal(count_id(other, size, id), 0);
	for (size_t i = 0; i < size; i++)
		moved += table[i] != id && table[i] != other[i];
	return (double)moved / size;
}

static void test_losing_one_backend_disturbs_few_others(void **state)
{
	static const struct {
		size_t n, size;
		double most;
	} cases[] = { { 10, 1009, 0.06 }, { 100, 10007, 0.05 }, { 100, 65521, 0.03 }, { 600, 60013, 0.05 } };
	static struct maglev_member m[MEMBERS];

	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		double worst = 0, sum = 0;
		int rounds = 8;

		members_make(m, cases[c].n);
		for (int i = 0; i < rounds; i++) {
			double d = disturbed_by_loss(m, cases[c].n, i * cases[c].n / rounds, cases[c].size);

			worst = d > worst ? d : worst;
			sum += d;
		}
		print_message("%zu backends, %zu entries: a loss moves %.2f %% of the others' (worst %.2f %%)\n",
			      cases[c].n, cases[c].size, 100 * sum / rounds, 100 * worst);
		assert_true(worst <= cases[c].most);
	}
}

static void test_losing_the_heaviest_disturbs_few_others(void **state)
{
	static struct maglev_member m[20];
	double d;

	members_make(m, 20);
	for (size_t i = 0; i < 20; i++)
		m[i].weight = 2 + i % 4;
	m[7].weight = 8;
	d = disturbed_by_loss(m, 20, 7, maglev_size(m, 20));
	print_message("losing the heaviest of 20 moves %.2f %% of the others'\n", 100 * d);
	assert_true(d <= 0.05);
}

/* A new member takes its share; who does not move to it stays, mostly. */
static void test_gaining_one_backend_disturbs_few_others(void **state)
{
	static struct maglev_member m[MEMBERS];
	size_t size = 10007, to_new = 0, elsewhere = 0;

	members_make(m, 100);
	assert_int_equal(maglev_fill(m, 99, table, size), 0);
	assert_int_equal(maglev_fill(m, 100, other, size), 0);
	for (size_t i = 0; i < size; i++) {
		to_new += other[i] == m[99].id;
		elsewhere += other[i] != m[99].id && other[i] != table[i];
	}
	print_message("a gain moves %.2f %% to it and %.2f %% elsewhere\n", 100.0 * to_new / size,
		      100.0 * elsewhere / size);
	assert_true(to_new >= size / 100 - 2 && to_new <= size / 100 + 2);
	assert_true(elsewhere <= size / 20);
}

static void test_what_can_not_be_filled_is_refused(void **state)
{
	struct maglev_member m[2];

	members_make(m, 2);
	assert_int_equal(maglev_fill(m, 0, table, 101), -EINVAL);
	assert_int_equal(maglev_fill(m, 2, table, 0), -EINVAL);
	assert_int_equal(maglev_fill(m, 2, table, 1), -EINVAL);
	assert_int_equal(maglev_fill(m, 2, table, 100), -EINVAL);
	assert_int_equal(maglev_fill(m, 2, table, 65537), -EINVAL);
	assert_int_equal(maglev_fill(m, 2, table, 2), 0);
	m[0].weight = m[1].weight = 0;
	assert_int_equal(maglev_fill(m, 2, table, 101), -EINVAL);
}

static void test_mend_gives_what_is_free_to_the_rest_and_moves_nothing_else(void **state)
{
	static struct maglev_member m[100];
	size_t size, freed = 0;

	members_make(m, 100);
	size = maglev_size(m, 100);
	assert_int_equal(maglev_fill(m, 100, table, size), 0);
	memcpy(other, table, size * sizeof(*table));
	for (size_t i = 0; i < size; i++) {
		if (other[i] == 17 || other[i] == 55) {
			other[i] = 0;
			freed++;
		}
	}
	m[16] = m[99];
	m[54] = m[98];
	assert_int_equal(maglev_mend(m, 98, other, size), 0);
	for (size_t i = 0; i < size; i++) {
		assert_true(other[i] && other[i] != 17 && other[i] != 55);
		if (table[i] != 17 && table[i] != 55)
			assert_int_equal(other[i], table[i]);
	}
	for (size_t i = 0; i < 98; i++) {
		size_t more = count_id(other, size, m[i].id) - count_id(table, size, m[i].id);

		assert_in_range(more, freed / 98, freed / 98 + 1);
	}
	/* nothing is free: nothing happens */
	memcpy(table, other, size * sizeof(*table));
	assert_int_equal(maglev_mend(m, 98, other, size), 0);
	assert_memory_equal(table, other, size * sizeof(*table));
}

static void test_extremes_end(void **state)
{
	static struct maglev_member m[4096];
	size_t size;

	members_make(m, 4096);
	size = maglev_size(m, 4096);
	assert_int_equal(size, LARGEST);
	assert_int_equal(maglev_fill(m, 4096, table, size), 0);
	m[0].weight = 0xffffffff;
	assert_int_equal(maglev_fill(m, 2, table, maglev_size(m, 2)), 0);
	/* one key twice: the same permutation, taken in turns */
	members_make(m, 2);
	m[1].key = m[0].key;
	shares_check(m, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_is_a_prime_with_room_for_each),
		cmocka_unit_test(test_shares_follow_weights),
		cmocka_unit_test(test_member_without_weight_gets_nothing),
		cmocka_unit_test(test_order_and_repetition_change_nothing),
		cmocka_unit_test(test_ids_are_labels_only),
		cmocka_unit_test(test_losing_one_backend_disturbs_few_others),
		cmocka_unit_test(test_losing_the_heaviest_disturbs_few_others),
		cmocka_unit_test(test_gaining_one_backend_disturbs_few_others),
		cmocka_unit_test(test_what_can_not_be_filled_is_refused),
		cmocka_unit_test(test_mend_gives_what_is_free_to_the_rest_and_moves_nothing_else),
		cmocka_unit_test(test_extremes_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
