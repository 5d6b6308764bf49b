/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Random numbers for simulations: seeded, so that a run can be repeated. */
#ifndef PERCH_CORE_JUDGE_RANDOM_H
#define PERCH_CORE_JUDGE_RANDOM_H

#include <linux/types.h>

struct random {
	__u64 word[4];		/* xoshiro256++ (Blackman & Vigna) */
};

void random_seed(struct random *r, __u64 seed);
__u64 random_word(struct random *r);
double random_uniform(struct random *r);	/* (0, 1) */
double random_normal(struct random *r);
/* Successes in n trials, by skipping failures; above RANDOM_EXACT expected
 * successes (or failures) by the normal approximation, rounded. */
#define RANDOM_EXACT 40
__u64 random_binomial(struct random *r, __u64 n, double p);
__u64 random_poisson(struct random *r, double mean);	/* normal above 500 */

#endif
