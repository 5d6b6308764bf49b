/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pools: turns of connections that last, summed up by the minute. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "prog.h"

static void compare(struct lab *lab, struct mode m, bool on)
{
	struct comparison c = { .since_epoch = lab_epoch(lab, m), .canary = 1, .on = on };

	memset(c.edge, PERCH_NO_EDGE, sizeof(c.edge));
	tables_compare(lab->tables, m.v6, &c);
}

/* As if it had begun so much earlier. */
static void age(const struct talk *t, __u64 ns)
{
	talk_entry(t)->created -= ns;
}

/* What the kernel keeps of a connection; NULL: nothing. */
static struct perch_turns *turns_of(struct lab *lab, const struct talk *t)
{
	for (unsigned i = 0; i < PERCH_POOL; i++)
		if (lab->datapath.maps.turns[i].created == talk_entry(t)->created)
			return &lab->datapath.maps.turns[i];
	return NULL;
}

static void turn(struct talk *t, unsigned ms)
{
	struct timespec nap = { 0, ms * 1000000L };

	assert_int_equal(talk_client(t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
	if (ms)
		nanosleep(&nap, NULL);
	assert_int_equal(talk_backend(t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
}

static void connection(struct talk *t, struct lab *lab, struct mode m, unsigned number)
{
	mode_talk(t, lab, m, IPPROTO_TCP, number);
	assert_int_equal(talk_connect(t), TALK_FORWARDED);
}

static void test_a_young_connection_is_in_no_pool(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		compare(*state, m, true);
		connection(&t, *state, m, 1);
		turn(&t, 0);
		assert_null(turns_of(*state, &t));
		age(&t, PERCH_POOL_AGE_NS);
		turn(&t, 0);
		assert_non_null(turns_of(*state, &t));
	}
}

struct seen {
	unsigned n, slot;
	__u32 epoch;
	double buckets, first;
};

static void see(void *arg, const struct turns *of)
{
	struct seen *s = arg;

	*s = (struct seen){ s->n + 1, of->slot, of->epoch, of->buckets, of->first };
}

/* Of the only connection of the service that had turns in that minute. */
static struct seen seen_in(struct lab *lab, struct mode m, __u32 minute)
{
	struct seen s = { 0 };

	tables_turns(lab->tables, m.v6, minute, see, &s);
	return s;
}

/* Other tests' are gone. */
static void pool_empty(struct lab *lab)
{
	memset(lab->datapath.maps.turns, 0, PERCH_POOL * sizeof(struct perch_turns));
}

static void test_turns_are_summed_up_by_the_minute(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_turns *of;
		struct seen s;
		__u32 minute;

		compare(lab, m, true);
		pool_empty(lab);
		connection(&t, lab, m, 2);
		age(&t, PERCH_POOL_AGE_NS);
		turn(&t, 0);
		of = turns_of(lab, &t);
		assert_non_null(of);
		turn(&t, 20);
		minute = of->now.minute;
		assert_in_range(of->now.n, 1, 2);	/* a minute may have ended between */
		assert_int_equal(of->before.n + of->now.n, 2);
		/* as if this was the minute before */
		of->now = (struct perch_turns_of){ minute - 1, 2, of->before.sum + of->now.sum };
		of->before = of->first = (struct perch_turns_of){ 0 };
		s = seen_in(lab, m, minute - 1);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.slot, 0);
		assert_int_equal(s.epoch, lab_epoch(lab, m));
		assert_true(isnan(s.first));
		/* one of 1 ms, the slack alone, and one of 21 ms or more */
		assert_in_range((int)(2 * s.buckets), perch_hist_bucket(1000) + perch_hist_bucket(21000),
				perch_hist_bucket(3000) + perch_hist_bucket(80000));
		turn(&t, 0);
		assert_int_equal(of->now.n, 1);
		s = seen_in(lab, m, minute - 1);
		assert_int_equal(s.n, 1);
		s = seen_in(lab, m, of->now.minute);
		assert_int_equal(s.n, 1);
		assert_float_equal(s.first, (of->first.sum + 0.0) / of->first.n, 1e-9);
		assert_int_equal(of->first.n, 2);
		assert_int_equal(seen_in(lab, m, minute - 2).n, 0);
	}
}

static void test_what_does_not_vote_is_in_no_pool(void **state)
{
	struct lab *lab = *state;
	static struct talk t, u;

	for_each_mode(m) {
		/* nothing is compared */
		compare(lab, m, false);
		connection(&t, lab, m, 3);
		age(&t, PERCH_POOL_AGE_NS);
		turn(&t, 0);
		assert_null(turns_of(lab, &t));
		/* from before the rollout */
		assert_int_equal(lab_step(lab, 0), 0);
		compare(lab, m, true);
		turn(&t, 0);
		assert_null(turns_of(lab, &t));
		/* not by the hash */
		connection(&u, lab, m, 4);
		age(&u, PERCH_POOL_AGE_NS);
		talk_entry(&u)->flags &= ~PERCH_FLOW_VOTES;
		turn(&u, 0);
		assert_null(turns_of(lab, &u));
	}
}

/* A place is another's until that had no turn for a minute. */
static void test_a_place_changes_hands_when_it_is_idle(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_turns *of;
		__u32 minute;

		compare(lab, m, true);
		pool_empty(lab);
		connection(&t, lab, m, 5);
		age(&t, PERCH_POOL_AGE_NS);
		turn(&t, 0);
		of = turns_of(lab, &t);
		assert_non_null(of);
		minute = of->now.minute;
		/* as if it was another's */
		of->created = 1;
		of->now.minute = minute + 1;
		turn(&t, 0);
		assert_int_equal(of->created, 1);
		of->now.minute = minute - 2;
		turn(&t, 0);
		assert_ptr_equal(turns_of(lab, &t), of);
		assert_int_equal(of->now.n, 1);
		assert_int_equal(of->before.n + of->first.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_a_young_connection_is_in_no_pool),
		prog_test(test_turns_are_summed_up_by_the_minute),
		prog_test(test_what_does_not_vote_is_in_no_pool),
		prog_test(test_a_place_changes_hands_when_it_is_idle),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
