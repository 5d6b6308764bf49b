/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a comparison keeps by the minute: rows of votes that make the evidence
 * again, long connections, and whose the canary's bad votes are. */
#include "test_core_arms.h"

struct kept {
	struct ledger_row row[64];
	unsigned n;
};

static void row_keep(void *arg, const struct ledger_row *row)
{
	struct kept *k = arg;

	assert_true(k->n < 64);
	k->row[k->n++] = *row;
}

/* What the agent does at each look. */
static void look_and_keep(struct arms *a, __u64 now, struct kept *k)
{
	if (compare_block_over(&a->c, now)) {
		compare_block_rows(&a->c, row_keep, k);
		compare_block_next(&a->c);
	}
	look(a, now);
}

/* Evidence of a bet, of its rows alone. */
static double again(const struct arms *a, const struct kept *k, unsigned bet)
{
	struct ledger_row rows[64];
	double ratio;
	size_t n = 0;

	assert_true(compare_bet(&a->c, bet, &ratio));
	for (unsigned i = 0; i < k->n; i++)
		if (k->row[i].bet == bet)
			rows[n++] = k->row[i];
	return ledger_log_e(rows, n, compare_blocks(&a->c), ratio);
}

static void test_the_ledger_makes_the_evidence_again(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	struct kept k = { .n = 0 };
	double ratio, edge = 0;

	for (unsigned s = 2; s < 200; s += 3) {
		add(&a->canary, PERCH_RESET, s > 130, 3);
		add(&a->stable, PERCH_RESET, s % 5 == 0, 3);
		a->canary.cell[CELL].wait[PERCH_WAIT_RESPONSE].n++;
		a->canary.cell[CELL].wait[PERCH_WAIT_RESPONSE].above[1] += s % 2;
		look_and_keep(a, s * SECOND, &k);
	}
	/* an epoch of another share, in the same block */
	compare_step(&a->c, EPOCH + 2, 0.25, 0, false);
	a->canary.cell[CELL + 1].epoch = a->stable.cell[CELL + 1].epoch = EPOCH + 2;
	a->canary.cell[CELL + 1].outcome[PERCH_RESET].decided = a->canary.cell[CELL + 1].outcome[PERCH_RESET].bad = 3;
	look_and_keep(a, 201 * SECOND, &k);
	compare_block_rows(&a->c, row_keep, &k);
	assert_int_equal(compare_blocks(&a->c), 4);
	assert_true(fabs(compare_gate_log_e(&a->c, TRIAL_RESET)) > 0.1);
	assert_float_equal(again(a, &k, TRIAL_RESET), compare_gate_log_e(&a->c, TRIAL_RESET), 1e-9);
	edge = bet_log_e(&a->c.trial.wait[TRIAL_RESPONSE_TIME].edge[1]);
	assert_true(fabs(edge) > 0.1);
	assert_float_equal(again(a, &k, TRIAL_EVENTS + TRIAL_RESPONSE_TIME * WAIT_EDGES + 1), edge, 1e-9);
	assert_false(compare_bet(&a->c, TRIAL_HTTP_5XX, &ratio));
	assert_false(compare_bet(&a->c, TRIAL_EVENTS, &ratio));
}

/* So many connections of either version, the canary's so many times as slow. */
static size_t pool_of(struct compare_turns *t, unsigned of_each, double slower, __u32 minute)
{
	for (unsigned i = 0; i < 2 * of_each; i++) {
		bool canary = i % 2;
		double wait = log(0.020 * (1 + 0.3 * (i * 7 % 11) / 11.0)) + (canary ? log(slower) : 0);

		t[i] = (struct compare_turns){ .epoch = EPOCH, .slot = canary, .canary = canary, .wait = wait,
					       .first = minute ? log(0.020) : NAN };
	}
	return 2 * of_each;
}

static void test_long_connections_tell_by_the_minute(void **state)
{
	static struct perch_votes none;
	struct model_compare m = policy();
	struct compare_turns t[40];
	struct compare c;
	char why[128];
	size_t n;

	compare_begin(&c, &m, 0.01, &none, 120 * SECOND);
	compare_step(&c, EPOCH, 0.5, 0, false);
	/* the minute that was over as it began is not of it */
	n = pool_of(t, 20, 3, 0);
	assert_int_equal(compare_pool(&c, t, n, 1), 0);
	assert_int_equal(c.trial.pool.minutes, 0);
	/* as slow as the margin lets it be */
	for (__u32 minute = 2; minute < 12; minute++) {
		n = pool_of(t, 20, 1.2, minute - 2);
		assert_int_equal(compare_pool(&c, t, n, minute), 0);
	}
	assert_int_equal(c.trial.pool.minutes, 10);
	assert_int_equal(c.pool_rows[0], 20);
	assert_int_equal(c.pool_rows[1], 20);
	assert_false(compare_fails(&c, why, sizeof(why)));
	/* a minute counts once, and not without both versions */
	n = pool_of(t, 20, 3, 11);
	assert_int_equal(compare_pool(&c, t, n, 11), 0);
	assert_int_equal(compare_pool(&c, t, 1, 12), 0);
	assert_int_equal(c.trial.pool.minutes, 10);
	/* nor connections of an epoch that is not known, or warms up */
	for (unsigned i = 0; i < n; i++)
		t[i].epoch = EPOCH + 2;
	assert_int_equal(compare_pool(&c, t, n, 13), 0);
	compare_step(&c, EPOCH + 2, 0.5, 0, true);
	assert_int_equal(compare_pool(&c, t, n, 14), 0);
	assert_int_equal(c.trial.pool.minutes, 10);
	n = pool_of(t, 20, 3, 15);
	assert_int_equal(compare_pool(&c, t, n, 15), 0);
	assert_true(compare_fails(&c, why, sizeof(why)));
	assert_int_equal(compare_failed(&c), TRIAL_EVENTS + TRIAL_RESPONSE_TIME + 1);
	assert_ptr_equal(strstr(why, "gate response_time: 20 long connections of canary's rank slower than 20 of stable's, E "), why);
}

/* Two backends, at places 3 and 4, of the same share. */
#define ONE 3
#define TWO 4
static const double halves[PERCH_BLAMED] = { [ONE] = 0.5, [TWO] = 0.5 };

/* What the agent does at each look, with whose the bad votes are. */
static void blamed_look(struct arms *a, unsigned one, unsigned two, unsigned stable, __u64 now)
{
	if (compare_block_over(&a->c, now))
		compare_block_next(&a->c);
	a->c.blame.bad[ONE][PERCH_RESET] += one;
	a->c.blame.bad[TWO][PERCH_RESET] += two;
	add(&a->canary, PERCH_RESET, one + two, one + two + 10);
	add(&a->stable, PERCH_RESET, stable, stable + 10);
	look(a, now);
}

static void test_one_bad_backend_is_not_the_canary(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	struct compare_worst w;

	for (unsigned s = 2; s < 30; s++)
		blamed_look(a, 2, s % 9 == 0, s % 7 == 0, s * SECOND);
	assert_int_equal(compare_failed(&a->c), TRIAL_RESET + 1);
	assert_true(compare_worst(&a->c, TRIAL_RESET, halves, &w));
	assert_int_equal(w.place, ONE);
	assert_int_equal(w.bad, 56);
	assert_int_equal(w.of, 59);
	assert_true(w.log_e < log(2));
	/* nobody can be blamed for what had no bad vote */
	assert_false(compare_worst(&a->c, TRIAL_CONNECT_FAILURE, halves, &w));
}

static void test_two_bad_backends_are_the_canary(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	struct compare_worst w;

	for (unsigned s = 2; s < 30; s++)
		blamed_look(a, 1, 1, s % 7 == 0, s * SECOND);
	assert_int_equal(compare_failed(&a->c), TRIAL_RESET + 1);
	assert_true(compare_worst(&a->c, TRIAL_RESET, halves, &w));
	assert_true(w.log_e > log(10));
}

/* After an hour in which both versions had as many resets. */
static void test_backends_that_turn_bad_late_are_told_apart_too(void **state)
{
	struct model_compare m = policy();

	for (unsigned both = 0; both < 2; both++) {
		struct arms *a = begun(&m);
		struct compare_worst w;
		__u64 s = 2;

		for (; s < 3600; s += 10)
			blamed_look(a, s / 10 % 2, (s / 10 + 1) % 2, 1, s * SECOND);
		assert_int_equal(compare_failed(&a->c), 0);
		for (; !compare_failed(&a->c) && s < 4000; s++)
			blamed_look(a, 3, both ? 3 : s % 20 == 0, s % 10 == 0, s * SECOND);
		assert_int_equal(compare_failed(&a->c), TRIAL_RESET + 1);
		assert_true(compare_worst(&a->c, TRIAL_RESET, halves, &w));
		print_message("late, %s: E without the worst %.3g\n", both ? "both" : "one", exp(w.log_e));
		if (both)
			assert_true(w.log_e > log(10));
		else
			assert_true(w.place == ONE && w.log_e < log(10));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_ledger_makes_the_evidence_again),
		cmocka_unit_test(test_long_connections_tell_by_the_minute),
		cmocka_unit_test(test_one_bad_backend_is_not_the_canary),
		cmocka_unit_test(test_two_bad_backends_are_the_canary),
		cmocka_unit_test(test_backends_that_turn_bad_late_are_told_apart_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
