// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Keeps votes by the block and tells of them. */
#include "ledger.h"

#include "../../core/compare.h"
#include "../api/view.h"
#include "../store/store_votes.h"

struct keeping {
	struct ledger_row row[PERCH_EPOCHS * LEDGER_BETS];
	size_t n;
};

static void row_keep(void *arg, const struct ledger_row *row)
{
	struct keeping *k = arg;

	k->row[k->n++] = *row;
}

/* That the store does not take them is told where its other failures are. */
void ledger_keep(struct agent *a, const struct service *s)
{
	struct keeping k;

	k.n = 0;
	compare_block_rows(s->compare, row_keep, &k);
	store_votes_put(a->store, s->name, k.row, k.n);
}

void ledger_forget(struct agent *a, const struct service *s)
{
	store_votes_clear(a->store, s->name);
}

static void row_tell(void *arg, const struct ledger_row *row)
{
	json_t **rows = arg;

	if (row->bet < LEDGER_BETS)
		json_array_append_new(rows[row->bet], json_pack("[i, f, I, I]", (int)row->block, row->w, (json_int_t)row->canary,
								(json_int_t)row->stable));
}

static json_t *bet_json(const struct compare *c, unsigned bet, double ratio, json_t *rows)
{
	unsigned gate = ledger_gate(bet);
	json_t *o = json_pack("{s:s, s:f, s:b}", "gate", compare_gate_name(gate), "ratio", ratio,
			      "skipped", c->policy.skipped >> gate & 1);

	json_object_set_new(o, "quantile", gate < TRIAL_EVENTS ? json_null() : json_real(wait_quantile[ledger_edge(bet)]));
	json_object_set_new(o, "votes", rows);
	return o;
}

/* What minutes of long connections say, of which no rows are kept. */
static json_t *pool_json(const struct compare *c, const char *of, double e)
{
	unsigned gate = TRIAL_EVENTS + TRIAL_RESPONSE_TIME;

	return json_pack("{s:s, s:s, s:f, s:b}", "gate", compare_gate_name(gate), "pool", of, "e", e, "skipped",
			 c->policy.skipped >> gate & 1);
}

int ledger_json(struct agent *a, const struct service *s, json_t **ret)
{
	const struct compare *c = s->compare;
	json_t *rows[LEDGER_BETS], *bets = json_array();
	double ratio;
	int r;

	for (unsigned b = 0; b < LEDGER_BETS; b++)
		rows[b] = json_array();
	ledger_keep(a, s);
	r = store_votes(a->store, s->name, row_tell, rows);
	for (unsigned b = 0; b < LEDGER_BETS; b++)
		if (compare_bet(c, b, &ratio))
			json_array_append_new(bets, bet_json(c, b, ratio, rows[b]));
		else
			json_decref(rows[b]);
	if (c->policy.pools) {
		json_array_append_new(bets, pool_json(c, "level", pool_e(&c->trial.pool, c->trial.pool.level)));
		json_array_append_new(bets, pool_json(c, "change", pool_e(&c->trial.pool, c->trial.pool.change)));
	}
	*ret = json_pack("{s:i, s:f, s:f, s:o}", "blocks", (int)compare_blocks(c), "alpha", c->policy.alpha, "logE", c->log_e,
			 "bets", bets);
	return r;
}
