// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch judge votes: the evidence of a rollout made again of the bad votes that
 * `perch -j rollout why` tells, gate by gate, and the mean that decides.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/judge/ledger.h"
#include "../core/sequential.h"
#include "judge.h"

#define MOST_BLOCKS 100000000
#define MOST_GATES 64
#define MOST_BETS 16

/* A gate's bets count as one voice, and each sum of long connections' minutes
 * as another. */
struct gate {
	const char *name;
	bool skipped;
	double log_e[MOST_BETS], pool[MOST_BETS];
	unsigned bets, pools;
};

struct votes {
	const struct cli *cli;
	const char *file;
	struct gate gate[MOST_GATES];
	unsigned n;
};

static int not_votes(const struct votes *v, const char *what)
{
	return cli_error(v->cli, "%s: %s; give what `perch -j rollout why NAME` told of a rollout that compares", v->file, what);
}

static bool row_read(const json_t *doc, struct ledger_row *ret)
{
	json_int_t block, canary, stable;

	if (json_unpack((json_t *)doc, "[I, F, I, I!]", &block, &ret->w, &canary, &stable) || block < 1 || block > MOST_BLOCKS ||
	    canary < 0 || stable < 0 || !(ret->w > 0 && ret->w < 1))
		return false;
	ret->block = (__u32)block;
	ret->canary = (__u64)canary;
	ret->stable = (__u64)stable;
	return true;
}

static struct gate *gate_of(struct votes *v, const char *name)
{
	if (v->n && strcmp(v->gate[v->n - 1].name, name) == 0)
		return &v->gate[v->n - 1];
	if (v->n == MOST_GATES)
		return NULL;
	v->gate[v->n] = (struct gate){ .name = name };
	return &v->gate[v->n++];
}

static int bet_read(struct votes *v, const json_t *bet, unsigned blocks)
{
	const json_t *list = field_list(bet, "votes"), *doc;
	struct gate *g = gate_of(v, field_text(bet, "gate"));
	double ratio = field_number(bet, "ratio");
	struct ledger_row *rows;
	size_t i;

	if (!g || g->bets == MOST_BETS || g->pools == MOST_BETS)
		return not_votes(v, "too many bets");
	g->skipped = field_true(bet, "skipped");
	if (field_is(bet, "pool")) {
		g->pool[g->pools++] = log(field_number(bet, "e"));
		return 0;
	}
	if (!(ratio > 0))
		return not_votes(v, "a bet lacks its ratio");
	rows = calloc(json_array_size(list) + 1, sizeof(*rows));
	if (!rows)
		return cli_error(v->cli, "out of memory");
	json_array_foreach(list, i, doc) {
		if (row_read(doc, &rows[i]) && (!i || rows[i].block >= rows[i - 1].block) && rows[i].block <= blocks)
			continue;
		free(rows);
		return not_votes(v, "a row of votes is not [block, share, canary, stable], by block");
	}
	g->log_e[g->bets++] = ledger_log_e(rows, json_array_size(list), blocks, ratio);
	free(rows);
	return 0;
}

static void votes_text(const json_t *doc)
{
	struct table *t = table_new("", "GATE", ">E", ">LOG E", "");
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(doc, "gates"), i, gate) {
		table_text(t, gate, "name");
		table_cell(t, "%.4g", field_number(gate, "e"));
		table_cell(t, "%.7f", field_number(gate, "logE"));
		table_cell(t, "%s", field_true(gate, "skipped") ? "left out" : "");
	}
	table_print(t);
	printf("mean: E %.6g (log %.7f), fails at %.6g: %s; perchd said log %.7f\n", field_number(doc, "e"),
	       field_number(doc, "logE"), field_number(doc, "threshold"), field_line(doc, "verdict"), field_number(doc, "said"));
}

static double gate_log_e(const struct gate *g)
{
	double voice[MOST_BETS + 1] = { sequential_log_mean(g->log_e, g->bets) };
	unsigned n = g->bets > 0;

	for (unsigned i = 0; i < g->pools; i++)
		voice[n++] = g->pool[i];
	return sequential_log_mean(voice, n);
}

static int votes_told(const struct votes *v, double alpha, double said)
{
	double log_e[MOST_GATES], all;
	json_t *gates = json_array();

	for (unsigned g = 0; g < v->n; g++) {
		double one = gate_log_e(&v->gate[g]);

		log_e[g] = v->gate[g].skipped ? fmin(one, 0) : one;
		json_array_append_new(gates, json_pack("{s:s, s:o, s:o, s:b}", "name", v->gate[g].name, "e", judge_number(exp(one)),
						       "logE", judge_number(one), "skipped", v->gate[g].skipped));
	}
	all = sequential_log_mean(log_e, v->n);
	return cli_print(v->cli, json_pack("{s:o, s:o, s:o, s:f, s:s, s:o}", "gates", gates, "e", judge_number(exp(all)), "logE",
					   judge_number(all), "threshold", 1 / alpha, "verdict",
					   all >= -log(alpha) ? "fail" : "inconclusive", "said", judge_number(said)), votes_text);
}

static int votes_read(struct votes *v, const json_t *doc)
{
	const json_t *votes = json_object_get(doc, "votes") ?: doc, *bet;
	double blocks = field_number(votes, "blocks"), alpha = field_number(votes, "alpha");
	int ret = 0;
	size_t i;

	if (!json_array_size(field_list(votes, "bets")) || !(blocks >= 1 && blocks <= MOST_BLOCKS) || !(alpha > 0 && alpha < 1))
		return not_votes(v, "no votes");
	json_array_foreach(field_list(votes, "bets"), i, bet)
		if ((ret = bet_read(v, bet, (unsigned)blocks)))
			return ret;
	return votes_told(v, alpha, field_number(votes, "logE"));
}

int judge_votes(struct cli *cli, int argc, char **argv)
{
	struct votes v = { .cli = cli };
	const struct word words[] = { WORD_NEEDED("file", "FILE", &v.file), {} };
	json_error_t error;
	json_t *doc;
	FILE *in;
	int ret = words_read(cli, argc, argv, words);

	if (ret)
		return ret;
	in = judge_open(cli, v.file);
	if (!in)
		return CLI_FAILED;
	doc = json_loadf(in, 0, &error);
	judge_close(in);
	if (!doc)
		return cli_error(cli, "%s:%d: %s", v.file, error.line, error.text);
	ret = votes_read(&v, doc);
	json_decref(doc);
	return ret;
}
