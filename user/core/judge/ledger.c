/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Bad votes kept, and evidence made of them again. */
#include "ledger.h"

void ledger_take(struct ledger *l, const struct trial_policy *policy, const struct trial_tally *t)
{
	for (unsigned e = 0; e < TRIAL_EVENTS; e++) {
		if (policy->max_ratio[e] <= 0)
			continue;
		l->canary[e] += (__u32)t->canary.event[e].bad;
		l->stable[e] += (__u32)t->stable.event[e].bad;
	}
	for (unsigned b = TRIAL_EVENTS; b < LEDGER_BETS && !t->warming; b++) {
		unsigned w = ledger_gate(b) - TRIAL_EVENTS, i = ledger_edge(b);

		if (!policy->wait[w] || policy->beyond[w][i] <= 0 || policy->beyond[w][i] >= 1)
			continue;
		l->canary[b] += (__u32)t->canary.wait[w].above[i];
		l->stable[b] += (__u32)t->stable.wait[w].above[i];
	}
}

double ledger_log_e(const struct ledger_row *rows, size_t n, unsigned blocks, double ratio)
{
	struct bet b;
	size_t i = 0;

	bet_begin(&b);
	for (unsigned k = 1; k <= blocks; k++) {
		bet_block(&b);
		for (; i < n && rows[i].block <= k; i++)
			bet_votes(&b, rows[i].w, ratio, rows[i].canary, rows[i].stable);
	}
	return bet_log_e(&b);
}
