/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Tallies into verdicts: what counts once, what does not, and what is said. */
#include "test_core_arms.h"

static void test_votes_count_once(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	double once;

	add(&a->canary, PERCH_CONNECT_FAILURE, 3, 10);
	add(&a->stable, PERCH_CONNECT_FAILURE, 1, 10);
	look(a, 2 * SECOND);
	once = a->c.log_e;
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].bad, 3);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].n, 10);
	look(a, 3 * SECOND);
	assert_true(a->c.log_e == once);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].bad, 3);
	add(&a->canary, PERCH_CONNECT_FAILURE, 1, 1);
	look(a, 4 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].bad, 4);
	assert_true(a->c.log_e > once);
}

/* What was beyond a client's cap is no vote at all. */
static void test_capped_votes_are_none(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);

	add(&a->canary, PERCH_CONNECT_FAILURE, 4, 20);
	a->canary.cell[CELL].outcome[PERCH_CONNECT_FAILURE].capped = 6;
	look(a, 2 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].bad, 4);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].n, 14);
}

/* Clients that come for the first time; what was off stays off. */
static void test_clients_come_as_the_share_says_or_not(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128];

	a->canary.cell[CELL].clients = 510;
	a->stable.cell[CELL].clients = 490;
	look(a, 2 * SECOND);
	look(a, 3 * SECOND);
	assert_int_equal(a->c.clients.canary, 510);
	assert_int_equal(a->c.clients.stable, 490);
	assert_false(compare_off(&a->c, why, sizeof(why)));
	a->canary.cell[CELL].clients = 1200;
	a->stable.cell[CELL].clients = 800;
	look(a, 4 * SECOND);
	assert_true(compare_off(&a->c, why, sizeof(why)));
	assert_ptr_equal(strstr(why, "sample ratio: 1200 of 2000 new clients, not 1000"), why);
	assert_true(compare_off_alarms(&a->c));
	assert_false(compare_fails(&a->c, why, sizeof(why)));
	a->stable.cell[CELL].clients = 1200;
	look(a, 5 * SECOND);
	assert_true(compare_off(&a->c, why, sizeof(why)));
}

/* Of few clients it holds, and is no alarm yet. */
static void test_few_clients_are_no_alarm(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128];

	look(a, 2 * SECOND);
	a->canary.cell[CELL].clients = 400;
	a->stable.cell[CELL].clients = 200;
	look(a, 3 * SECOND);
	assert_true(compare_off(&a->c, why, sizeof(why)));
	assert_false(compare_off_alarms(&a->c));
}

/* A gate that a person left out neither condemns nor holds, whatever it finds. */
static void test_a_gate_that_is_left_out_is_silent(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	double before;

	add(&a->canary, PERCH_RESET, 20, 40);
	add(&a->canary, PERCH_CONNECT_FAILURE, 3, 40);
	add(&a->stable, PERCH_RESET, 0, 40);
	look(a, 2 * SECOND);
	assert_int_equal(compare_failed(&a->c), TRIAL_RESET + 1);
	before = a->c.log_e;
	assert_int_equal(compare_skip(&a->c, "http_5xx"), -ENOENT);
	assert_int_equal(compare_skip(&a->c, "reset"), 0);
	assert_int_equal(compare_skip(&a->c, "reset"), -EALREADY);
	assert_int_equal(compare_failed(&a->c), 0);
	assert_true(a->c.log_e < before);
	add(&a->canary, PERCH_CONNECT_FAILURE, 30, 40);
	look(a, 3 * SECOND);
	assert_int_equal(compare_failed(&a->c), TRIAL_CONNECT_FAILURE + 1);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].bad, 20);
}

/* A reading in which a count went back is of a cell in the making. */
static void test_a_reading_that_goes_back_is_ignored(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	struct perch_tallies torn;

	add(&a->canary, PERCH_RESET, 3, 10);
	look(a, 2 * SECOND);
	torn = a->canary;
	torn.cell[CELL].outcome[PERCH_RESET].bad = 0;
	torn.cell[CELL].outcome[PERCH_CONNECT_FAILURE].decided = 5;
	compare_take(&a->c, &a->stable, &torn, 3 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_CONNECT_FAILURE].n, 0);
	add(&a->canary, PERCH_RESET, 1, 1);
	look(a, 4 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].bad, 4);
}

/* Votes of an epoch whose share is not known do not count; nor do those of
 * steps at which there is nothing to compare. */
static void test_votes_need_a_share(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);

	a->canary.cell[CELL].epoch = a->stable.cell[CELL].epoch = EPOCH + 2 * PERCH_EPOCHS;
	add(&a->canary, PERCH_RESET, 3, 10);
	look(a, 2 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].n, 0);
	compare_step(&a->c, EPOCH + 2 * PERCH_EPOCHS, 1, 0, false);
	look(a, 3 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].n, 0);
	compare_step(&a->c, EPOCH + 2 * PERCH_EPOCHS, 0.5, 0, false);
	look(a, 4 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].n, 10);
}

static void test_a_worse_canary_is_named_with_its_numbers(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128] = "";

	assert_false(compare_fails(&a->c, why, sizeof(why)));
	add(&a->canary, PERCH_RESET, 60, 100);
	add(&a->stable, PERCH_RESET, 2, 100);
	look(a, 2 * SECOND);
	assert_true(compare_fails(&a->c, why, sizeof(why)));
	assert_ptr_equal(strstr(why, "gate reset: 60 % of canary's 100 bad, 2 % of stable's 100, E "), why);
	assert_non_null(strstr(why, ">= 100"));
}

static void test_equal_arms_prove_nothing(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128] = "";

	for (unsigned i = 1; i <= 50; i++) {
		add(&a->canary, PERCH_RESET, 20, 100);
		add(&a->stable, PERCH_RESET, 20, 100);
		look(a, i * 10 * SECOND);
		assert_false(compare_fails(&a->c, why, sizeof(why)));
	}
}

static void test_waits_vote_but_not_in_a_warm_up(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128] = "";

	assert_int_equal(a->c.blind, 0);
	compare_step(&a->c, EPOCH, 0.5, 0, true);
	for (int arm = 0; arm < 2; arm++) {
		struct perch_tally *t = &(arm ? &a->canary : &a->stable)->cell[CELL];

		t->wait[PERCH_WAIT_RESPONSE].n = 200;
		t->wait[PERCH_WAIT_RESPONSE].above[0] = arm ? 195 : 100;
		t->wait[PERCH_WAIT_RESPONSE].above[1] = arm ? 150 : 20;
	}
	look(a, 2 * SECOND);
	assert_true(fabs(a->c.log_e) < 1e-9);
	compare_step(&a->c, EPOCH, 0.5, 0, false);
	memset(a->c.seen, 0, sizeof(a->c.seen));
	look(a, 3 * SECOND);
	assert_true(compare_fails(&a->c, why, sizeof(why)));
	assert_ptr_equal(strstr(why, "gate response_time: "), why);
	assert_non_null(strstr(why, "(above p"));
}

/* Votes come as connections end: the faster version's first.  Good ones that
 * lead prove nothing, else a canary a little slower would go back at a high
 * rate. */
static void test_good_waits_that_come_first_prove_nothing(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	char why[128] = "";

	a->stable.cell[CELL].wait[PERCH_WAIT_RESPONSE].n = 200;
	a->stable.cell[CELL].wait[PERCH_WAIT_RESPONSE].above[0] = 60;
	look(a, 2 * SECOND);
	assert_false(compare_fails(&a->c, why, sizeof(why)));
	assert_true(a->c.log_e < 0.1);
}

/* Edges: in a bucket of stable's quantile, and for the canary so much higher
 * that no wait of maxSlowdown times the edge is above. */
static void test_edges_are_stables_quantiles_and_shifted_up(void **state)
{
	struct edges e;

	assert_true(edges_freeze(&e, history()->longest_wait, 1.25));
	for (unsigned i = 0; i < WAIT_EDGES; i++) {
		double edge, quantile = 0.1 * wait_quantile[i];

		if (e.stable[i] == PERCH_NO_EDGE)
			continue;
		edge = histogram_high(e.stable[i]);
		assert_in_range(e.stable[i], perch_hist_bucket((__u64)(quantile * 1e6) - 1000), perch_hist_bucket((__u64)(quantile * 1e6) + 1000));
		assert_true(e.beyond[i] > 0 && e.beyond[i] <= 1 - wait_quantile[i] + 1e-9);
		assert_true(histogram_high(e.canary[i]) >= 1.25 * edge - 1e-9);
		assert_true(histogram_low(e.canary[i]) < fmax(1.25 * edge, edge + edges_slack[i]));
	}
	assert_int_not_equal(e.stable[0], PERCH_NO_EDGE);
}

/* Of waits of microseconds only what a person could notice is slower. */
static void test_edges_leave_hosts_a_millisecond(void **state)
{
	struct perch_votes fast = { 0 };
	struct edges e;

	for (unsigned us = 30; us < 60; us++)
		fast.longest_wait[perch_hist_bucket(us)] += 1000;
	assert_true(edges_freeze(&e, fast.longest_wait, 1.25));
	for (unsigned i = 0; i < WAIT_EDGES; i++) {
		if (e.stable[i] == PERCH_NO_EDGE)
			continue;
		assert_true(histogram_high(e.stable[i]) < 70e-6);
		assert_true(histogram_high(e.canary[i]) >= histogram_high(e.stable[i]) + edges_slack[i]);
		assert_true(histogram_high(e.canary[i]) < 1.3 * edges_slack[i]);
	}
	assert_int_not_equal(e.stable[0], PERCH_NO_EDGE);
}

/* Waits that are all alike have one edge, which nobody is beyond: who is twice
 * as slow is found by it. */
static void test_waits_in_one_bucket_are_enough(void **state)
{
	struct perch_votes alike = { 0 };
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	struct perch_tally *t;
	char why[128];

	alike.longest_wait[perch_hist_bucket(20000)] = 480;
	compare_begin(&a->c, &m, 0.01, &alike, SECOND);
	compare_step(&a->c, EPOCH, 0.5, 0, false);
	assert_int_equal(a->c.edges[TRIAL_RESPONSE_TIME].stable[0], perch_hist_bucket(20000));
	for (unsigned i = 1; i < WAIT_EDGES; i++)
		assert_int_equal(a->c.edges[TRIAL_RESPONSE_TIME].stable[i], PERCH_NO_EDGE);
	for (int arm = 0; arm < 2; arm++) {
		t = &(arm ? &a->canary : &a->stable)->cell[CELL];
		t->wait[PERCH_WAIT_RESPONSE].n = 100;
		t->wait[PERCH_WAIT_RESPONSE].above[0] = arm ? 20 : 0;
	}
	look(a, 2 * SECOND);
	assert_true(compare_fails(&a->c, why, sizeof(why)));
}

static void test_edges_need_a_history(void **state)
{
	struct model_compare m = policy();
	struct perch_votes few = { .longest_wait = { [50] = EDGES_LEAST - 1 } };
	struct compare c;
	struct edges e;

	assert_false(edges_freeze(&e, few.longest_wait, 1.25));
	for (unsigned i = 0; i < WAIT_EDGES; i++)
		assert_int_equal(e.stable[i], PERCH_NO_EDGE);
	compare_begin(&c, &m, 0.01, &few, SECOND);
	assert_int_equal(c.blind, 1u << (TRIAL_EVENTS + TRIAL_RESPONSE_TIME));
	/* long connections may yet tell */
	assert_int_equal(c.gates, 1u << TRIAL_CONNECT_FAILURE | 1u << TRIAL_RESET | 1u << (TRIAL_EVENTS + TRIAL_RESPONSE_TIME));
	assert_true(fabs(compare_gate_log_e(&c, TRIAL_EVENTS + TRIAL_RESPONSE_TIME)) < 1e-9);
}

/* Advance: about 5.1/delta canary connections without a failure are enough. */
static void test_going_on_needs_connections_and_says_how_many(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);
	const struct compare_next next = { .share = 0.5, .rate = 1000, .canary_rate = 100 };
	char why[64] = "";
	double eta;

	add(&a->canary, PERCH_CONNECT_FAILURE, 0, 300);
	add(&a->stable, PERCH_CONNECT_FAILURE, 0, 300);
	look(a, 2 * SECOND);
	/* H = 0.2 %, at half of all connections delta = 0.4 % */
	assert_false(compare_safe(&a->c, &m, &next, why, sizeof(why), &eta));
	assert_ptr_equal(strstr(why, "connect_failure: about "), why);
	assert_true(eta > 5 && eta < 20);
	add(&a->canary, PERCH_CONNECT_FAILURE, 0, 2000);
	add(&a->stable, PERCH_CONNECT_FAILURE, 0, 2000);
	look(a, 3 * SECOND);
	assert_true(compare_safe(&a->c, &m, &next, why, sizeof(why), &eta));
	/* a step's votes are its own */
	compare_step(&a->c, EPOCH + 2, 0.5, 0, false);
	assert_false(compare_safe(&a->c, &m, &next, why, sizeof(why), &eta));
	m.max_loss = PERCH_SHARE_ALL;
	assert_true(compare_safe(&a->c, &m, &next, why, sizeof(why), &eta));
}

static void test_after_a_loss_of_the_tables_counts_begin_anew(void **state)
{
	struct model_compare m = policy();
	struct arms *a = begun(&m);

	add(&a->canary, PERCH_RESET, 5, 50);
	look(a, 2 * SECOND);
	compare_restart(&a->c, 3 * SECOND);
	memset(&a->canary, 0, sizeof(a->canary));
	memset(&a->stable, 0, sizeof(a->stable));
	compare_step(&a->c, EPOCH + 2, 0.5, 0, false);
	a->canary.cell[CELL + 1].epoch = a->stable.cell[CELL + 1].epoch = EPOCH + 2;
	a->canary.cell[CELL + 1].outcome[PERCH_RESET].decided = 7;
	look(a, 4 * SECOND);
	assert_int_equal(a->c.trial.canary.event[TRIAL_RESET].n, 57);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_votes_count_once),
		cmocka_unit_test(test_capped_votes_are_none),
		cmocka_unit_test(test_clients_come_as_the_share_says_or_not),
		cmocka_unit_test(test_few_clients_are_no_alarm),
		cmocka_unit_test(test_a_gate_that_is_left_out_is_silent),
		cmocka_unit_test(test_a_reading_that_goes_back_is_ignored),
		cmocka_unit_test(test_votes_need_a_share),
		cmocka_unit_test(test_a_worse_canary_is_named_with_its_numbers),
		cmocka_unit_test(test_equal_arms_prove_nothing),
		cmocka_unit_test(test_waits_vote_but_not_in_a_warm_up),
		cmocka_unit_test(test_good_waits_that_come_first_prove_nothing),
		cmocka_unit_test(test_edges_are_stables_quantiles_and_shifted_up),
		cmocka_unit_test(test_edges_leave_hosts_a_millisecond),
		cmocka_unit_test(test_waits_in_one_bucket_are_enough),
		cmocka_unit_test(test_edges_need_a_history),
		cmocka_unit_test(test_going_on_needs_connections_and_says_how_many),
		cmocka_unit_test(test_after_a_loss_of_the_tables_counts_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
