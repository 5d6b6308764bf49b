/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Connects that nobody answers: when they count as failed, and how often. */
#include "prog.h"

#include <arpa/inet.h>
#include <poll.h>

/* What one service's stable version was told since `before`. */
static struct perch_votes votes_since(struct lab *lab, bool v6, const struct perch_votes *before)
{
	struct perch_votes now;

	lab_votes(lab, v6, 0, &now);
	if (before) {
		now.connects -= before->connects;
		now.connect_failures -= before->connect_failures;
	}
	return now;
}

/* A SYN that came again and was never answered; a single one proves nothing. */
static void test_unanswered_connect_counts_with_its_end(void **state)
{
	struct lab *lab = *state;
	static struct talk twice, once;
	struct perch_votes before[2];
	__u64 passes, until, aged;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct mode m = { LAB_XDP, v6 };

		before[v6] = votes_since(lab, v6, NULL);
		mode_talk(&twice, lab, m, IPPROTO_TCP, 30);
		assert_int_equal(talk_client(&twice, TCP_SYN, 0), TALK_FORWARDED);
		twice.client.seq--;
		assert_int_equal(talk_client(&twice, TCP_SYN, 0), TALK_FORWARDED);
		mode_talk(&once, lab, m, IPPROTO_TCP, 31);
		assert_int_equal(talk_client(&once, TCP_SYN, 0), TALK_FORWARDED);
	}
	aged = lab_age(lab, 7);
	assert_int_equal(aged, 4);
	passes = lab->datapath.maps.control->sweep_passes;
	for (until = lab_now() + 60000000000ull; lab_now() < until;) {
		if (*(volatile __u64 *)&lab->datapath.maps.control->sweep_passes >= passes + 2)
			break;
		poll(NULL, 0, 50);
	}
	assert_true(lab_now() < until);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct perch_votes now = votes_since(lab, v6, &before[v6]);

		assert_int_equal(now.connects, 1);
		assert_int_equal(now.connect_failures, 1);
	}
	assert_int_equal(lab_active(lab), 0);
	assert_int_equal(flows_count(&lab->datapath.maps, (size_t[16]){ 0 }), 0);
}

/* The entry itself. */
static struct perch_flow *flow_of(struct lab *lab, const struct talk *t)
{
	for (__u32 i = 0; i < lab->datapath.maps.control->flow_sets * PERCH_WAYS; i++) {
		struct perch_flow_set *set = &lab->datapath.maps.flows[i / PERCH_WAYS];
		struct perch_flow *f = &set->flow[i % PERCH_WAYS];

		if (perch_tag_fingerprint(set->tag[i % PERCH_WAYS]) && f->key.client_port == htons(t->client.from_port) &&
		    !memcmp(&f->key.client, &t->client.from, sizeof(f->key.client)))
			return f;
	}
	fail_msg("the flow is not there");
	return NULL;
}

/* A client that goes on trying keeps its entry, or takes its slot again before
 * the walk comes by: its connect counts all the same, once. */
static void test_unanswered_connect_of_a_client_that_goes_on_counts_once(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes before = votes_since(lab, m.v6, NULL), now;
		struct perch_flow *f;

		mode_talk(&t, lab, m, IPPROTO_TCP, 32);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		now = votes_since(lab, m.v6, &before);
		assert_int_equal(now.connects, 0);
		f = flow_of(lab, &t);
		f->created -= 7000000000ull;
		for (unsigned i = 0; i < 3; i++) {
			t.client.seq--;
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		}
		/* too late to be a success */
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		now = votes_since(lab, m.v6, &before);
		assert_int_equal(now.connects, 1);
		assert_int_equal(now.connect_failures, 1);

		mode_talk(&t, lab, m, IPPROTO_TCP, 33);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			t.client.seq--;
		}
		lab_age(lab, 7);
		t.known = false;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		now = votes_since(lab, m.v6, &before);
		assert_int_equal(now.connects, 2);
		assert_int_equal(now.connect_failures, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_unanswered_connect_counts_with_its_end),
		prog_test(test_unanswered_connect_of_a_client_that_goes_on_counts_once),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
