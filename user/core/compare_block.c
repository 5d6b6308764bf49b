/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The comparison's block under way, as rows to be kept. */
#include <string.h>

#include "compare.h"

bool compare_block_over(const struct compare *c, __u64 now)
{
	return trial_block_over(&c->trial, now);
}

void compare_block_rows(const struct compare *c, void (*fn)(void *arg, const struct ledger_row *row), void *arg)
{
	for (unsigned i = 0; i < PERCH_EPOCHS; i++)
		for (unsigned b = 0; b < LEDGER_BETS && c->epoch[i].epoch; b++)
			if (c->block[i].canary[b] || c->block[i].stable[b])
				fn(arg, &(struct ledger_row){ .block = compare_blocks(c), .epoch = c->epoch[i].epoch, .bet = b,
							      .w = c->epoch[i].w, .canary = c->block[i].canary[b],
							      .stable = c->block[i].stable[b] });
}

void compare_block_next(struct compare *c)
{
	memset(c->block, 0, sizeof(c->block));
	compare_blame_block(c);
}

unsigned compare_blocks(const struct compare *c)
{
	return c->trial.event[0].blocks;
}

bool compare_bet(const struct compare *c, unsigned bet, double *ret_ratio)
{
	unsigned gate = ledger_gate(bet);

	*ret_ratio = gate < TRIAL_EVENTS ? c->policy.max_ratio[gate] : c->policy.wait_ratio;
	return c->gates >> gate & 1 && (gate < TRIAL_EVENTS || c->edges[gate - TRIAL_EVENTS].beyond[ledger_edge(bet)] > 0);
}
