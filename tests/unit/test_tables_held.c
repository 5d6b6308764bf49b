/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Backends that are drained by a person or down by their health check: their
 * states, what the slices lead to meanwhile, and what a new agent finds. */
#include "tables_fixture.h"

#define PERSON PERCH_HELD_PERSON
#define HEALTH PERCH_HELD_HEALTH

static int hold(const struct place *p, unsigned slot, size_t i, __u8 held)
{
	const struct model_backend *b = &p->backend[slot][i];

	return tables_backend_hold(t, p->s.id, slot, &b->address, b->port, held);
}

static __u64 slice_of(const struct place *p, unsigned slot, enum perch_family family)
{
	return m->versions[p->s.id * PERCH_SLOTS + slot].slice[family];
}

/* What its table says now; the length. */
static __u32 slice_copy(const struct place *p, unsigned slot, enum perch_family family, __u16 *to)
{
	__u64 slice = slice_of(p, slot, family);

	for (__u32 i = 0; i < perch_slice_length(slice); i++)
		to[i] = slice_entry(slice, i);
	return perch_slice_length(slice);
}

static size_t slice_count(const struct place *p, unsigned slot, enum perch_family family, __u32 id)
{
	__u64 slice = slice_of(p, slot, family);
	size_t n = 0;

	for (__u32 i = 0; i < perch_slice_length(slice); i++)
		n += slice_entry(slice, i) == id;
	return n;
}

static void test_hold_moves_through_all_states(void **state)
{
	static const struct {
		__u8 held;
		enum perch_backend_state state;
	} steps[] = {
		{ HEALTH, PERCH_BACKEND_DOWN },	{ 0, PERCH_BACKEND_UP },
		{ PERSON, PERCH_BACKEND_DRAINING }, { PERSON | HEALTH, PERCH_BACKEND_DOWN },
		{ PERSON, PERCH_BACKEND_DRAINING }, { 0, PERCH_BACKEND_UP },
		{ PERSON | HEALTH, PERCH_BACKEND_DOWN }, { HEALTH, PERCH_BACKEND_DOWN },
		{ HEALTH, PERCH_BACKEND_DOWN }, { 0, PERCH_BACKEND_UP },
	};
	struct place p;

	place_make(&p, 2, 0, 1);
	place_mixed(&p, 0, 3);
	apply_new(&p);
	for (size_t of = 0; of < 2; of++) {	/* one of each family */
		__u32 id = id_of(&p, 0, of);

		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			assert_int_equal(hold(&p, 0, of, steps[i].held), 0);
			assert_int_equal(m->backends[id].state, steps[i].state);
			assert_int_equal(m->backends[id].held, steps[i].held);
			assert_true(tables_backend_named(&m->backends[id]));
			assert_true(slice_names(2 * PERCH_SLOTS, id) == !steps[i].held);
			assert_true(slice_names(2 * PERCH_SLOTS, id_of(&p, 0, of + 2)));
		}
	}
}

static void test_hold_of_a_stranger_is_refused(void **state)
{
	struct place p;

	place_make(&p, 0, 2, 1);
	apply_new(&p);
	assert_int_equal(tables_backend_hold(t, 0, 1, &p.backend[0][0].address, htons(8000), PERSON), -ENOENT);
	assert_int_equal(tables_backend_hold(t, 0, 0, &p.backend[0][0].address, htons(8001), PERSON), -ENOENT);
	place_backends(&p, 0, 1);
	p.backend[0][1].port = htons(8000);
	apply(&p);
	/* it left, and drains for that */
	assert_int_equal(hold(&p, 0, 1, HEALTH), -ENOENT);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].state, PERCH_BACKEND_DRAINING);
}

/* A backend that goes disturbs its own share alone, and that as it comes back
 * is as it was. */
static void test_hold_moves_no_entry_of_the_others(void **state)
{
	static __u16 before[65536], now[65536];
	__u32 n, id;
	struct place p;

	place_make(&p, 0, 10, 1);
	p.backend[0][3].weight = 4;
	apply_new(&p);
	n = slice_copy(&p, 0, PERCH_IPV4, before);
	for (size_t gone = 0; gone < 10; gone++) {
		size_t moved = 0;

		id = id_of(&p, 0, gone);
		assert_int_equal(hold(&p, 0, gone, HEALTH), 0);
		assert_int_equal(slice_copy(&p, 0, PERCH_IPV4, now), n);
		for (__u32 i = 0; i < n; i++) {
			assert_int_not_equal(now[i], id);
			moved += before[i] != now[i];
			if (before[i] != id)
				assert_int_equal(now[i], before[i]);
		}
		assert_true(moved >= 100);
		assert_int_equal(hold(&p, 0, gone, 0), 0);
		assert_int_equal(slice_copy(&p, 0, PERCH_IPV4, now), n);
		assert_memory_equal(now, before, n * sizeof(*now));
	}
}

/* Half of them go: the rest share what they left, each by its weight. */
static void test_hold_shares_what_is_left_by_weight(void **state)
{
	__u32 n, sum = 0;
	struct place p;

	place_make(&p, 0, 8, 1);
	p.backend[0][7].weight = 3;
	apply_new(&p);
	n = perch_slice_length(slice_of(&p, 0, PERCH_IPV4));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(hold(&p, 0, i, i % 2 ? PERSON : HEALTH), 0);
	for (size_t i = 4; i < 8; i++) {
		size_t has = slice_count(&p, 0, PERCH_IPV4, id_of(&p, 0, i)), share = n * (i == 7 ? 3 : 1) / 6;

		assert_in_range(has, share - 3, share + 3);
		sum += has;
	}
	assert_int_equal(sum, n);
}

/* The order in which they went does not matter: hosts agree. */
static void test_hold_ends_in_the_same_table_by_any_way(void **state)
{
	static __u16 one[65536], other[65536];
	struct place p;
	__u32 n;

	place_make(&p, 0, 6, 1);
	apply_new(&p);
	assert_int_equal(hold(&p, 0, 1, HEALTH), 0);
	assert_int_equal(hold(&p, 0, 4, HEALTH), 0);
	n = slice_copy(&p, 0, PERCH_IPV4, one);
	assert_int_equal(hold(&p, 0, 1, 0), 0);
	assert_int_equal(hold(&p, 0, 2, PERSON), 0);
	assert_int_equal(hold(&p, 0, 1, PERSON), 0);
	assert_int_equal(hold(&p, 0, 2, 0), 0);
	assert_int_equal(slice_copy(&p, 0, PERCH_IPV4, other), n);
	assert_memory_equal(one, other, n * sizeof(*one));
	/* an apply says the same */
	p.s.drains = (struct placed_drain[]){ { p.backend[0][1].address, p.backend[0][1].port, 0 } };
	p.s.n_drains = 1;
	apply(&p);
	assert_int_equal(slice_copy(&p, 0, PERCH_IPV4, other), n);
	assert_memory_equal(one, other, n * sizeof(*one));
}

/* Half a rack goes and the other half comes back, in one change of each table. */
static void test_hold_of_many_is_one_change_of_each_table(void **state)
{
	struct tables_hold h[8];
	size_t n = 0;
	struct place p;

	place_make(&p, 0, 0, 0);
	place_mixed(&p, 0, 4);
	place_mixed(&p, 1, 2);
	apply_new(&p);
	assert_int_equal(hold(&p, 0, 0, HEALTH), 0);
	assert_int_equal(hold(&p, 0, 1, HEALTH | PERSON), 0);
	h[n++] = (struct tables_hold){ id_of(&p, 0, 0), 0 };
	h[n++] = (struct tables_hold){ id_of(&p, 0, 1), PERSON };
	h[n++] = (struct tables_hold){ id_of(&p, 0, 2), HEALTH };
	h[n++] = (struct tables_hold){ id_of(&p, 0, 3), HEALTH };
	h[n++] = (struct tables_hold){ id_of(&p, 0, 4), HEALTH };
	h[n++] = (struct tables_hold){ id_of(&p, 1, 1), HEALTH };
	h[n++] = (struct tables_hold){ id_of(&p, 1, 3), HEALTH };
	assert_int_equal(tables_hold(t, h, n), 0);
	for (size_t i = 0; i < n; i++) {
		const struct perch_backend *b = &m->backends[h[i].backend];

		assert_int_equal(b->held, h[i].held);
		assert_int_equal(b->state, h[i].held == HEALTH ? PERCH_BACKEND_DOWN :
				 h[i].held ? PERCH_BACKEND_DRAINING : PERCH_BACKEND_UP);
		assert_true(slice_names(b->version, h[i].backend) == !h[i].held);
	}
	assert_true(slice_of(&p, 1, PERCH_IPV6) == 0);
	assert_true(slice_names(1, id_of(&p, 1, 0)) && slice_names(1, id_of(&p, 1, 2)));
	assert_true(slice_names(0, id_of(&p, 0, 6)) && slice_names(0, id_of(&p, 0, 5)) && slice_names(0, id_of(&p, 0, 7)));
}

static void test_version_without_a_live_backend_has_no_slice(void **state)
{
	__u64 v6;
	struct place p;

	place_make(&p, 0, 2, 1);
	place_mixed(&p, 1, 2);
	apply_new(&p);
	v6 = slice_of(&p, 1, PERCH_IPV6);
	assert_int_equal(hold(&p, 1, 0, HEALTH), 0);
	assert_true(slice_of(&p, 1, PERCH_IPV4) != 0);
	assert_int_equal(hold(&p, 1, 2, PERSON), 0);
	assert_true(slice_of(&p, 1, PERCH_IPV4) == 0);
	assert_true(slice_of(&p, 1, PERCH_IPV6) == v6);
	assert_int_equal(m->versions[1].in_use, 1);
	/* one comes back, then the other: its whole size at once */
	assert_int_equal(hold(&p, 1, 2, 0), 0);
	assert_int_equal(slice_count(&p, 1, PERCH_IPV4, id_of(&p, 1, 2)), perch_slice_length(slice_of(&p, 1, PERCH_IPV4)));
	assert_int_equal(hold(&p, 1, 0, 0), 0);
	assert_true(slice_names(1, id_of(&p, 1, 0)) && slice_names(1, id_of(&p, 1, 2)));
}

/* With no room left a backend can still go, and come back. */
static void test_hold_needs_no_room(void **state)
{
	struct place p, more[8];
	unsigned filled = 0;
	char why[WHY];

	place_make(&p, 0, 4, 1);
	apply_new(&p);
	for (; filled < 8; filled++) {
		place_make(&more[filled], filled + 1, 3, 0);
		more[filled].s.version[1].n_doors = 0;
		if (tables_apply(t, &more[filled].s, NULL, NULL, why))
			break;
	}
	assert_in_range(filled, 1, 7);
	assert_int_equal(hold(&p, 0, 0, HEALTH), 0);
	assert_false(slice_names(0, id_of(&p, 0, 0)));
	assert_int_equal(hold(&p, 0, 0, 0), 0);
	assert_true(slice_names(0, id_of(&p, 0, 0)));
}

static void test_apply_keeps_what_is_held_and_takes_drains_from_the_state(void **state)
{
	struct placed_drain drain;
	__u64 slice;
	struct place p;

	place_make(&p, 0, 4, 1);
	drain = (struct placed_drain){ p.backend[0][1].address, p.backend[0][1].port, 0 };
	p.s.drains = &drain;
	p.s.n_drains = 1;
	p.s.stable_down = PERCH_DOWN_CANARY;
	apply_new(&p);
	assert_int_equal(m->services[0].stable_down, PERCH_DOWN_CANARY);
	/* drained from its first moment on */
	assert_int_equal(m->backends[id_of(&p, 0, 1)].state, PERCH_BACKEND_DRAINING);
	assert_false(slice_names(0, id_of(&p, 0, 1)));
	assert_int_equal(hold(&p, 0, 0, HEALTH), 0);
	slice = slice_of(&p, 0, PERCH_IPV4);
	apply(&p);
	assert_int_equal(m->backends[id_of(&p, 0, 0)].held, HEALTH);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].held, PERSON);
	assert_true(slice_of(&p, 0, PERCH_IPV4) == slice);
	p.s.n_drains = 0;
	p.s.stable_down = PERCH_DOWN_REJECT;
	apply(&p);
	assert_int_equal(m->services[0].stable_down, PERCH_DOWN_REJECT);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].state, PERCH_BACKEND_UP);
	assert_true(slice_names(0, id_of(&p, 0, 1)));
	assert_false(slice_names(0, id_of(&p, 0, 0)));
}

static __u64 no_flows(void *arg, __u32 backend)
{
	return 0;
}

static void test_held_backend_that_left_begins_anew(void **state)
{
	__u32 down, drained;
	struct place p;

	place_make(&p, 0, 4, 1);
	apply_new(&p);
	down = id_of(&p, 0, 2);
	drained = id_of(&p, 0, 3);
	assert_int_equal(hold(&p, 0, 2, HEALTH), 0);
	assert_int_equal(hold(&p, 0, 3, PERSON), 0);
	place_backends(&p, 0, 2);
	apply(&p);
	/* flows of a dead one are not given back to it */
	assert_int_equal(m->backends[down].state, PERCH_BACKEND_DOWN);
	assert_int_equal(m->backends[drained].state, PERCH_BACKEND_DRAINING);
	assert_false(tables_backend_named(&m->backends[down]));
	assert_false(tables_backend_named(&m->backends[drained]));
	place_backends(&p, 0, 4);
	apply(&p);
	assert_int_equal(id_of(&p, 0, 2), down);
	assert_int_equal(m->backends[down].state, PERCH_BACKEND_UP);
	assert_int_equal(m->backends[drained].state, PERCH_BACKEND_UP);
	/* and gone for good they free their elements */
	assert_int_equal(hold(&p, 0, 2, HEALTH), 0);
	place_backends(&p, 0, 2);
	apply(&p);
	for (int i = 0; i < 24; i++) {
		tables_reap(t, no_flows, NULL);
		usleep(100000);
	}
	assert_int_equal(m->backends[down].state, PERCH_BACKEND_NONE);
	assert_int_equal(m->backends[drained].state, PERCH_BACKEND_NONE);
}

static void test_reap_leaves_what_is_held_alone(void **state)
{
	struct place p;

	place_make(&p, 0, 3, 1);
	apply_new(&p);
	assert_int_equal(hold(&p, 0, 0, HEALTH), 0);
	assert_int_equal(hold(&p, 0, 1, PERSON), 0);
	for (int i = 0; i < 24; i++) {
		tables_reap(t, no_flows, NULL);
		usleep(100000);
	}
	assert_int_equal(m->backends[id_of(&p, 0, 0)].state, PERCH_BACKEND_DOWN);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].state, PERCH_BACKEND_DRAINING);
}

static void test_take_over_finds_what_is_held(void **state)
{
	struct placed_drain drain;
	__u64 slice;
	struct place p;

	place_make(&p, 0, 4, 1);
	apply_new(&p);
	assert_int_equal(hold(&p, 0, 0, HEALTH), 0);
	assert_int_equal(hold(&p, 0, 1, PERSON), 0);
	slice = slice_of(&p, 0, PERCH_IPV4);
	tables_close(t);
	assert_int_equal(tables_open(&t, &d), 0);
	assert_int_equal(m->backends[id_of(&p, 0, 0)].state, PERCH_BACKEND_DOWN);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].state, PERCH_BACKEND_DRAINING);
	drain = (struct placed_drain){ p.backend[0][1].address, p.backend[0][1].port, 0 };
	p.s.drains = &drain;
	p.s.n_drains = 1;
	apply(&p);
	assert_int_equal(m->backends[id_of(&p, 0, 0)].held, HEALTH);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].held, PERSON);
	assert_true(slice_of(&p, 0, PERCH_IPV4) == slice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hold_moves_through_all_states),
		TEST(test_hold_of_a_stranger_is_refused),
		TEST(test_hold_moves_no_entry_of_the_others),
		TEST(test_hold_shares_what_is_left_by_weight),
		TEST(test_hold_ends_in_the_same_table_by_any_way),
		TEST(test_hold_of_many_is_one_change_of_each_table),
		TEST(test_version_without_a_live_backend_has_no_slice),
		TEST_SMALL(test_hold_needs_no_room),
		TEST(test_apply_keeps_what_is_held_and_takes_drains_from_the_state),
		TEST(test_held_backend_that_left_begins_anew),
		TEST(test_reap_leaves_what_is_held_alone),
		TEST(test_take_over_finds_what_is_held),
	};

	return cmocka_run_group_tests_name("tables_held", tests, NULL, NULL);
}
