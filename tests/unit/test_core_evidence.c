/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The judge's formulas against figures computed elsewhere: by the authors of
 * the papers (their libraries' own tests) and by an independent program.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/core/judge/band.h"
#include "../../user/core/judge/beta.h"
#include "../../user/core/judge/event.h"
#include "../../user/core/judge/loss.h"
#include "../../user/core/judge/mixture.h"

#define CLOSE 1e-7		/* relative, of the independent program's figures */
#define FIGURES(a) (sizeof(a) / sizeof(*(a)))

static void near(double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
		fail_msg("got %.12g, want %.12g", got, want);
}

static void test_two_sided_mixture_agrees(void **state)
{
	static const struct { double w, k; __u64 c, s; double value; } figures[] = {
		{ 0.05, 100, 0, 0, 0 },
		{ 0.05, 100, 10, 50, 2.0560343267400647 },
		{ 0.1, 10, 8, 12, 3.5654119055132236 },
		{ 0.5, 100, 5, 60, 9.152218597885259 },
		{ 0.05, 100, 5000, 95000, -3.4710492461472313 },
	};

	for (size_t i = 0; i < FIGURES(figures); i++) {
		const double theta0[] = { figures[i].w, 1 - figures[i].w };
		const __u64 votes[] = { figures[i].c, figures[i].s };

		near(mixture_two_sided(theta0, votes, 2, figures[i].k), figures[i].value, CLOSE);
	}
}

/* optimizely/ssrm, test_regression */
static void test_two_sided_mixture_has_many_arms(void **state)
{
	const double theta0[] = { 0.1, 0.5, 0.4 };
	const __u64 votes[] = { 2, 1, 7 };

	near(exp(mixture_two_sided(theta0, votes, 3, 10000)), 1.0017496120131435, CLOSE);
}

/* the same, test_sequential_posteriors: the prior is Dirichlet(1, 1, 1) */
static void test_dirichlet_mixture_grows_by_batches(void **state)
{
	static const __u64 batch[][3] = { { 20, 17, 9 }, { 18, 21, 8 }, { 4, 6, 4 }, { 18, 19, 11 } };
	static const double log_e[] = {
		-7.028201432058012 - -4.0776406466061985, -11.947847738358888 - -8.265946861099877,
		-15.471401950257842 - -11.610743519545139, -19.96484521090386 - -15.781031228536165,
	};
	const double theta0[] = { 0.4, 0.4, 0.2 }, prior[] = { 1, 1, 1 };
	__u64 votes[3] = { 0 };

	for (size_t i = 0; i < FIGURES(batch); i++) {
		for (size_t arm = 0; arm < 3; arm++)
			votes[arm] += batch[i][arm];
		near(mixture_dirichlet(theta0, prior, votes, 3), log_e[i], CLOSE);
	}
}

static void test_two_sided_mixture_of_a_poisson_process(void **state)
{
	/* savvi's example: stable .8, canary .2, stopped at 148 and 62 */
	const double theta0[] = { 0.8, 0.2 };
	const __u64 votes[] = { 148, 62 };

	near(exp(-mixture_two_sided(theta0, votes, 2, 100)), 0.045579631759249686, CLOSE);
}

static void test_one_sided_mixture_agrees(void **state)
{
	static const struct { double w, r0, a, b; __u64 c, s; double value; } figures[] = {
		{ 0.05, 1, 0.5, 9.5, 10, 50, 4.4129993030495775 },
		{ 0.05, 1, 0.5, 9.5, 30, 70, 29.54763043476966 },
		{ 0.1, 1, 1, 1, 8, 12, 5.00195050669956 },
		{ 0.05, 1.25, 0.5, 7.599999999999999, 30, 70, 24.59815496472631 },
	};

	for (size_t i = 0; i < FIGURES(figures); i++) {
		double theta0 = mixture_share(figures[i].w, figures[i].r0);

		near(mixture_one_sided_prior(theta0, figures[i].a, figures[i].b, figures[i].c, figures[i].s),
		     figures[i].value, CLOSE);
		if (figures[i].a == 0.5)
			near(mixture_one_sided(theta0, figures[i].c, figures[i].s), figures[i].value, CLOSE);
	}
}

static void test_ratio_interval_agrees(void **state)
{
	static const struct { double w; __u64 c, s; double low, high; } figures[] = {
		{ 0.05, 10, 50, 0.8773156283412046, 11.539625696394571 },
		{ 0.2, 62, 148, 1.0046570641007486, 2.7033897248155028 },
		{ 0.5, 40, 20, 0.8400499930329758, 5.21648171706971 },
	};

	for (size_t i = 0; i < FIGURES(figures); i++) {
		struct ratio_interval r = mixture_ratio(figures[i].w, 100, 0.05, figures[i].c, figures[i].s);

		near(r.low, figures[i].low, CLOSE);
		near(r.high, figures[i].high, CLOSE);
	}
	assert_true(mixture_ratio(0.05, 100, 0.05, 0, 9).low == 0);
	assert_true(isinf(mixture_ratio(0.05, 100, 0.05, 9, 0).high));
}

static void test_ratio_interval_only_shrinks(void **state)
{
	struct ratio_interval r = ratio_meet((struct ratio_interval){ 1, 3 }, (struct ratio_interval){ 0.5, 2 });

	near(r.low, 1, 0);
	near(r.high, 2, 0);
	r = ratio_meet(r, (struct ratio_interval){ 4, 5 });
	near(r.low, 4, 0);
}

static double plain(double w, double r0, __u64 c, __u64 s)
{
	struct bet b;

	bet_begin(&b);
	bet_votes(&b, w, r0, c, s);
	return bet_log_plain(&b);
}

static void test_grid_agrees(void **state)
{
	near(plain(0.05, 1, 10, 50), 4.0914092690727, CLOSE);
	near(plain(0.5, 1, 40, 20), 1.7563853959361386, CLOSE);
	near(plain(0.05, 1.5, 4, 0), 7.6147493, 1e-7);
	near(plain(0.05, 1.5, 20, 100), 4.0829687, 1e-7);
	near(plain(0.5, 1.5, 12, 3), 0.5657135, 1e-7);
	near(bet_alternative(0), 1.25, 0);
	near(bet_alternative(5), 5.4578184881661285, CLOSE);
	near(bet_alternative(11), 32, CLOSE);
}

static void test_grid_follows_a_ramp(void **state)
{
	static const struct { double w; __u64 c, s; double value; } steps[] = {
		{ 0.01, 1, 60, -0.7989487364108927 }, { 0.05, 6, 58, -0.24735206903174323 },
		{ 0.1, 14, 50, 3.0755504990664333 }, { 0.25, 30, 40, 8.031443170759225 },
	};
	struct bet b;

	bet_begin(&b);
	for (size_t i = 0; i < FIGURES(steps); i++) {
		bet_votes(&b, steps[i].w, 1, steps[i].c, steps[i].s);
		near(bet_log_plain(&b), steps[i].value, CLOSE);
	}
}

static void test_late_change_is_bet_on(void **state)
{
	struct bet b;

	bet_begin(&b);
	near(bet_log_e(&b), 0, 1e-12);
	for (int block = 0; block < 12; block++) {
		bet_block(&b);
		bet_votes(&b, 0.1, 1.5, block < 10 ? 1 : 8, block < 10 ? 9 : 8);
	}
	near(bet_log_e(&b), 4.5559375, 1e-7);
	near(bet_log_plain(&b), -0.5012798, 1e-7);
}

/* Nothing is won while nothing is voted: E stays 1 whatever time passes. */
static void test_waiting_wins_nothing(void **state)
{
	struct bet b;

	bet_begin(&b);
	for (int block = 0; block < 1000; block++)
		bet_block(&b);
	near(bet_log_e(&b), 0, 1e-9);
}

static void test_loss_bounds_agree(void **state)
{
	near(loss_upper((struct loss_counts){ 0, 600 }, 0.01, 0.02), 0.0086239, 1e-7);
	near(loss_upper((struct loss_counts){ 2, 1000 }, 0.01, 0.02), 0.0104846, 1e-7);
	near(loss_lower((struct loss_counts){ 100, 10000 }, 0.005), 0.0065069, 1e-7);
	near(loss_lower((struct loss_counts){ 0, 10000 }, 0.005), 0, 0);
}

static void test_loss_needs_about_five_over_delta(void **state)
{
	const struct loss_bet none = { { 0 } };
	const double delta[] = { 0.5, 0.1, 0.01, 0.001 };

	for (size_t i = 0; i < FIGURES(delta); i++) {
		double more = loss_more((struct loss_counts){ 0, 0 }, (struct loss_counts){ 0, 0 }, delta[i], 0.05);
		struct loss_counts enough = { 0, (__u64)more + 1 }, few = { 0, (__u64)(more * 0.9) };

		assert_true(loss_judge(enough, (struct loss_counts){ 0, 0 }, delta[i], 0.05, &none).safe);
		assert_false(loss_judge(few, (struct loss_counts){ 0, 0 }, delta[i], 0.05, &none).safe);
		if (delta[i] <= 0.1)
			near(more * delta[i], 5.1, 0.1);
	}
}

static void test_loss_never_comes_to_a_bad_canary(void **state)
{
	assert_true(isnan(loss_more((struct loss_counts){ 50, 1000 }, (struct loss_counts){ 10, 10000 }, 0.01, 0.05)));
	near(loss_allowed(0.002, 60, 1), 60.0 / 3600, CLOSE);
	near(loss_allowed(0.002, 60, 200), 0.002, CLOSE);
	near(loss_delta(0.002, 0.05), 0.04, CLOSE);
	near(loss_delta(0.9, 0.05), 0.5, CLOSE);
}

static void test_band_agrees(void **state)
{
	static const struct { double alpha, c; } constants[] = {
		{ 0.1, 7.622974437801706 }, { 0.025, 8.622649283224067 }, { 0.005, 9.783365215444674 },
		{ 0.05, 8.123 }, { 0.01, 9.284 }, { 0.001, 10.943 },
	};

	for (size_t i = 0; i < FIGURES(constants); i++)
		near(band_constant(constants[i].alpha), constants[i].c, i < 3 ? 1e-6 : 1e-4);
	near(band_radius(100, 1, 0.05), 0.26672139645739285, 1e-6);
	near(band_radius(10000, 1, 0.05), 0.027472389643571227, 1e-6);
	near(band_radius(100, 1, 0.01), 0.2820057743865574, 1e-6);
	near(band_radius(1000, 100, 0.05), 0.08204769, 1e-5);
}

static void test_quantiles_are_compared(void **state)
{
	double a[1000], b[1000];

	for (int i = 0; i < 1000; i++) {
		a[i] = i + 1;
		b[i] = i + 71;
	}
	near(band_best_rho(100, 0.05), 12.60056, 1e-5);
	near(band_quantile_p(a, 1000, b, 1000, 0.5, 100, 0.05), 0.814704, 1e-5);
	near(band_quantile_p(a, 1000, a, 1000, 0.5, 100, 0.05), 1, 1e-12);
	for (int i = 0; i < 1000; i++)
		b[i] = i + 301;
	assert_true(band_quantile_p(a, 1000, b, 1000, 0.5, 100, 0.05) < 1e-6);
}

static void test_incomplete_beta_agrees(void **state)
{
	near(exp(log_beta_part(0.5, 2, 3)), 0.6875, 1e-12);
	near(exp(log_beta_part(0.3, 1, 1)), 0.3, 1e-12);
	near(exp(log_beta_part(0.2, 0.5, 0.5)), 2 / M_PI * asin(sqrt(0.2)), 1e-12);
	/* far out, where the share itself is no double any more: x^a to the first order */
	near(log_beta_part(1e-5, 100, 1), 100 * log(1e-5), 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_sided_mixture_agrees),
		cmocka_unit_test(test_two_sided_mixture_has_many_arms),
		cmocka_unit_test(test_dirichlet_mixture_grows_by_batches),
		cmocka_unit_test(test_two_sided_mixture_of_a_poisson_process),
		cmocka_unit_test(test_one_sided_mixture_agrees),
		cmocka_unit_test(test_ratio_interval_agrees),
		cmocka_unit_test(test_ratio_interval_only_shrinks),
		cmocka_unit_test(test_grid_agrees),
		cmocka_unit_test(test_grid_follows_a_ramp),
		cmocka_unit_test(test_late_change_is_bet_on),
		cmocka_unit_test(test_waiting_wins_nothing),
		cmocka_unit_test(test_loss_bounds_agree),
		cmocka_unit_test(test_loss_needs_about_five_over_delta),
		cmocka_unit_test(test_loss_never_comes_to_a_bad_canary),
		cmocka_unit_test(test_band_agrees),
		cmocka_unit_test(test_quantiles_are_compared),
		cmocka_unit_test(test_incomplete_beta_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
