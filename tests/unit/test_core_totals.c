/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Evidence on totals: what it comes to, that it asks no share, and that it finds
 * who is worse. */
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/core/judge/random.h"
#include "../../user/core/judge/totals.h"

#define ALPHA 0.01
#define RUNS 500

static void take(struct totals *t, double ratio, __u64 c, __u64 n_c, __u64 s, __u64 n_s)
{
	const struct loss_counts canary = { .bad = c, .n = n_c }, stable = { .bad = s, .n = n_s };

	totals_votes(t, ratio, &canary, &stable);
}

/* Computed apart from the code, with whole binomials. */
static void test_values(void **state)
{
	struct totals t = { 0 };

	assert_true(fabs(totals_log_e(&t)) < 1e-12);
	take(&t, 1.5, 4, 50, 1, 950);
	assert_true(fabs(totals_log_e(&t) - 6.77583280393171) < 1e-9);
	take(&t, 1.5, 0, 50, 3, 950);
	assert_true(fabs(totals_log_e(&t) - 4.537358165664284) < 1e-9);
	t = (struct totals){ 0 };
	take(&t, 1.5, 2, 2, 1, 5);
	assert_true(fabs(totals_log_e(&t) - 1.0867577372231907) < 1e-9);
	t = (struct totals){ 0 };
	take(&t, 1.5, 40, 500, 60, 1500);
	assert_true(fabs(totals_log_e(&t) + 0.8075104947874157) < 1e-9);
}

/* It can't have been otherwise. */
static void test_what_says_nothing(void **state)
{
	struct totals t = { 0 };

	take(&t, 1.5, 0, 100, 0, 100);
	take(&t, 1.5, 0, 0, 7, 100);
	take(&t, 1.5, 9, 100, 0, 0);
	take(&t, 1.5, 20, 20, 30, 30);
	assert_true(fabs(totals_log_e(&t)) < 1e-12);
}

struct found {
	unsigned totals, gate;
};

/* Ten minutes at 5 %, of which `part` comes: who is found, of RUNS. */
static struct found found(double part, double stable_bad, double canary_bad)
{
	struct found n = { 0, 0 };
	struct random rnd;

	random_seed(&rnd, 31);
	for (unsigned i = 0; i < RUNS; i++) {
		bool totals = false, gate = false;
		struct totals t = { 0 };
		struct bet b;

		bet_begin(&b);
		for (unsigned second = 0; second < 600; second++) {
			__u64 all = random_poisson(&rnd, 100), of_canary = random_binomial(&rnd, all, part);
			__u64 c = random_binomial(&rnd, of_canary, canary_bad);
			__u64 s = random_binomial(&rnd, all - of_canary, stable_bad);

			take(&t, 1.5, c, of_canary, s, all - of_canary);
			bet_votes(&b, 0.05, 1.5, c, s);
			totals |= totals_log_e(&t) >= -log(ALPHA);
			gate |= bet_log_plain(&b) >= -log(ALPHA);
		}
		n.totals += totals;
		n.gate += gate;
	}
	return n;
}

/* Three times as many come to the canary as its share says: an equal one is bad
 * three times as often for its share, and not for its connections. */
static void test_no_share_is_asked(void **state)
{
	struct found off = found(0.15, 0.01, 0.01), right = found(0.05, 0.01, 0.01);

	print_message("an equal canary, share off threefold: by totals %u, by the share %u of %u; as it says: %u, %u\n",
		      off.totals, off.gate, RUNS, right.totals, right.gate);
	assert_true(off.gate > 0.9 * RUNS);
	assert_true(off.totals <= RUNS * ALPHA + 2 * sqrt(RUNS * ALPHA));
	assert_true(right.totals <= RUNS * ALPHA + 2 * sqrt(RUNS * ALPHA));
}

/* A third of what should come does, and the canary is bad four times as often. */
static void test_who_is_worse_is_found(void **state)
{
	struct found n = found(0.05 / 3, 0.01, 0.04);

	print_message("bad four times as often, a third comes: by totals %u, by the share %u of %u\n", n.totals, n.gate, RUNS);
	assert_true(n.totals > 0.9 * RUNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_what_says_nothing),
		cmocka_unit_test(test_no_share_is_asked),
		cmocka_unit_test(test_who_is_worse_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
