/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Evidence: what the records of the samples ring add up to, per backend and
 * per version.  Records are cumulative; elements may be reused (incarnation)
 * and the datapath may be new, so sums are built from differences.
 */
#ifndef PERCH_AGENT_EVIDENCE_H
#define PERCH_AGENT_EVIDENCE_H

#include <stdbool.h>

#include <perch/abi.h>

#include "../core/judge.h"

/* One arm of a rollout: what was counted since it began. */
struct arm {
	struct judge_counts sum;
	struct judge_counts last;	/* cumulative, as last seen */
};

struct evidence {
	struct perch_counters total;	/* of all backends, gone ones too */
	struct perch_votes *votes;	/* as last seen; NULL: none yet */
	__u64 votes_at;		/* ns: records from before tell less */
	__u64 connections_base;		/* when the split last moved */
};

struct backend_evidence {
	__u32 incarnation;
	__u32 version;		/* element of `versions` */
	bool seen;
	struct perch_counters sum;
};

__u64 counters_connections(const struct perch_counters *c);
__u64 counters_active(const struct perch_counters *c);

/* Take in a backend's record; *ret is what is new in it. */
void backend_evidence_take(struct backend_evidence *b, const struct perch_sample_backend *s,
			   struct perch_counters *ret_new);
void counters_add(struct perch_counters *to, const struct perch_counters *add);

/* Begin an arm at what was last seen of its version. */
void arm_begin(struct arm *a, const struct perch_votes *now);
void arm_take(struct arm *a, const struct perch_votes *now);
/* All that speaks against an arm. */
__u64 arm_bad(const struct arm *a);
/* The limits changed: responses are counted from here. */
void arm_restart_responses(struct arm *a);

#endif
