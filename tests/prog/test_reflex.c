/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The reflex: it fires on a canary that fails, and on nothing that only
 * looks like it. */
#include "prog.h"

#include <arpa/inet.h>

#define LIMIT 10

/* Reflex on, half of all connections to each version. */
static int setup(void **state)
{
	struct lab *lab;

	prog_setup(state);
	lab = *state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.reflex_limit = LIMIT;
	assert_int_equal(lab_apply(lab), 0);
	assert_int_equal(lab_step(lab, 5000), 0);
	return 0;
}

/* What a series of connects is like. */
struct series {
	struct lab *lab;
	struct mode m;
	__u32 next;		/* client */
	int address;		/* -1: each client has its own; else all have this one's */
	bool forged;		/* refusals quote another SYN */
};

/* The next connect that the hash gives to this version: refused or answered. */
static void connect_one(struct series *s, unsigned slot, bool refused)
{
	static struct talk t;
	unsigned tries = 0;
	int result;

	do {
		/* half of them are: if none is, the reflex was there before us */
		if (tries++ == 100)
			fail_msg("no connect leads to slot %u any more", slot);
		mode_talk(&t, s->lab, s->m, IPPROTO_TCP, s->next++);
		if (s->address >= 0) {
			t.client.from = lab_client(s->m.v6, s->address);
			t.client.from_port = 1024 + s->next;
		} else if (s->m.v6) {
			/* an IPv6 client is its /64 */
			t.client.from.word[1] = htonl(s->next);
		}
		result = talk_client(&t, TCP_SYN, 0);
		/* what its version has no backend for is refused */
		assert_true(result == TALK_FORWARDED || result == TALK_ANSWERED);
	} while (result == TALK_ANSWERED || talk_slot(&t) != slot);
	if (refused && s->forged)
		t.backend.ack += 12345;
	assert_int_equal(talk_backend(&t, refused ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
}

static void connect_many(struct series *s, unsigned slot, bool refused, unsigned n)
{
	while (n--)
		connect_one(s, slot, refused);
}

/* One failure of the canary, after which stable's successes count. */
static void begin(struct series *s, unsigned stable_ok)
{
	connect_one(s, 1, true);
	connect_many(s, 0, false, stable_ok);
}

static struct series series(void **state, struct mode m)
{
	return (struct series){ .lab = *state, .m = m, .address = -1 };
}

static bool fired(const struct series *s)
{
	return split_word(lab_split(s->lab, s->m.v6)) & PERCH_WORD_TWIN & 1;
}

/* After a mode: back to a step, and no streak. */
static void begin_again(struct series *s)
{
	assert_int_equal(lab_step(s->lab, 5000), 0);
	for (unsigned v6 = 0; v6 < 2; v6++)
		tables_compare(s->lab->tables, v6, &(struct comparison){ .since_epoch = perch_word_epoch(split_word(lab_split(s->lab, v6))) });
}

static void test_reflex_fires_at_the_limit_and_not_before(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);
		__u64 notes = lab_reasons(*state, PERCH_R_REFLEX), word;
		static struct talk t;

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 10);
		connect_many(&s, 1, true, LIMIT - 2);
		assert_false(fired(&s));
		connect_one(&s, 1, true);
		assert_true(fired(&s));
		word = split_word(lab_split(*state, m.v6));
		assert_int_equal(perch_word_epoch(word) & 1, 1);
		assert_int_equal(perch_word_flags(word) & (PERCH_BY_REFLEX | PERCH_ROLLED_BACK),
				 PERCH_BY_REFLEX | PERCH_ROLLED_BACK);
		assert_int_equal(lab_reasons(*state, PERCH_R_REFLEX), notes + 1);
		for (unsigned i = 0; i < 100; i++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, s.next++);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			assert_int_equal(talk_slot(&t), 0);
		}
		begin_again(&s);
	}
}

static void test_reflex_needs_stable_to_work(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 9);
		connect_many(&s, 1, true, 3 * LIMIT);
		assert_false(fired(&s));
		/* the tenth success of stable is the proof that was missing */
		connect_one(&s, 0, false);
		assert_true(fired(&s));
		begin_again(&s);
	}
}

static void test_reflex_spares_the_canary_when_stable_fails_too(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 12);
		connect_many(&s, 0, true, 4);		/* more than a quarter of 12 */
		connect_many(&s, 1, true, 3 * LIMIT);
		assert_false(fired(&s));
		connect_many(&s, 0, false, 4);		/* 4 of 16 is a quarter */
		assert_true(fired(&s));
		begin_again(&s);
	}
}

static void test_reflex_does_not_fire_on_one_client(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m), one;

		s.next = 10000 * (mode_number(m) + 1);
		one = s;
		one.next = 100;
		one.address = 7;
		connect_one(&one, 1, true);
		connect_many(&s, 0, false, 20);
		connect_many(&one, 1, true, 5 * LIMIT);
		assert_false(fired(&s));
		begin_again(&s);
	}
}

static void test_reflex_success_of_the_canary_ends_the_streak(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 20);
		connect_many(&s, 1, true, LIMIT - 2);
		connect_one(&s, 1, false);
		connect_many(&s, 1, true, LIMIT - 1);
		connect_many(&s, 0, false, 10);
		assert_false(fired(&s));
		connect_one(&s, 1, true);
		assert_true(fired(&s));
		begin_again(&s);
	}
}

static void test_reflex_does_not_believe_forged_refusals(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 20);
		s.forged = true;
		connect_many(&s, 1, true, 5 * LIMIT);
		assert_false(fired(&s));
		begin_again(&s);
	}
}

/* As who rolls back from user space does: misses ask the plan before for the
 * drain time from then on, not for as long as no agent comes. */
static void test_reflex_notes_when_it_fired(void **state)
{
	for_each_mode(m) {
		struct series s = series(state, m);
		struct perch_split *split = lab_split(*state, m.v6);
		__u64 began = lab_now();

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 10);
		connect_many(&s, 1, true, LIMIT - 1);
		assert_true(fired(&s));
		assert_int_equal(split->named >> 32, perch_word_epoch(split_word(split)));
		assert_in_range((__u32)split->named, began / 1000000000, lab_now() / 1000000000);
		begin_again(&s);
	}
}

static void test_reflex_that_is_off_never_fires(void **state)
{
	struct lab *lab = *state;

	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.reflex_limit = 0;
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 20);
		connect_many(&s, 1, true, 3 * LIMIT);
		assert_false(fired(&s));
	}
}

/* With the last stable backend gone there is nowhere to go back to. */
static void test_reflex_needs_a_live_stable_backend(void **state)
{
	struct lab *lab = *state;

	for_each_mode(m) {
		struct series s = series(state, m);

		s.next = 10000 * (mode_number(m) + 1);
		begin(&s, 20);
		connect_many(&s, 1, true, LIMIT - 2);
		lab_backends(lab, 0, 2, 0);
		assert_int_equal(lab_apply(lab), 0);
		connect_many(&s, 1, true, 3);
		assert_false(fired(&s));
		lab_backends(lab, 0, 2, 2);
		assert_int_equal(lab_apply(lab), 0);
		begin_again(&s);
	}
}

static void set_established(struct lab *lab, enum perch_established policy)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.established = policy;
	assert_int_equal(lab_apply(lab), 0);
}

static void fire(struct series *s)
{
	begin(s, 20);
	connect_many(s, 1, true, LIMIT - 1);
	assert_true(fired(s));
}

static void test_reflex_does_to_established_flows_what_the_service_says(void **state)
{
	for_each_mode(m) {
		struct perch_version *v = lab_version(*state, m.v6, 1);
		struct series s = series(state, m);
		__u64 sever, drain, now;

		s.next = 10000 * (mode_number(m) + 1);
		set_established(*state, PERCH_KEEP);
		sever = v->sever_before;
		drain = v->drain_before;
		fire(&s);
		assert_int_equal(v->sever_before, sever);
		assert_int_equal(v->drain_before, drain);
		begin_again(&s);
		set_established(*state, PERCH_DRAIN);
		now = lab_now();
		fire(&s);
		assert_true(v->drain_before >= now);
		assert_true(lab_control(*state)->severed >= v->drain_before);
		assert_in_range(v->drain_at - v->drain_before, 29900000000ull, 30000000000ull);
		assert_int_equal(v->sever_before, sever);
		begin_again(&s);
		set_established(*state, PERCH_SEVER);
		now = lab_now();
		fire(&s);
		assert_true(v->sever_before >= now);
		assert_true(lab_control(*state)->severed >= v->sever_before);
		begin_again(&s);
		/* for the next hook: a drain of long ago is over */
		v->drain_at = v->drain_before;
	}
}

#define reflex_test(f) cmocka_unit_test_setup_teardown(f, setup, prog_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		reflex_test(test_reflex_fires_at_the_limit_and_not_before),
		reflex_test(test_reflex_needs_stable_to_work),
		reflex_test(test_reflex_spares_the_canary_when_stable_fails_too),
		reflex_test(test_reflex_does_not_fire_on_one_client),
		reflex_test(test_reflex_success_of_the_canary_ends_the_streak),
		reflex_test(test_reflex_does_not_believe_forged_refusals),
		reflex_test(test_reflex_notes_when_it_fired),
		reflex_test(test_reflex_that_is_off_never_fires),
		reflex_test(test_reflex_needs_a_live_stable_backend),
		reflex_test(test_reflex_does_to_established_flows_what_the_service_says),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
