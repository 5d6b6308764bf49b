/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The sample ratio: silent while clients come as the shares say, whatever the
 * shares do meanwhile, and not for long otherwise. */
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/core/judge/random.h"
#include "../../user/core/judge/ratio.h"

#define ALPHA 0.01
#define RUNS 1000

/* Computed apart from the code, from the definition. */
static void test_values(void **state)
{
	struct ratio r = { 0 };

	assert_true(fabs(ratio_log_e(&r)) < 1e-12);
	ratio_clients(&r, 0.05, 80, 920);
	assert_true(fabs(ratio_log_e(&r) - 5.645211205131323) < 1e-9);
	ratio_clients(&r, 0.5, 500, 500);
	assert_true(fabs(ratio_log_e(&r) + 0.0876527480113991) < 1e-9);
	assert_true(fabs(r.most - 5.645211205131323) < 1e-9);
	assert_true(fabs(r.expected - 550) < 1e-9);
	r = (struct ratio){ 0 };
	ratio_clients(&r, 0.5, 612, 388);
	assert_true(fabs(ratio_log_e(&r) - 22.585760313124915) < 1e-9);
}

/* Steps of a rollout, looked at every second; `off` times the odds. */
static unsigned alarm_at(struct random *rnd, double off)
{
	static const double share[] = { 0.01, 0.05, 0.1, 0.25, 0.5 };
	struct ratio r = { 0 };

	for (unsigned second = 0; second < 300; second++) {
		double w = share[second / 60], p = off * w / (1 - w + off * w);
		__u64 all = random_poisson(rnd, 100), canary = random_binomial(rnd, all, p);

		ratio_clients(&r, w, canary, all - canary);
		if (r.most >= -log(ALPHA))
			return second + 1;
	}
	return 0;
}

static unsigned alarms(double off)
{
	struct random rnd;
	unsigned n = 0;

	random_seed(&rnd, 77);
	for (unsigned i = 0; i < RUNS; i++)
		n += alarm_at(&rnd, off) > 0;
	return n;
}

static void test_alarms_are_false_no_oftener_than_alpha(void **state)
{
	unsigned n = alarms(1);

	print_message("false alarms: %u of %u rollouts\n", n, RUNS);
	assert_true(n <= RUNS * ALPHA + 2 * sqrt(RUNS * ALPHA * (1 - ALPHA)));
}

/* Of 30,000 clients one in seven too many or too few. */
static void test_who_is_kept_away_is_missed(void **state)
{
	unsigned fewer = alarms(1 / 1.15), more = alarms(1.15), much = alarms(0.5);

	print_message("alarms at odds of 1/1.15, 1.15 and 0.5: %u, %u and %u of %u\n", fewer, more, much, RUNS);
	assert_true(fewer > 0.9 * RUNS && more > 0.9 * RUNS && much == RUNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_alarms_are_false_no_oftener_than_alpha),
		cmocka_unit_test(test_who_is_kept_away_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
