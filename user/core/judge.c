/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the gates say.  A gate has two voices: proof, which rolls back, and
 * the plain share of bad connections on enough data, which only keeps the
 * canary from going on.
 */
#include <math.h>

#include "judge.h"
#include "sequential.h"

/* Bad connections that a share at its limit would have made before the share
 * alone, without proof, is believed of stable. */
#define STABLE_EXPECTED 5.0

/* A limit of 0 % or 100 % leaves no alternative to bet on. */
#define LIMIT_LEAST 1e-9

const char *judge_verdict_name(enum judge_verdict v)
{
	static const char *const names[] = {
		[JUDGE_INCONCLUSIVE] = "inconclusive", [JUDGE_PASS] = "pass",
		[JUDGE_FAIL] = "fail", [JUDGE_BLIND] = "blind",
	};

	return v < sizeof(names) / sizeof(*names) ? names[v] : "unknown";
}

/* The kernel counts response times against limits in the order of the gates;
 * which of them is gate g's? */
static unsigned limit_index(const struct model_rollout *policy, unsigned g)
{
	unsigned index = 0;

	for (unsigned i = 0; i < g; i++)
		index += policy->gate[i].signal == MODEL_RESPONSE_TIME;
	return index;
}

static bool is_blind(const struct model_rollout *policy, unsigned g)
{
	const struct model_gate *gate = &policy->gate[g];

	return gate->signal >= MODEL_SIGNALS ||
	       (gate->signal == MODEL_RESPONSE_TIME && limit_index(policy, g) >= PERCH_LIMITS);
}

void judge_gate_counts(const struct model_rollout *policy, unsigned g, const struct judge_counts *c,
		       __u64 *ret_bad, __u64 *ret_n)
{
	__u64 bad = 0, n = 0;

	if (!is_blind(policy, g)) {
		switch (policy->gate[g].signal) {
		case MODEL_CONNECT_FAILURE:
			bad = c->connect_failures;
			n = c->connects;
			break;
		case MODEL_RESET:
			bad = c->resets;
			n = c->established;
			break;
		default:
			bad = c->over[limit_index(policy, g)];
			n = c->responders;
		}
	}
	/* two counters of one connection may fall into two samples */
	*ret_bad = bad < n ? bad : n;
	*ret_n = n;
}

/*
 * Does stable itself break the limit?  Proven, or for a share little above
 * the limit, where proof is slow, by the plain share once the limit would
 * have allowed a few bad connections.
 */
static bool stable_fails(double limit, double alpha, __u64 bad, __u64 n)
{
	if (sequential_exceedance(limit, bad, n) >= -log(alpha))
		return true;
	return limit * (double)n >= STABLE_EXPECTED && (double)bad > limit * (double)n;
}

/* All of a gate but what needs the others: its evidence and its lesser
 * verdict. */
static void look_at(struct judge_gate *gate, const struct model_rollout *policy, unsigned g,
		    const struct judge_counts *canary, const struct judge_counts *stable)
{
	double max = policy->gate[g].max, limit = fmin(fmax(max, LIMIT_LEAST), 1 - LIMIT_LEAST);
	__u64 bad, n, stable_bad, stable_n;
	bool enough;

	judge_gate_counts(policy, g, canary, &bad, &n);
	judge_gate_counts(policy, g, stable, &stable_bad, &stable_n);
	enough = n && n >= policy->min_connections;
	*gate = (struct judge_gate){
		.stable_fails = stable_fails(limit, policy->alpha, stable_bad, stable_n),
		.over_limit = enough && (double)bad > max * (double)n,
		.log_e = sequential_exceedance(limit, bad, n),
	};
	gate->verdict = enough && !gate->over_limit && !gate->stable_fails ? JUDGE_PASS : JUDGE_INCONCLUSIVE;
}

/*
 * What a gate gives to the average.  While stable fails it too, or a person
 * took it out, at most 1:
 * lowering a gate's evidence, whenever and for whatever reason, keeps the
 * average below a true e-process, so that the bound of alpha holds.
 */
static double contribution(const struct judge_gate *gate)
{
	return gate->stable_fails || gate->skipped ? fmin(gate->log_e, 0) : gate->log_e;
}

/* The average is over 1/alpha, so at least one of its gates is: name the
 * strongest, mark all. */
static void mark_failed(struct judge *j, double threshold)
{
	double worst = -INFINITY;

	for (unsigned g = 0; g < j->n; g++) {
		struct judge_gate *gate = &j->gate[g];

		if (gate->verdict == JUDGE_BLIND || gate->stable_fails || gate->skipped || gate->log_e < threshold)
			continue;
		gate->verdict = JUDGE_FAIL;
		if (gate->log_e > worst) {
			worst = gate->log_e;
			j->fails = g + 1;
		}
	}
}

void judge_look(struct judge *j, const struct model_rollout *policy, __u32 skipped, const struct judge_counts *canary,
		const struct judge_counts *stable)
{
	double log_e[MODEL_GATES];
	unsigned seeing = 0;

	*j = (struct judge){ .n = policy->n_gates < MODEL_GATES ? policy->n_gates : MODEL_GATES };
	for (unsigned g = 0; g < j->n; g++) {
		if (is_blind(policy, g)) {
			j->gate[g].verdict = JUDGE_BLIND;
			continue;
		}
		look_at(&j->gate[g], policy, g, canary, stable);
		if (skipped >> g & 1) {
			j->gate[g].skipped = 1;
			j->gate[g].over_limit = 0;
			j->gate[g].verdict = JUDGE_INCONCLUSIVE;
		}
		log_e[seeing++] = contribution(&j->gate[g]);
	}
	j->log_e = sequential_log_mean(log_e, seeing);
	if (j->log_e >= -log(policy->alpha))
		mark_failed(j, -log(policy->alpha));
}
