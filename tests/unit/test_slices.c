/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Places of Maglev tables: room, grace, and readers that are never misled. */
#include "tables_fixture.h"

#include <pthread.h>

static void test_slices_that_are_full_ask_for_patience_then_have_room(void **state)
{
	struct place p;
	char why[WHY];
	int err = 0;

	place_make(&p, 0, 8, 1);
	apply_new(&p);
	for (size_t n = 8; n-- > 2 && !err;) {
		place_backends(&p, 0, n);
		err = tables_apply(t, &p.s, NULL, NULL, why);
	}
	assert_int_equal(err, -EAGAIN);
	usleep(1050000);
	assert_int_equal(tables_apply(t, &p.s, NULL, NULL, why), 0);
}

static void test_slices_never_overlap(void **state)
{
	struct slices *s = &t->slices;
	__u32 offset[64], length[64];
	__u64 now = 1;
	size_t n = 0;

	srand(7);
	for (int turn = 0; turn < 20000; turn++) {
		if (n < 64 && rand() % 2) {
			length[n] = 1 + rand() % 400;
			int err = slices_take(s, length[n], now, &offset[n]);

			assert_true(err == 0 || err == -ENOSPC || err == -EAGAIN);
			if (err)
				continue;
			assert_true(offset[n] + length[n] <= s->entries);
			for (size_t i = 0; i < n; i++)
				assert_true(offset[i] + length[i] <= offset[n] || offset[n] + length[n] <= offset[i]);
			n++;
		} else if (n) {
			size_t i = rand() % n;

			if (rand() % 2)
				slices_return(s, offset[i]);
			else
				slices_retire(s, offset[i], now);
			offset[i] = offset[--n];
			length[i] = length[n];
		}
		now += SLICES_GRACE_NS / 50;
	}
	/* all given back, and rested: the whole map is one place again */
	while (n)
		slices_retire(s, offset[--n], now);
	assert_int_equal(slices_take(s, s->entries, now, &offset[0]), -EAGAIN);
	assert_int_equal(slices_take(s, s->entries, now + SLICES_GRACE_NS, &offset[0]), 0);
}

static void test_take_over_refuses_tables_that_overlap(void **state)
{
	struct perch_version *v = &m->versions[0];
	struct slices s;
	struct place p;

	place_make(&p, 0, 0, 1);
	place_mixed(&p, 0, 2);
	apply_new(&p);
	assert_int_equal(slices_open(&s, m), 0);
	assert_int_equal(s.n, 3);
	slices_close(&s);
	v->slice[PERCH_IPV6] = v->slice[PERCH_IPV4] + PERCH_SLICE_WIDTH;
	assert_int_equal(slices_open(&s, m), -EUCLEAN);
}

/* A program's way through the tables, over and over, in both families. */
struct reader {
	__u64 looks, wrong;
	bool stop;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	unsigned turn = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		__u32 version = turn++ % 2 * PERCH_SLOTS, family = turn / 2 % PERCH_FAMILIES;
		__u64 slice = __atomic_load_n(&m->versions[version].slice[family], __ATOMIC_ACQUIRE);
		__u32 length = perch_slice_length(slice), id;
		struct perch_backend *b;

		if (!length)
			continue;
		id = __atomic_load_n((__u16 *)m->slices + perch_slice_offset(slice) + turn % length, __ATOMIC_RELAXED);
		b = &m->backends[id < BACKENDS ? id : 0];
		r->looks++;
		r->wrong += !id || __atomic_load_n(&b->state, __ATOMIC_ACQUIRE) == PERCH_BACKEND_NONE ||
			    b->version != version || address_family(&b->address) != family;
	}
	return NULL;
}

/* Two services take turns in a map with little room, so that each writes
 * where the other's table was. */
static void test_reader_never_leaves_its_version_and_family(void **state)
{
	struct reader r = { 0 };
	struct place p[2];
	pthread_t thread;
	int applied = 0;
	char why[WHY];

	for (unsigned i = 0; i < 2; i++) {
		place_make(&p[i], i, 0, 1);
		place_mixed(&p[i], 0, 2);
		apply_new(&p[i]);
	}
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &r), 0);
	for (int turn = 0; turn < 2500; turn++) {
		struct place *q = &p[turn % 2];

		place_mixed(q, 0, 1 + rand() % 2);
		applied += tables_apply(t, &q->s, NULL, NULL, why) == 0;
		usleep(1000);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("%d applies, %llu looks\n", applied, r.looks);
	assert_true(applied > 4 && r.looks > 1000);
	assert_int_equal(r.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SMALL(test_slices_that_are_full_ask_for_patience_then_have_room),
		TEST_SMALL(test_slices_never_overlap),
		TEST_SMALL(test_take_over_refuses_tables_that_overlap),
		TEST_SMALL(test_reader_never_leaves_its_version_and_family),
	};

	return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
