// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Cumulative records to sums: losses cost nothing, restarts count nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/evidence.h"

static struct perch_sample_backend record(__u32 incarnation, __u64 opened, __u64 ended)
{
	return (struct perch_sample_backend){ .incarnation = incarnation, .sum = { .opened = opened, .ended = ended } };
}

static void test_lost_record_costs_no_count(void **state)
{
	struct perch_sample_backend s = record(1, 10, 2);
	struct backend_evidence b = { 0 };
	struct perch_counters new, total = { 0 };

	backend_evidence_take(&b, &s, &new);
	counters_add(&total, &new);
	s = record(1, 50, 40);	/* those between were lost */
	backend_evidence_take(&b, &s, &new);
	counters_add(&total, &new);
	assert_int_equal(total.opened, 50);
	assert_int_equal(counters_active(&total), 10);
}

static void test_record_twice_counts_once(void **state)
{
	struct perch_sample_backend s = record(1, 10, 2);
	struct backend_evidence b = { 0 };
	struct perch_counters new;

	backend_evidence_take(&b, &s, &new);
	backend_evidence_take(&b, &s, &new);
	assert_int_equal(new.opened, 0);
	assert_int_equal(new.ended, 0);
}

static void test_reused_element_begins_anew(void **state)
{
	struct perch_sample_backend s = record(1, 1000, 1000);
	struct backend_evidence b = { 0 };
	struct perch_counters new;

	backend_evidence_take(&b, &s, &new);
	s = record(2, 3, 1);
	backend_evidence_take(&b, &s, &new);
	assert_int_equal(new.opened, 3);
	assert_int_equal(new.ended, 1);
	s = record(3, 2000, 1);	/* more than the last one had */
	backend_evidence_take(&b, &s, &new);
	assert_int_equal(new.opened, 2000);
}

static void test_active_is_never_negative(void **state)
{
	const struct perch_counters c = { .opened = 4, .ended = 5 };

	assert_int_equal(counters_active(&c), 0);
}

static struct perch_votes *votes(struct perch_votes *v, __u64 connects, __u64 failures, __u64 responders, __u64 over)
{
	memset(v, 0, sizeof(*v));
	v->connects = connects;
	v->connect_failures = failures;
	v->responders = responders;
	v->over[1] = over;
	return v;
}

static void test_arm_counts_from_where_it_began(void **state)
{
	struct perch_votes v;
	struct arm a;

	arm_begin(&a, votes(&v, 100, 10, 50, 5));
	assert_int_equal(a.sum.connects, 0);
	arm_take(&a, votes(&v, 130, 11, 60, 6));
	assert_int_equal(a.sum.connects, 30);
	assert_int_equal(a.sum.connect_failures, 1);
	assert_int_equal(a.sum.responders, 10);
	assert_int_equal(a.sum.over[1], 1);
}

static void test_arm_goes_on_over_new_counters(void **state)
{
	struct perch_votes v;
	struct arm a;

	arm_begin(&a, votes(&v, 100, 10, 50, 5));
	arm_take(&a, votes(&v, 130, 11, 60, 6));
	arm_take(&a, votes(&v, 7, 1, 3, 0));	/* the datapath is another one */
	assert_int_equal(a.sum.connects, 37);
	assert_int_equal(a.sum.connect_failures, 2);
	assert_int_equal(a.sum.responders, 13);
	assert_int_equal(a.sum.over[1], 1);
}

static void test_arm_with_new_limits_counts_responses_anew(void **state)
{
	struct perch_votes v;
	struct arm a;

	arm_begin(&a, votes(&v, 0, 0, 0, 0));
	arm_take(&a, votes(&v, 130, 11, 60, 6));
	arm_restart_responses(&a);
	arm_take(&a, votes(&v, 140, 11, 65, 7));
	assert_int_equal(a.sum.connects, 140);
	assert_int_equal(a.sum.responders, 5);
	assert_int_equal(a.sum.over[1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_record_costs_no_count),
		cmocka_unit_test(test_record_twice_counts_once),
		cmocka_unit_test(test_reused_element_begins_anew),
		cmocka_unit_test(test_active_is_never_negative),
		cmocka_unit_test(test_arm_counts_from_where_it_began),
		cmocka_unit_test(test_arm_goes_on_over_new_counters),
		cmocka_unit_test(test_arm_with_new_limits_counts_responses_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
