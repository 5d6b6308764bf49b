/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sources of fullnat in the kernel's map: numbers that stay with their
 * addresses while flows have them, lists that follow the configuration. */
#include "tables_fixture.h"

#define SERVICE 3

static struct perch_address source(int n)
{
	return address("10.9.0.%d%.0d", n, 0);
}

/* Sources with these last bytes, all IPv4. */
static struct perch_sources sources_of(const int *last, int n)
{
	struct perch_sources s = { .ports = perch_ports(61000, 65000) };

	for (int i = 0; i < n; i++) {
		s.address[i] = source(last[i]);
		s.list[PERCH_IPV4][s.n[PERCH_IPV4]++] = i;
	}
	return s;
}

static int bring(struct place *p, const struct perch_sources *s, char why[WHY])
{
	p->s.sources = s;
	return tables_apply(t, &p->s, NULL, NULL, why);
}

static void place_full(struct place *p, const struct perch_sources *s)
{
	place_make(p, SERVICE, 2, 1);
	p->s.forward = PERCH_FULLNAT;
	p->s.sources = s;
	apply_new(p);
}

/* The number that new flows may have of an address, or -1. */
static int listed(const struct perch_address *a)
{
	const struct perch_sources *there = &m->sources[SERVICE];

	for (int i = 0; i < there->n[PERCH_IPV4]; i++)
		if (!memcmp(&there->address[there->list[PERCH_IPV4][i]], a, sizeof(*a)))
			return there->list[PERCH_IPV4][i];
	return -1;
}

static void flow_with(unsigned way, __u32 backend, __u32 number)
{
	struct perch_flow *f = &m->flows[1].flow[way];

	memset(f, 0, sizeof(*f));
	f->backend = backend;
	f->translated = htons(61000);
	f->flags = PERCH_FLOW_FULLNAT | number * PERCH_FLOW_SOURCE;
	m->flows[1].tag[way] = perch_tag(1 + way, 1, PERCH_TCP, 0);
}

static void test_sources_are_listed_with_their_ports(void **state)
{
	struct perch_sources s = sources_of((const int[]){ 1, 2 }, 2);
	struct place p;

	place_full(&p, &s);
	assert_int_equal(m->sources[SERVICE].n[PERCH_IPV4], 2);
	assert_int_equal(m->sources[SERVICE].n[PERCH_IPV6], 0);
	assert_int_equal(perch_port_first(m->sources[SERVICE].ports), 61000);
	assert_int_equal(perch_port_last(m->sources[SERVICE].ports), 65000);
	for (int i = 0; i < 2; i++) {
		assert_true(listed(&s.address[i]) >= 0);
		assert_true(m->control->sources & perch_source_bit(s.address[i].word));
	}
	assert_int_equal(m->services[SERVICE].forward, PERCH_FULLNAT);
}

static void test_a_source_keeps_its_number_under_flows(void **state)
{
	struct perch_sources before = sources_of((const int[]){ 1 }, 1), after = sources_of((const int[]){ 2 }, 1);
	struct perch_address old = source(1), new = source(2);
	char why[WHY] = "";
	struct place p;
	int number;

	place_full(&p, &before);
	number = listed(&old);
	flow_with(0, id_of(&p, 0, 0), number);
	assert_int_equal(bring(&p, &after, why), 0);
	assert_int_equal(listed(&old), -1);
	assert_true(listed(&new) >= 0 && listed(&new) != number);
	assert_memory_equal(&m->sources[SERVICE].address[number], &old, sizeof(old));
	/* and it is the same again when it comes back */
	assert_int_equal(bring(&p, &before, why), 0);
	assert_int_equal(listed(&old), number);
}

static void test_numbers_run_out_only_for_those_in_use(void **state)
{
	struct perch_sources all = sources_of((const int[]){ 1, 2, 3, 4, 5, 6, 7, 8 }, 8);
	struct perch_sources other = sources_of((const int[]){ 9 }, 1);
	struct perch_address new = source(9);
	char why[WHY] = "";
	struct place p;

	place_full(&p, &all);
	for (unsigned i = 0; i < PERCH_WAYS; i++)
		flow_with(i, id_of(&p, 0, 0), i);
	assert_int_equal(bring(&p, &other, why), -ENOSPC);
	assert_non_null(strstr(why, "source 10.9.0.9: connections have all 8 numbers"));
	assert_int_equal(m->sources[SERVICE].n[PERCH_IPV4], 8);
	m->flows[1].tag[5] = 0;
	assert_int_equal(bring(&p, &other, why), 0);
	assert_int_equal(listed(&new), 5);
}

static void test_removal_and_take_over(void **state)
{
	struct perch_sources s = sources_of((const int[]){ 1 }, 1);
	struct perch_address a = source(1);
	struct place p;

	place_full(&p, &s);
	tables_close(t);
	m->control->sources = 0;
	assert_int_equal(tables_open(&t, &d), 0);
	assert_true(m->control->sources & perch_source_bit(a.word));
	assert_true(listed(&a) >= 0);
	assert_int_equal(tables_remove(t, SERVICE), 0);
	assert_int_equal(m->sources[SERVICE].n[PERCH_IPV4], 0);
	/* replies to it are still ours, to be reset */
	assert_true(m->control->sources & perch_source_bit(a.word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sources_are_listed_with_their_ports),
		TEST(test_a_source_keeps_its_number_under_flows),
		TEST(test_numbers_run_out_only_for_those_in_use),
		TEST(test_removal_and_take_over),
	};

	return cmocka_run_group_tests_name("tables_sources", tests, NULL, NULL);
}
