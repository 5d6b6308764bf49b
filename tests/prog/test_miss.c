/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Packets without a good flow: whose are they? */
#include "model.h"
#include "prog.h"

#include <errno.h>

/* A client of this mode, from `first` on, whose place lies in [low, high). */
static void find_client(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u32 first, __u32 low,
			__u32 high)
{
	__u32 value;

	do {
		mode_talk(t, lab, m, protocol, first++);
		value = model_value(lab, &t->client, PERCH_AFFINITY_CONNECTION, lab->web[m.v6].salt);
	} while (value < low || value >= high);
}

static void set_age(struct lab *lab, __u32 seconds)
{
	lab->web[0].age = lab->web[1].age = seconds;
}

/* What was assigned before the step and found no room in the table. */
static void test_miss_in_midstream_asks_the_previous_plan_while_it_is_fresh(void **state)
{
	struct flow_copy f;
	static struct talk t;

	for_each_mode(m) {
		__u64 ambiguous = lab_reasons(*state, PERCH_R_AMBIGUOUS);

		assert_int_equal(lab_step(*state, 0), 0);
		assert_int_equal(lab_step(*state, 5000), 0);
		find_client(&t, *state, m, IPPROTO_TCP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		assert_int_equal(lab_reasons(*state, PERCH_R_AMBIGUOUS), ambiguous + 1);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_true(f.flow.flags & PERCH_FLOW_UNANSWERED);
		assert_false(f.flow.flags & PERCH_FLOW_VOTES);
		/* the other way round */
		assert_int_equal(lab_step(*state, 0), 0);
		find_client(&t, *state, m, IPPROTO_TCP, 1000, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
	}
}

static void test_miss_in_midstream_asks_the_current_plan_later(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		set_age(*state, 31);
		assert_int_equal(lab_step(*state, 0), 0);
		assert_int_equal(lab_step(*state, 5000), 0);
		find_client(&t, *state, m, IPPROTO_TCP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
	}
}

static void test_miss_in_midstream_after_a_rollback_asks_the_plan_rolled_back(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 5000), 0);
		split_rollback(lab_split(*state, m.v6), PERCH_BY_AGENT);
		find_client(&t, *state, m, IPPROTO_TCP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
	}
}

/* A plan that never holds still sends all to stable, whatever was before. */
static void test_miss_under_a_torn_plan_is_stables(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_split *s = lab_split(*state, m.v6);
		__u64 torn = lab_reasons(*state, PERCH_R_PLAN_TORN);
		struct perch_plan *plan;

		assert_int_equal(lab_step(*state, 5000), 0);
		split_rollback(s, PERCH_BY_AGENT);
		plan = &s->plan[perch_word_plan(s->word) % (2 * PERCH_PAIRS)];
		plan->epoch += 2;
		find_client(&t, *state, m, IPPROTO_TCP, 2000, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		find_client(&t, *state, m, IPPROTO_TCP, 3000, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		assert_int_equal(lab_reasons(*state, PERCH_R_PLAN_TORN), torn + 2);
		plan->epoch -= 2;
	}
}

static void test_miss_in_midstream_never_revives_a_severed_version(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 5000), 0);
		split_rollback(lab_split(*state, m.v6), PERCH_BY_AGENT);
		lab_sever(*state, m.v6, 1);
		find_client(&t, *state, m, IPPROTO_TCP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
	}
}

/* A drain that is over ended the version as a sever does. */
static void test_miss_in_midstream_never_revives_a_drained_version(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 5000), 0);
		split_rollback(lab_split(*state, m.v6), PERCH_BY_AGENT);
		version_drain(lab_control(*state), lab_version(*state, m.v6, 1), lab_now(), 0);
		find_client(&t, *state, m, IPPROTO_TCP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
	}
}

static void test_miss_of_udp_asks_the_current_plan(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 0), 0);
		assert_int_equal(lab_step(*state, 5000), 0);
		find_client(&t, *state, m, IPPROTO_UDP, 1, 0, 5000);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
	}
}

/* A flow that was entered in midstream learns its backend's side by replies. */
static void test_miss_in_midstream_is_established_by_a_reply(void **state)
{
	struct flow_copy f;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(talk_backend(&t, TCP_ACK, 20), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &f), 0);
		assert_int_equal(f.class, PERCH_TCP);
		assert_int_equal(f.flow.backend_next, t.backend.seq);
	}
}

static void test_miss_of_a_version_without_backends_goes_to_stable(void **state)
{
	struct flow_copy f;
	static struct talk t;

	lab_backends(*state, 1, 4, 0);
	assert_int_equal(lab_apply(*state), 0);
	assert_int_equal(lab_step(*state, 10000), 0);
	for_each_mode(m) {
		__u64 empty = lab_reasons(*state, PERCH_R_EMPTY_VERSION);

		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		assert_int_equal(lab_reasons(*state, PERCH_R_EMPTY_VERSION), empty + 1);
		assert_int_equal(talk_flow(&t, &f), 0);
		/* what stable took for the canary is no evidence */
		assert_false(f.flow.flags & PERCH_FLOW_VOTES);
	}
}

static void test_miss_without_any_backend_is_refused(void **state)
{
	struct flow_copy f;
	static struct talk t;

	lab_backends(*state, 0, 2, 0);
	lab_backends(*state, 1, 4, 0);
	assert_int_equal(lab_apply(*state), 0);
	for_each_mode(m) {
		__u64 none = lab_reason(*state, mode_hook(m), PERCH_R_STABLE_DOWN);
		__u64 dropped = lab_reason(*state, mode_hook(m), PERCH_R_STABLE_DOWN_DROP);

		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_ANSWERED);
		assert_int_equal(talk_flow(&t, &f), -ENOENT);
		assert_int_equal(lab_reason(*state, mode_hook(m), PERCH_R_STABLE_DOWN), none + 1);
		/* what can't be told is dropped */
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_DROPPED);
		mode_talk(&t, *state, m, IPPROTO_UDP, 1);
		assert_int_equal(talk_client(&t, 0, 10), TALK_DROPPED);
		assert_int_equal(lab_reason(*state, mode_hook(m), PERCH_R_STABLE_DOWN_DROP), dropped + 2);
	}
}

static void test_miss_of_a_backend_that_is_down_decides_anew(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		unsigned first;

		mode_talk(&t, lab, m, IPPROTO_UDP, 1);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		first = t.host;
		lab_backends(lab, 0, first == 2 ? 3 : 2, 1);
		assert_int_equal(lab_apply(lab), 0);
		/* it drains: the flow stays */
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(t.host, first);
		lab->datapath.maps.backends[lab_backend_id(lab, 0, m.v6, first)].state = PERCH_BACKEND_DOWN;
		t.known = false;
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_not_equal(t.host, first);
		lab_backends(lab, 0, 2, 2);
		assert_int_equal(lab_apply(lab), 0);
		lab->datapath.maps.backends[lab_backend_id(lab, 0, m.v6, first)].state = PERCH_BACKEND_UP;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_miss_in_midstream_asks_the_previous_plan_while_it_is_fresh),
		prog_test(test_miss_in_midstream_asks_the_current_plan_later),
		prog_test(test_miss_in_midstream_after_a_rollback_asks_the_plan_rolled_back),
		prog_test(test_miss_under_a_torn_plan_is_stables),
		prog_test(test_miss_in_midstream_never_revives_a_severed_version),
		prog_test(test_miss_under_a_torn_plan_is_stables),
		prog_test(test_miss_in_midstream_never_revives_a_drained_version),
		prog_test(test_miss_of_udp_asks_the_current_plan),
		prog_test(test_miss_in_midstream_is_established_by_a_reply),
		prog_test_bare(test_miss_of_a_version_without_backends_goes_to_stable),
		prog_test_bare(test_miss_without_any_backend_is_refused),
		prog_test(test_miss_of_a_backend_that_is_down_decides_anew),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
