/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The latency gate's promises, simulated in virtual time from fixed seeds. */
#include "../../user/core/judge/pool.h"
#include "../../user/core/judge/random.h"
#include "../../user/core/judge/wait.h"
#include "figures.h"

/* The share of lognormal waits (sd 1) above x when they are `slower` times longer. */
static double above(double x, double slower)
{
	return 0.5 * erfc((log(x) - log(slower)) * M_SQRT1_2);
}

/* n waits against edges, x_i the quantiles of stable, scaled for the canary. */
static void waits(struct random *r, __u64 n, double slower, double scale, struct wait_votes *ret)
{
	static const double edge[WAIT_EDGES] = { 1, 3.602224, 5.180252, 10.240474, 21.982184 };	/* exp of the normal's quantiles */
	double p_before = 1;
	__u64 left = n;

	ret->n = n;
	for (unsigned i = 0; i < WAIT_EDGES; i++) {
		double p = above(edge[i] * scale, slower);

		ret->above[i] = left = random_binomial(r, left, fmin(1, p / p_before));
		p_before = p;
	}
}

/* Seconds until the latency gate fires, or `most`. */
static double latency_run(struct random *r, double rate, double w, double (*slower)(double t), double warmup, double most)
{
	static const double beyond[WAIT_EDGES] = { 0.5, 0.1, 0.05, 0.01, 0.001 };
	struct wait_bet b;

	wait_begin(&b);
	for (unsigned s_at = 0; s_at < most; s_at++) {
		double t = s_at;
		__u64 all = random_poisson(r, rate), canary = random_binomial(r, all, w);
		struct wait_votes c, s;

		waits(r, canary, slower(t), 1.25, &c);
		waits(r, all - canary, 1, 1, &s);
		if (s_at % 60 == 0)
			wait_block(&b);
		if (t < warmup)
			continue;
		wait_votes(&b, w, beyond, &c, &s);
		if (wait_log_e(&b, beyond) >= -log(ALPHA))
			return t + 1;
	}
	return most;
}

static double same(double t)
{
	return 1;
}

static double a_little(double t)
{
	return 1.05;
}

static double twice(double t)
{
	return 2;
}

/* A cold cache: three times slower, gone within minutes. */
static double cold(double t)
{
	return 1 + 2 * exp(-t / 20);
}

static unsigned fired(double rate, double w, double (*slower)(double t), double warmup, unsigned n, double most, __u64 seed, double *ret_median)
{
	double *at = calloc(n, sizeof(*at));
	unsigned count = 0;
	struct random r;

	assert_non_null(at);
	random_seed(&r, seed);
	for (unsigned i = 0; i < n; i++) {
		at[i] = latency_run(&r, rate, w, slower, warmup, most);
		count += at[i] < most;
	}
	if (ret_median)
		*ret_median = middle(at, n);
	free(at);
	return count;
}

static void test_slowness_beyond_the_margin_is_found(void **state)
{
	unsigned n = runs(100), wrong, little;
	double at[3];

	wrong = fired(200, 0.1, same, 0, n, 600, 61, NULL);
	little = fired(200, 0.1, a_little, 0, n, 600, 62, NULL);
	at_most("equally fast", wrong, n, ALPHA);
	at_most("5 % slower", little, n, ALPHA);
	assert_int_equal(fired(20, 0.1, twice, 0, n, 3600, 63, &at[0]), n);
	assert_int_equal(fired(200, 0.1, twice, 0, n, 3600, 64, &at[1]), n);
	assert_int_equal(fired(2000, 0.1, twice, 0, n, 3600, 65, &at[2]), n);
	say("\n### Slower\n\nLognormal waits, 10 %%, maxSlowdown 1.25, %u runs. Within 600 s at 200/s: equally fast %.3f rolled back, 5 %% slower %.3f. "
	    "Twice as slow is found after %.0f / %.0f / %.0f s (median) at 20 / 200 / 2,000 connections a second.\n", n, (double)wrong / n,
	    (double)little / n, at[0], at[1], at[2]);
}

static void test_cold_caches_are_waited_for(void **state)
{
	unsigned n = runs(100), without = fired(200, 0.1, cold, 0, n, 300, 71, NULL), with = fired(200, 0.1, cold, 60, n, 360, 72, NULL);

	say("\n### Cold caches\n\nThree times slower at first, by 1/e less each 20 s, 200/s, 10 %%, %u runs: rolled back %.3f without warm-up, %.3f with 60 s "
	    "of it.\n", n, (double)without / n, (double)with / n);
	assert_true(without > n * 95 / 100);
	at_most("with warm-up", with, n, ALPHA);
}

#define POOL 32

/* An hour of a pool of long connections: does the bet fire? */
static bool pool_run(struct random *r, double w, double slower)
{
	double own[POOL], first[POOL];
	bool canary[POOL];
	struct pool_bet b = { 0 };

	for (unsigned i = 0; i < POOL; i++) {
		own[i] = 0.2 * random_normal(r);
		canary[i] = random_uniform(r) < w;
	}
	for (unsigned m = 0; m < 60; m++) {
		struct pool_row rows[POOL];

		for (unsigned i = 0; i < POOL; i++) {
			double wait = own[i] + 0.1 * random_normal(r) + (canary[i] ? log(slower) : 0);

			rows[i] = (struct pool_row){ wait, m ? first[i] : NAN, w, canary[i] };
			first[i] = m ? first[i] : wait;
		}
		assert_int_equal(pool_minute(&b, rows, POOL, 1.25), 0);
		/* the third voice, single votes, is silent here */
		if ((b.level + b.change + 1) / 3 >= 1 / ALPHA)
			return true;
	}
	return false;
}

static void test_pools_of_long_connections_vote(void **state)
{
	unsigned n = runs(300), equal = 0, margin = 0, slow = 0;
	struct random r;

	random_seed(&r, 81);
	for (unsigned i = 0; i < n; i++) {
		equal += pool_run(&r, 0.25, 1);
		margin += pool_run(&r, 0.25, 1.25);
		slow += pool_run(&r, 0.25, 2);
	}
	say("\n### Pools of long connections\n\n32 connections of nearly equal speed, 25 %%, an hour, %u runs: rolled back %.3f when equally fast, %.3f when "
	    "1.25 times slower (the margin), %.3f when twice.\n", n, (double)equal / n, (double)margin / n, (double)slow / n);
	at_most("equally fast pools", equal, n, ALPHA);
	at_most("pools at the margin", margin, n, ALPHA);
	assert_true(slow > n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slowness_beyond_the_margin_is_found),
		cmocka_unit_test(test_cold_caches_are_waited_for),
		cmocka_unit_test(test_pools_of_long_connections_vote),
	};

	return cmocka_run_group_tests(tests, open_out, close_out);
}
