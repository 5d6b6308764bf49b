/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How a service comes into the tables, changes, and is refused. */
#include "tables_fixture.h"

static void test_apply_leads_from_address_to_backend(void **state)
{
	struct perch_listener *l;
	struct perch_backend *b;
	struct place p;
	__u64 slice;

	place_make(&p, 3, 3, 1);
	apply_new(&p);

	l = &m->listeners[listener_of(&p.listen[0])];
	assert_true(l != m->listeners && l->in_use);
	assert_int_equal(l->service, 3);
	assert_int_equal(l->door, 0);
	assert_int_equal(m->services[3].in_use, 1);
	assert_int_equal(m->services[3].drain_ms, 1234);
	assert_int_equal(m->services[3].affinity, PERCH_AFFINITY_CONNECTION);
	assert_int_equal(m->services[3].established, PERCH_DRAIN);
	assert_int_equal(m->services[3].incarnation, 1);
	assert_int_equal(perch_word_flags(split_word(&m->splits[3])), PERCH_BY_AGENT);

	slice = m->versions[3 * PERCH_SLOTS].slice[PERCH_IPV4];
	assert_true(m->versions[3 * PERCH_SLOTS].slice[PERCH_IPV6] == 0);
	assert_true(perch_slice_length(slice) >= 300);
	for (__u32 i = 0; i < perch_slice_length(slice); i++) {
		b = &m->backends[slice_entry(slice, i)];
		assert_int_equal(b->state, PERCH_BACKEND_UP);
		assert_int_equal(b->version, 3 * PERCH_SLOTS);
		assert_int_equal(b->service, 3);
		assert_true(filter_has(m->filter->source, &b->address));
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(slice_names(3 * PERCH_SLOTS, id_of(&p, 0, i)));
	assert_true(filter_has(m->filter->destination, &p.listen[0].address));
	assert_int_equal(filter_weight(m->filter->destination), 1);
	assert_int_equal(filter_weight(m->filter->source), 4);
}

static void test_apply_door_leads_to_its_slot(void **state)
{
	struct place p;

	place_make(&p, 0, 1, 1);
	apply_new(&p);
	assert_int_equal(m->listeners[listener_of(&p.door)].door, 2);
	/* a door that becomes an address of the service keeps its element */
	__u32 id = listener_of(&p.door);
	p.s.version[1].n_doors = 0;
	p.listen[1] = p.door;
	p.s.n_listen = 2;
	apply(&p);
	assert_int_equal(listener_of(&p.door), id);
	assert_int_equal(m->listeners[id].door, 0);
}

static void test_apply_wildcard_port_is_an_entry_of_port_0(void **state)
{
	struct place p;

	place_make(&p, 0, 1, 1);
	p.listen[0].port = 0;
	apply_new(&p);
	assert_true(listener_of(&p.listen[0]));
	assert_int_equal(m->listeners[listener_of(&p.listen[0])].port, 0);
}

static void test_apply_again_changes_nothing(void **state)
{
	struct perch_backend backends[BACKENDS];
	struct perch_listener listeners[LISTENERS];
	struct perch_version versions[PERCH_SLOTS];
	struct place p;
	__u64 word;

	place_make(&p, 0, 3, 2);
	apply_new(&p);
	memcpy(backends, m->backends, sizeof(backends));
	memcpy(listeners, m->listeners, sizeof(listeners));
	memcpy(versions, m->versions, sizeof(versions));
	word = split_word(&m->splits[0]);
	apply(&p);
	assert_memory_equal(backends, m->backends, sizeof(backends));
	assert_memory_equal(listeners, m->listeners, sizeof(listeners));
	assert_memory_equal(versions, m->versions, sizeof(versions));
	assert_true(word == split_word(&m->splits[0]));
}

static void test_apply_backend_that_left_drains_and_others_keep_their_ids(void **state)
{
	__u32 id[4];
	struct place p;
	__u64 slice;

	place_make(&p, 0, 4, 1);
	apply_new(&p);
	for (size_t i = 0; i < 4; i++)
		id[i] = id_of(&p, 0, i);
	slice = m->versions[0].slice[PERCH_IPV4];
	place_backends(&p, 0, 3);
	apply(&p);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(id_of(&p, 0, i), id[i]);
		assert_int_equal(m->backends[id[i]].state, PERCH_BACKEND_UP);
		assert_true(slice_names(0, id[i]));
	}
	assert_int_equal(m->backends[id[3]].state, PERCH_BACKEND_DRAINING);
	assert_false(slice_names(0, id[3]));
	/* the old place is not written again within its grace */
	assert_int_not_equal(perch_slice_offset(slice), perch_slice_offset(m->versions[0].slice[PERCH_IPV4]));
	/* back again: the same element */
	place_backends(&p, 0, 4);
	apply(&p);
	assert_int_equal(id_of(&p, 0, 3), id[3]);
	assert_int_equal(m->backends[id[3]].state, PERCH_BACKEND_UP);
	assert_int_equal(m->backends[id[3]].incarnation, 1);
}

static void test_apply_weight_changes_the_slice_only(void **state)
{
	size_t n[2] = { 0 };
	struct place p;
	__u32 heavy;
	__u64 slice;

	place_make(&p, 0, 2, 1);
	apply_new(&p);
	heavy = id_of(&p, 0, 1);
	p.backend[0][1].weight = 3;
	apply(&p);
	slice = m->versions[0].slice[PERCH_IPV4];
	for (__u32 i = 0; i < perch_slice_length(slice); i++)
		n[slice_entry(slice, i) == heavy]++;
	assert_true(n[1] > 2.8 * n[0] && n[1] < 3.2 * n[0]);
}

static void test_apply_emptied_version_has_no_slice(void **state)
{
	struct place p;

	place_make(&p, 0, 2, 2);
	apply_new(&p);
	place_backends(&p, 1, 0);
	apply(&p);
	assert_true(m->versions[1].slice[PERCH_IPV4] == 0);
	assert_int_equal(m->versions[1].in_use, 1);
	assert_true(m->versions[0].slice[PERCH_IPV4] != 0);
	p.s.n_versions = 1;
	apply(&p);
	assert_int_equal(m->versions[1].in_use, 0);
	assert_int_equal(listener_of(&p.door), 0);
}

/* Every entry leads to a backend of that family, and every one of them has some. */
static void assert_table(const struct place *p, unsigned slot, enum perch_family family, size_t n)
{
	__u64 slice = m->versions[p->s.id * PERCH_SLOTS + slot].slice[family];
	bool named[BACKENDS] = { false };
	size_t count = 0;

	assert_true(perch_slice_length(slice) >= 100 * n);
	for (__u32 i = 0; i < perch_slice_length(slice); i++) {
		__u32 id = slice_entry(slice, i);

		assert_int_equal(address_family(&m->backends[id].address), family);
		assert_int_equal(m->backends[id].version, p->s.id * PERCH_SLOTS + slot);
		count += !named[id];
		named[id] = true;
	}
	assert_int_equal(count, n);
}

static void test_apply_gives_each_family_a_table_of_its_own(void **state)
{
	struct place p;

	place_make(&p, 2, 0, 0);
	place_mixed(&p, 0, 4);
	place_mixed(&p, 1, 1);
	p.listen[1] = p.listen[0];
	p.listen[1].address = address("2001:db8::%d%.0d", 2, 0);
	p.s.n_listen = 2;
	apply_new(&p);
	for (int family = 0; family < PERCH_FAMILIES; family++) {
		assert_table(&p, 0, family, 4);
		assert_table(&p, 1, family, 1);
		assert_int_equal(m->listeners[listener_of(&p.listen[family])].service, 2);
	}
	assert_int_equal(filter_weight(m->filter->destination), 2);
	assert_int_equal(filter_weight(m->filter->source), 10);
}

static void test_apply_change_in_one_family_leaves_the_other_alone(void **state)
{
	struct perch_version *v = &m->versions[0];
	__u64 before[PERCH_FAMILIES];
	struct place p;
	__u32 id;

	place_make(&p, 0, 0, 1);
	place_mixed(&p, 0, 3);
	apply_new(&p);
	memcpy(before, v->slice, sizeof(before));
	id = id_of(&p, 0, 5);
	p.s.version[0].n_backends = 5;
	apply(&p);
	assert_true(v->slice[PERCH_IPV4] == before[PERCH_IPV4]);
	assert_table(&p, 0, PERCH_IPV6, 2);
	assert_int_equal(m->backends[id].state, PERCH_BACKEND_DRAINING);
	/* all of one family gone, then all of the other back */
	place_backends(&p, 0, 3);
	apply(&p);
	assert_true(v->slice[PERCH_IPV6] == 0);
	assert_table(&p, 0, PERCH_IPV4, 3);
	place_mixed(&p, 0, 3);
	apply(&p);
	assert_table(&p, 0, PERCH_IPV4, 3);
	assert_table(&p, 0, PERCH_IPV6, 3);
	tables_remove(t, 0);
	assert_true(v->slice[PERCH_IPV4] == 0 && v->slice[PERCH_IPV6] == 0);
}

/* A client's place in its family's table does not depend on the other's. */
static void test_apply_table_of_a_family_is_what_it_would_be_alone(void **state)
{
	struct place alone, mixed;
	__u64 a, b;

	place_make(&mixed, 1, 0, 1);
	place_mixed(&mixed, 0, 3);
	place_make(&alone, 2, 3, 1);
	for (size_t i = 0; i < 3; i++)
		alone.backend[0][i] = mixed.backend[0][2 * i];
	apply_new(&mixed);
	apply_new(&alone);
	a = m->versions[PERCH_SLOTS].slice[PERCH_IPV4];
	b = m->versions[2 * PERCH_SLOTS].slice[PERCH_IPV4];
	assert_int_equal(perch_slice_length(a), perch_slice_length(b));
	for (__u32 i = 0; i < perch_slice_length(a); i++)
		assert_memory_equal(&m->backends[slice_entry(a, i)].address, &m->backends[slice_entry(b, i)].address,
				    sizeof(struct perch_address));
}

static void test_apply_foreign_listener_is_refused_and_nothing_changes(void **state)
{
	char why[WHY] = "", text[ADDRESS_TEXT];
	struct perch_backend backends[BACKENDS];
	struct place a, b;

	place_make(&a, 0, 1, 1);
	place_make(&b, 1, 1, 1);
	apply_new(&a);
	memcpy(backends, m->backends, sizeof(backends));
	b.listen[1] = a.listen[0];
	b.s.n_listen = 2;
	assert_int_equal(tables_apply(t, &b.s, NULL, NULL, why), -EADDRINUSE);
	assert_non_null(strstr(why, endpoint_format(&a.listen[0], text)));
	assert_memory_equal(backends, m->backends, sizeof(backends));
	assert_int_equal(m->services[1].in_use, 0);
	assert_int_equal(listener_of(&b.listen[0]), 0);
	assert_int_equal(m->listeners[listener_of(&a.listen[0])].service, 0);
	/* and what was refused does not block */
	b.s.n_listen = 1;
	apply_new(&b);
	assert_true(listener_of(&b.listen[0]));
}

static void test_apply_same_endpoint_twice_is_refused(void **state)
{
	char why[WHY];
	struct place p;

	place_make(&p, 0, 1, 1);
	p.door = p.listen[0];
	assert_int_equal(tables_apply(t, &p.s, NULL, NULL, why), -EADDRINUSE);
}

static void test_apply_without_room_keeps_the_old_state(void **state)
{
	struct place p[5];
	char why[WHY] = "";
	__u64 slice;

	/* 4 x 14 and 9 more are 65, one more than there are elements but 0 */
	for (unsigned i = 0; i < 4; i++) {
		place_make(&p[i], i, 13, 1);
		apply_new(&p[i]);
	}
	place_make(&p[4], 4, 1, 1);
	apply_new(&p[4]);
	slice = m->versions[4 * PERCH_SLOTS].slice[PERCH_IPV4];
	place_backends(&p[4], 0, 10);
	assert_int_equal(tables_apply(t, &p[4].s, NULL, NULL, why), -ENOSPC);
	assert_non_null(strstr(why, "v1"));
	assert_true(m->versions[4 * PERCH_SLOTS].slice[PERCH_IPV4] == slice);
	assert_int_equal(m->backends[id_of(&p[4], 0, 0)].state, PERCH_BACKEND_UP);
	for (__u32 id = 1; id < BACKENDS; id++)
		if (m->backends[id].service == 4 && m->backends[id].state == PERCH_BACKEND_UP)
			assert_true(slice_names(4 * PERCH_SLOTS, id) || slice_names(4 * PERCH_SLOTS + 1, id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_apply_leads_from_address_to_backend),
		TEST(test_apply_door_leads_to_its_slot),
		TEST(test_apply_wildcard_port_is_an_entry_of_port_0),
		TEST(test_apply_again_changes_nothing),
		TEST(test_apply_backend_that_left_drains_and_others_keep_their_ids),
		TEST(test_apply_weight_changes_the_slice_only),
		TEST(test_apply_emptied_version_has_no_slice),
		TEST(test_apply_gives_each_family_a_table_of_its_own),
		TEST(test_apply_change_in_one_family_leaves_the_other_alone),
		TEST(test_apply_table_of_a_family_is_what_it_would_be_alone),
		TEST(test_apply_foreign_listener_is_refused_and_nothing_changes),
		TEST(test_apply_same_endpoint_twice_is_refused),
		TEST(test_apply_without_room_keeps_the_old_state),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
