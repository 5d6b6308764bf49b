/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The judge: what the gates of a policy say to the evidence of a canary and
 * of stable.  Absolute gates: exact exceedance counts against their limit
 * (sequential_exceedance), averaged into one E so that one alpha holds for
 * all of them; inconclusive while stable fails the same gate.
 */
#ifndef PERCH_CORE_JUDGE_H
#define PERCH_CORE_JUDGE_H

#include "model.h"

/* Voting connections of one arm, as differences since the rollout began. */
struct judge_counts {
	__u64 connects, connect_failures;
	__u64 established, resets;
	__u64 responders, over[PERCH_LIMITS];
	__u64 udp_flows;
};

/* How many connections there were to judge by. */
static inline __u64 judge_connections(const struct judge_counts *c)
{
	return c->connects + c->udp_flows;
}

enum judge_verdict { JUDGE_INCONCLUSIVE, JUDGE_PASS, JUDGE_FAIL, JUDGE_BLIND };
const char *judge_verdict_name(enum judge_verdict v);	/* "pass" */

struct judge_gate {
	__u8 verdict;		/* enum judge_verdict */
	__u8 stable_fails;	/* so the gate can't tell the canary from it */
	__u8 over_limit;	/* on enough data, though not proven */
	__u8 skipped;		/* a person took it out */
	__u8 zero[4];
	double log_e;		/* running, of the canary */
};

struct judge {
	__u32 n;
	__u32 fails;		/* index + 1 of the gate that failed */
	double log_e;		/* of the average */
	struct judge_gate gate[MODEL_GATES];
};

/* Counts that gate g of the policy uses: bad of n. */
void judge_gate_counts(const struct model_rollout *policy, unsigned g, const struct judge_counts *c,
		       __u64 *ret_bad, __u64 *ret_n);
/* Look at all gates.  Sets verdicts and fails when the average E >= 1/alpha
 * (the worst gate is then named).  skipped: a bit for each gate that counts for
 * nothing: it keeps its share of alpha and gives no evidence. */
void judge_look(struct judge *j, const struct model_rollout *policy, __u32 skipped, const struct judge_counts *canary,
		const struct judge_counts *stable);

#endif
