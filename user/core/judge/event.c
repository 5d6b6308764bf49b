/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The event gate's evidence. */
#include <math.h>

#include "../sequential.h"
#include "event.h"
#include "mixture.h"

#define LEAST 1.25
#define MOST 32.0

double bet_alternative(unsigned j)
{
	return LEAST * pow(MOST / LEAST, (double)j / (BET_ALTERNATIVES - 1));
}

static double log_add(double a, double b)
{
	double top = fmax(a, b);

	return isinf(top) ? top : top + log(exp(a - top) + exp(b - top));
}

void bet_begin(struct bet *b)
{
	*b = (struct bet){ 0 };
	for (unsigned j = 0; j < BET_ALTERNATIVES; j++)
		b->late[j] = -INFINITY;
}

void bet_block(struct bet *b)
{
	double k = ++b->blocks;

	for (unsigned j = 0; j < BET_ALTERNATIVES; j++)
		b->late[j] = log_add(b->late[j], log(0.5 / (k * (k + 1))));
}

void bet_grow(struct bet *b, const double log_ratio[BET_ALTERNATIVES])
{
	for (unsigned j = 0; j < BET_ALTERNATIVES; j++) {
		b->all[j] += log_ratio[j];
		b->late[j] += log_ratio[j];
	}
}

void bet_votes(struct bet *b, double w, double ratio, __u64 canary, __u64 stable)
{
	double theta0 = mixture_share(w, ratio), log_ratio[BET_ALTERNATIVES];

	if (!canary && !stable)
		return;
	for (unsigned j = 0; j < BET_ALTERNATIVES; j++) {
		double p = mixture_share(w, ratio * bet_alternative(j));

		log_ratio[j] = (double)canary * log(p / theta0) + (double)stable * log((1 - p) / (1 - theta0));
	}
	bet_grow(b, log_ratio);
}

double bet_log_plain(const struct bet *b)
{
	return sequential_log_mean(b->all, BET_ALTERNATIVES);
}

double bet_log_e(const struct bet *b)
{
	double log_e = log_add(bet_log_plain(b) + log(0.5), sequential_log_mean(b->late, BET_ALTERNATIVES));

	return log_add(log_e, log(0.5 / (b->blocks + 1.0)));
}
