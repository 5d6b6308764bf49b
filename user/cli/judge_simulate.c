// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch judge simulate and replay: whole rollouts in virtual time, policies
 * side by side. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge_simulate.h"

#define RUNS 200
#define RUNS_MOST 100000
#define POLICIES 8

struct options {
	const char *runs, *seed, *worse, *more, *from;	/* as given */
	const char *policy[POLICIES];
	unsigned n_policies;
	long n_runs, seed_n;
	double ratio, points, from_s;
};

/* Words that may stand more than once: policy SPEC. */
static int policies_read(const struct cli *cli, char **rest, int n, struct options *o)
{
	for (int i = 0; i < n; i += 2) {
		if (strcmp(rest[i], "policy") != 0)
			return cli_usage(cli, "'%s' is unexpected; here may stand: policy KEY=VALUE,...", rest[i]);
		if (i + 1 == n)
			return cli_usage(cli, "policy needs KEY=VALUE,... after it");
		if (o->n_policies == POLICIES)
			return cli_usage(cli, "more than %d policies", POLICIES);
		o->policy[o->n_policies++] = rest[i + 1];
	}
	if (!o->n_policies)
		o->policy[o->n_policies++] = "default";
	return 0;
}

static int options_read(const struct cli *cli, struct options *o)
{
	unsigned long long from = 0;
	double percent = 0;
	int ret = 0;

	o->n_runs = RUNS;
	o->seed_n = 1;
	o->ratio = 1;
	if (o->runs)
		ret = words_number(cli, "runs", o->runs, 1, RUNS_MOST, &o->n_runs);
	if (!ret && o->seed)
		ret = words_number(cli, "seed", o->seed, 0, 1ll << 62, &o->seed_n);
	ret = ret ?: judge_real(cli, "worse", o->worse, 1 - 1e-9, 1e6, &o->ratio);
	ret = ret ?: judge_real(cli, "more", o->more, -1e-9, 100.0001, &percent);
	if (!ret && o->from)
		ret = words_duration(cli, "from", o->from, 0, 30 * 86400 * 1000000000ull, &from);
	o->points = percent / 100;
	o->from_s = (double)from / 1e9;
	return ret;
}

static void runs_text(const json_t *doc)
{
	struct table *t = table_new("", "policy", ">runs", ">succeeded", ">after", ">held", ">rolled back", ">after", ">bad too many");
	const json_t *row;
	size_t i;

	printf("%.4g connections a second, %.4g %% bad; ", field_number(doc, "rate"), field_number(doc, "bad"));
	if (field_true(doc, "equal"))
		puts("canary and stable equal: whoever is rolled back is so by mistake");
	else
		printf("the canary %.4g %% bad from %.0f s on\n", field_number(doc, "canaryBad"), field_number(doc, "from"));
	json_array_foreach(field_list(doc, "policies"), i, row) {
		table_text(t, row, "policy");
		table_count(t, row, "runs");
		table_count(t, row, "succeeded");
		table_seconds(t, row, "succeededAfter");
		table_seconds(t, row, "held");
		table_count(t, row, "rolledBack");
		table_seconds(t, row, "rolledBackAfter");
		table_count(t, row, "excess");
	}
	table_print(t);
	puts("Medians. The rest ran into progressDeadline.");
}

static json_t *row_doc(const char *policy, const struct simulate_summary *s)
{
	return json_pack("{s:s,s:i,s:i,s:i,s:o,s:o,s:o,s:o}", "policy", policy, "runs", s->runs, "succeeded", s->succeeded,
			 "rolledBack", s->rolled_back, "succeededAfter", judge_number(s->succeeded_seconds),
			 "held", judge_number(s->held), "rolledBackAfter", judge_number(s->rolled_back_seconds),
			 "excess", judge_number(s->excess));
}

/* Every policy on the same traffic, with the same seed. */
static int run(const struct cli *cli, const struct options *o, struct simulate_case traffic)
{
	json_t *rows = json_array();
	struct simulate_summary s;
	double worse = fmin(1, traffic.bad * o->ratio + o->points);
	int ret = 0;

	traffic.ratio = o->ratio;
	traffic.points = o->points;
	traffic.from = o->from_s;
	for (unsigned i = 0; i < o->n_policies && !ret; i++) {
		struct simulate_case c = traffic;

		ret = judge_policy(cli, o->policy[i], &c);
		if (!ret && simulate_runs(&c, (unsigned)o->n_runs, (__u64)o->seed_n, &s))
			ret = cli_error(cli, "out of memory");
		if (!ret)
			json_array_append_new(rows, row_doc(o->policy[i], &s));
	}
	if (ret) {
		json_decref(rows);
		return ret;
	}
	return cli_print(cli, json_pack("{s:f,s:f,s:f,s:f,s:b,s:I,s:o}", "rate", traffic.rate, "bad", 100 * traffic.bad,
					"canaryBad", 100 * worse, "from", o->from_s, "equal", worse <= traffic.bad,
					"seed", (json_int_t)o->seed_n, "policies", rows), runs_text);
}

int judge_simulate(struct cli *cli, int argc, char **argv)
{
	struct options o = { .n_policies = 0 };
	struct simulate_case c = simulate_defaults();
	const char *rate = NULL, *bad = NULL;
	const struct word words[] = {
		WORD("rate", "R", &rate), WORD("bad", "PERCENT", &bad), WORD("runs", "N", &o.runs), WORD("seed", "S", &o.seed),
		WORD("worse", "RATIO", &o.worse), WORD("more", "PERCENT", &o.more), WORD("from", "DURATION", &o.from), {}
	};
	char *rest[argc + 1];
	double percent = 0;
	int n = 0, ret;

	ret = words_split(cli, argc, argv, words, rest, &n);
	ret = ret ?: policies_read(cli, rest, n, &o);
	ret = ret ?: options_read(cli, &o);
	ret = ret ?: judge_real(cli, "rate", rate, 0, 1e7, &c.rate);
	ret = ret ?: judge_real(cli, "bad", bad, -1e-9, 100, &percent);
	c.bad = percent / 100;
	return ret ?: run(cli, &o, c);
}

/* The rate and the share of bad ones over all of it. */
static void recorded_means(struct simulate_case *c)
{
	double n = 0, bad = 0, seconds = 0;

	for (size_t i = 0; i < c->n_recorded; i++) {
		n += (double)c->recorded[i].n;
		bad += (double)c->recorded[i].bad;
		seconds += (double)c->recorded[i].seconds;
	}
	c->rate = n / seconds;
	c->bad = n > 0 ? bad / n : 0;
}

int judge_replay(struct cli *cli, int argc, char **argv)
{
	struct options o = { .n_policies = 0 };
	struct simulate_case c = simulate_defaults();
	struct simulate_tick *recorded = NULL;
	const char *service = NULL, *file;
	const struct word words[] = {
		WORD("service", "NAME", &service), WORD("runs", "N", &o.runs), WORD("seed", "S", &o.seed),
		WORD("worse", "RATIO", &o.worse), WORD("more", "PERCENT", &o.more), WORD("from", "DURATION", &o.from), {}
	};
	char *rest[argc + 1];
	int n = 0, ret;

	ret = words_split(cli, argc, argv, words, rest, &n);
	if (ret)
		return ret;
	if (!n)
		return cli_usage(cli, "FILE is missing: samples of a service, from GET /v1/samples");
	file = rest[0];
	ret = policies_read(cli, rest + 1, n - 1, &o);
	ret = ret ?: options_read(cli, &o);
	ret = ret ?: judge_recorded(cli, file, service, &recorded, &c.n_recorded);
	if (!ret) {
		c.recorded = recorded;
		recorded_means(&c);
		ret = run(cli, &o, c);
	}
	free(recorded);
	return ret;
}
