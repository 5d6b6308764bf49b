/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The judge's promises, simulated in virtual time from fixed seeds: how often
 * it is wrong, how long it takes, what it costs.  (Response times are in
 * test_core_figures_latency.c.)
 */
#include "../../user/core/judge/simulate.h"
#include "figures.h"

static void within(const char *what, double got, double want, double share)
{
	if (!(fabs(got / want - 1) <= share))
		fail_msg("%s: %.3f, not within %.0f %% of %.3f", what, got, 100 * share, want);
}

/* What others do, on the same votes, to see what a guess costs. */
struct others {
	struct loss_counts canary, stable, window;
	unsigned failed;
	bool peeking, strikes;
};

static void others_look(struct others *o, double t, struct loss_counts c, struct loss_counts s)
{
	double p, z;

	o->canary = (struct loss_counts){ o->canary.bad + c.bad, o->canary.n + c.n };
	o->stable = (struct loss_counts){ o->stable.bad + s.bad, o->stable.n + s.n };
	o->window = (struct loss_counts){ o->window.bad + c.bad, o->window.n + c.n };
	p = (double)(o->canary.bad + o->stable.bad) / (double)(o->canary.n + o->stable.n);
	if (p > 0 && o->canary.n && o->stable.n) {
		z = ((double)o->canary.bad / (double)o->canary.n - (double)o->stable.bad / (double)o->stable.n) /
		    sqrt(p * (1 - p) * (1 / (double)o->canary.n + 1 / (double)o->stable.n));
		o->peeking = o->peeking || z > 2.326;
	}
	if (fmod(t + 1, 10) != 0)
		return;
	o->failed += o->window.n && (double)o->window.bad > 0.01 * (double)o->window.n;
	o->strikes = o->strikes || o->failed >= 5;
	o->window = (struct loss_counts){ 0, 0 };
}

/* Five steps of 60 s, 0.5 % bad on both sides, a look each second. */
static void test_equals_are_left_alone(void **state)
{
	static const double rate[] = { 20, 200, 2000 }, step[] = { 0.01, 0.05, 0.1, 0.25, 0.5 };
	unsigned n = runs(1000);
	struct random r;

	say("\n### Equal versions\n\n1, 5, 10, 25, 50 %%, 60 s each, 0.5 %% bad on both sides, a look each second, %u runs: rolled back\n\n"
	    "| connections/s | perch, maxRatio 1 | z-test each second, 1 %% | 99 %% each 10 s, 5 strikes |\n|---|---|---|---|\n", n);
	random_seed(&r, 11);
	for (size_t i = 0; i < FIGURES(rate); i++) {
		unsigned wrong = 0, peeking = 0, strikes = 0;

		for (unsigned run = 0; run < n; run++) {
			struct others o = { .failed = 0 };
			bool fired = false;
			struct bet b;

			bet_begin(&b);
			for (unsigned t = 0; t < 300; t++) {
				__u64 all = random_poisson(&r, rate[i]), to_canary = random_binomial(&r, all, step[t / 60]);
				struct loss_counts c = { random_binomial(&r, to_canary, 0.005), to_canary };
				struct loss_counts s = { random_binomial(&r, all - to_canary, 0.005), all - to_canary };

				if (t % 60 == 0)
					bet_block(&b);
				bet_votes(&b, step[t / 60], 1, c.bad, s.bad);
				fired = fired || bet_log_e(&b) >= -log(ALPHA);
				others_look(&o, t, c, s);
			}
			wrong += fired;
			peeking += o.peeking;
			strikes += o.strikes;
		}
		say("| %g | %.3f | %.3f | %.3f |\n", rate[i], (double)wrong / n, (double)peeking / n, (double)strikes / n);
		at_most("equal versions", wrong, n, ALPHA);
		assert_true(peeking > 5 * n / 100);
	}
}

static void test_healthy_rollouts_arrive(void **state)
{
	static const struct { double rate, bad, minutes; } cases[] = {
		{ 1, 0, 93 }, { 20, 0, 29 }, { 200, 0, 5 }, { 2000, 0, 5 },
		{ 1, 0.01, 161 }, { 20, 0.01, 99 }, { 200, 0.01, 11 }, { 2000, 0.01, 5 },
	};
	unsigned n = runs(40);

	say("\n### Healthy rollouts\n\nDefaults without warm-up, %u runs each\n\n"
	    "| connections/s | bad | at 100 %%, median | rolled back |\n|---|---|---|---|\n", n);
	for (size_t i = 0; i < FIGURES(cases); i++) {
		struct simulate_case c = simulate_defaults();
		struct simulate_summary s;

		c.rate = cases[i].rate;
		c.bad = cases[i].bad;
		assert_int_equal(simulate_runs(&c, n, 100 + i, &s), 0);
		say("| %g | %g %% | %.0f min | %u |\n", c.rate, 100 * c.bad, s.succeeded_seconds / 60, s.rolled_back);
		at_most("healthy", s.rolled_back, n, ALPHA);
		assert_int_equal(s.succeeded + s.rolled_back, n);
		within("median of healthy rollouts", s.succeeded_seconds / 60, cases[i].minutes, 0.15);
	}
}

static void test_regressions_are_found(void **state)
{
	static const struct { double rate, bad, ratio, points, minutes, excess; } cases[] = {
		{ 1, 0, 1, 0.05, 58, 3 }, { 200, 0.001, 3, 0, 10, 42 }, { 2000, 0.01, 2, 0, 2.6, 141 },
	};
	unsigned n = runs(100);

	say("\n### Regressions\n\n| connections/s | stable bad | canary bad | rolled back | after, median | bad connections too many |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < FIGURES(cases); i++) {
		struct simulate_case c = simulate_defaults();
		struct simulate_summary s;

		c.rate = cases[i].rate;
		c.bad = cases[i].bad;
		c.ratio = cases[i].ratio;
		c.points = cases[i].points;
		assert_int_equal(simulate_runs(&c, n, 200 + i, &s), 0);
		say("| %g | %g %% | %g %% | %u of %u | %.1f min | %.0f |\n", c.rate, 100 * c.bad, 100 * (c.bad * c.ratio + c.points),
		    s.rolled_back, n, s.rolled_back_seconds / 60, s.excess);
		assert_int_equal(s.rolled_back, n);
		within("median of regressions", s.rolled_back_seconds / 60, cases[i].minutes, 0.15);
		within("bad connections too many", s.excess, cases[i].excess, 0.4);
	}
}

/* A leak that begins to hurt after 40 minutes. */
static void test_late_regressions_are_found_sooner(void **state)
{
	enum { MOST = 400 };
	double late[MOST], plain[MOST];
	unsigned n = out ? MOST : 40;
	struct random r;

	random_seed(&r, 31);
	for (unsigned run = 0; run < n; run++) {
		struct bet b;

		bet_begin(&b);
		late[run] = plain[run] = INFINITY;
		for (unsigned t = 0; t < 9000 && (isinf(late[run]) || isinf(plain[run])); t++) {
			__u64 all = random_poisson(&r, 200), canary = random_binomial(&r, all, 0.1);

			if (t % 60 == 0)
				bet_block(&b);
			bet_votes(&b, 0.1, 1.5, random_binomial(&r, canary, t < 2400 ? 0.001 : 0.005),
				  random_binomial(&r, all - canary, 0.001));
			if (isinf(late[run]) && bet_log_e(&b) >= -log(ALPHA))
				late[run] = (double)t - 2400;
			if (isinf(plain[run]) && bet_log_plain(&b) >= -log(ALPHA))
				plain[run] = (double)t - 2400;
		}
	}
	say("\n### Late regressions\n\n200 connections/s, 10 %%, 0.1 %% bad, five times that from 40 min on, one gate, %u runs: found after %.0f s "
	    "(median) with bets on a change, after %.0f s without.\n", n, middle(late, n), middle(plain, n));
	assert_true(middle(late, n) * 1.5 < middle(plain, n));
}

/*
 * One client that fails five times a second, whichever version it gets, hides
 * a fivefold regression of all others; at most four bad votes of a client in
 * 10 s do not.
 */
static void test_one_loud_client_hides_nothing(void **state)
{
	enum { MOST = 200 };
	double capped[MOST], open[MOST];
	unsigned n = out ? MOST : 30;
	struct random r;

	random_seed(&r, 41);
	for (unsigned run = 0; run < n; run++) {
		for (int cap = 0; cap < 2; cap++) {
			double *found = cap ? &capped[run] : &open[run];
			struct bet b;

			bet_begin(&b);
			*found = 3600;
			for (unsigned t = 0; t < 3600; t++) {
				__u64 all = random_poisson(&r, 20), canary = random_binomial(&r, all, 0.05);
				__u64 loud = cap ? (t % 10 == 0 ? 4 : 0) : 5, loud_canary = random_binomial(&r, loud, 0.05);

				if (t % 60 == 0)
					bet_block(&b);
				bet_votes(&b, 0.05, 1.5, random_binomial(&r, canary, 0.05) + loud_canary,
					  random_binomial(&r, all - canary, 0.01) + loud - loud_canary);
				if (bet_log_e(&b) < -log(ALPHA))
					continue;
				*found = t;
				break;
			}
		}
	}
	say("\n### One loud client\n\n20 connections/s, 5 %%, 1 %% bad, five times that on the canary, and one client that fails 5 times a second "
	    "whatever it gets, %u runs: found after %.0f s (median) with 4 bad votes a client in 10 s, %s%.0f s with all of them.\n", n,
	    middle(capped, n), middle(open, n) >= 3600 ? "not within " : "after ", middle(open, n));
	assert_true(middle(capped, n) * 2 < middle(open, n));
}

/* Clients that fail again and again keep their side: 25 thresholds, nested. */
static void test_clients_vote_once(void **state)
{
	unsigned n = runs(1000), once = 0, again = 0;
	struct random r;

	random_seed(&r, 51);
	for (unsigned run = 0; run < n; run++) {
		bool fired[2] = { false, false };
		double u[60];
		struct bet b[2];

		bet_begin(&b[0]);
		bet_begin(&b[1]);
		for (size_t i = 0; i < FIGURES(u); i++)
			u[i] = random_uniform(&r);
		for (unsigned epoch = 1; epoch <= 25; epoch++) {
			double w = 0.02 * epoch;
			__u64 canary = 0, fresh = random_poisson(&r, 2), fresh_canary = random_binomial(&r, fresh, w);

			for (size_t i = 0; i < FIGURES(u); i++)
				canary += u[i] < w;
			bet_block(&b[0]);
			bet_block(&b[1]);
			bet_votes(&b[0], w, 1, fresh_canary + canary, fresh - fresh_canary + FIGURES(u) - canary);
			bet_votes(&b[1], w, 1, fresh_canary + (epoch == 1 ? canary : 0),
				  fresh - fresh_canary + (epoch == 1 ? FIGURES(u) - canary : 0));
			fired[0] = fired[0] || bet_log_e(&b[0]) >= -log(ALPHA);
			fired[1] = fired[1] || bet_log_e(&b[1]) >= -log(ALPHA);
		}
		again += fired[0];
		once += fired[1];
	}
	say("\n### Clients that fail again and again\n\n`affinity: client`, equal versions, 25 steps of 2 to 50 %%, 60 clients that fail in each and 2 "
	    "others, %u runs: rolled back %.3f with one bad vote a client and step, %.3f with one a client and rollout.\n", n,
	    (double)again / n, (double)once / n);
	at_most("once a rollout", once, n, ALPHA);
	assert_true(again > 5 * once + n / 50);
}

/* A canary that loses just more than what the next step allows. */
static void test_the_loss_rule_lets_few_through(void **state)
{
	static const double rate[] = { 20, 200, 2000 };
	unsigned n = runs(200);

	say("\n### The loss rule\n\nA canary at 5 %% that would lose just more than allowed at 10 %%, 100,000 connections of it, %u runs: goes on\n\n"
	    "| connections/s | may lose | goes on |\n|---|---|---|\n", n);
	for (size_t i = 0; i < FIGURES(rate); i++) {
		double delta = loss_delta(loss_allowed(0.002, 60, rate[i]), 0.1);
		unsigned passed = 0;
		struct random r;

		random_seed(&r, 90 + i);
		for (unsigned run = 0; run < n; run++) {
			struct loss_counts c = { 0, 0 }, s = { 0, 0 };
			const struct loss_bet none = { { 0 } };

			while (c.n < 100000) {
				/* looks close at first, where it matters, rarer later */
				__u64 more = 1 + c.n / 20;

				c.bad += random_binomial(&r, more, delta);
				c.n += more;
				s.n += 19 * more;
				if (loss_judge(c, s, delta, 0.05, &none).safe) {
					passed++;
					break;
				}
			}
		}
		say("| %g | %.2f %% | %.3f |\n", rate[i], 100 * delta, (double)passed / n);
		at_most("just too bad goes on", passed, n, 0.05);
	}
}

/* The reflex's guards, as bpf/reflex.h has them, beside "five in a row". */
static void test_blips_do_not_fire_the_reflex(void **state)
{
	unsigned n = runs(300), plain = 0, guarded = 0;
	struct random r;

	random_seed(&r, 95);
	for (unsigned run = 0; run < n; run++) {
		unsigned streak = 0, ok = 0, bad = 0, clients = 0;
		bool fired_plain = false, fired_guarded = false;

		/* two hours of 50 connections/s at 10 %: a blip of 2 s an hour in which 6 of 10 connects fail */
		for (unsigned i = 0; i < 2 * 3600 * 50; i++) {
			bool blip = i % (3600 * 50) < 2 * 50, failed = random_uniform(&r) < (blip ? 0.6 : 0.001);
			bool canary = random_uniform(&r) < 0.1;

			if (canary && !failed) {
				streak = ok = bad = clients = 0;
			} else if (canary) {
				streak++;
				clients |= 1u << (random_word(&r) & 15);
			} else if (streak) {
				ok += !failed;
				bad += failed;
			}
			fired_plain = fired_plain || streak >= 5;
			fired_guarded = fired_guarded ||
					(streak >= 10 && ok >= 10 && 4 * bad <= ok && __builtin_popcount(clients) >= 3);
		}
		plain += fired_plain;
		guarded += fired_guarded;
	}
	say("\n### Blips\n\nTwo hours, 50 connections/s, 10 %%, a blip of 2 s each hour in which 60 %% of all connects fail, %u runs: five failures in a row "
	    "roll back in %.2f of them, the reflex in %.3f.\n", n, (double)plain / n, (double)guarded / n);
	at_most("reflex on blips", guarded, n, 0.005);
	assert_true(plain > n / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equals_are_left_alone),
		cmocka_unit_test(test_healthy_rollouts_arrive),
		cmocka_unit_test(test_regressions_are_found),
		cmocka_unit_test(test_late_regressions_are_found_sooner),
		cmocka_unit_test(test_one_loud_client_hides_nothing),
		cmocka_unit_test(test_clients_vote_once),
		cmocka_unit_test(test_the_loss_rule_lets_few_through),
		cmocka_unit_test(test_blips_do_not_fire_the_reflex),
	};

	return cmocka_run_group_tests(tests, open_out, close_out);
}
