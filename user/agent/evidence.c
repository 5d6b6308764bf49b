// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Differences of cumulative records. */
#include "evidence.h"

#include <string.h>

__u64 counters_connections(const struct perch_counters *c)
{
	return c->opened + c->unlearned;
}

__u64 counters_active(const struct perch_counters *c)
{
	/* two sums over CPUs that are not read at one instant */
	return c->opened > c->ended ? c->opened - c->ended : 0;
}

/* What came since `before`; a counter that went back began anew. */
static __u64 counter_since(__u64 now, __u64 before)
{
	return now >= before ? now - before : now;
}

static void counters_since(struct perch_counters *ret, const struct perch_counters *now,
			   const struct perch_counters *before)
{
	ret->opened = counter_since(now->opened, before->opened);
	ret->ended = counter_since(now->ended, before->ended);
	ret->unlearned = counter_since(now->unlearned, before->unlearned);
	ret->packets = counter_since(now->packets, before->packets);
	ret->bytes = counter_since(now->bytes, before->bytes);
	ret->connect_failures = counter_since(now->connect_failures, before->connect_failures);
	ret->resets = counter_since(now->resets, before->resets);
	ret->reserved = 0;
}

void counters_add(struct perch_counters *to, const struct perch_counters *add)
{
	to->opened += add->opened;
	to->ended += add->ended;
	to->unlearned += add->unlearned;
	to->packets += add->packets;
	to->bytes += add->bytes;
	to->connect_failures += add->connect_failures;
	to->resets += add->resets;
}

void backend_evidence_take(struct backend_evidence *b, const struct perch_sample_backend *s,
			   struct perch_counters *ret_new)
{
	static const struct perch_counters zero;
	bool same = b->seen && b->incarnation == s->incarnation;

	counters_since(ret_new, &s->sum, same ? &b->sum : &zero);
	b->seen = true;
	b->incarnation = s->incarnation;
	b->version = s->version;
	b->sum = s->sum;
}

static void counts_of(struct judge_counts *c, const struct perch_votes *v)
{
	c->connects = v->connects;
	c->connect_failures = v->connect_failures;
	c->established = v->established;
	c->resets = v->resets;
	c->responders = v->responders;
	memcpy(c->over, v->over, sizeof(c->over));
	c->udp_flows = v->udp_flows;
}

void arm_begin(struct arm *a, const struct perch_votes *now)
{
	memset(&a->sum, 0, sizeof(a->sum));
	counts_of(&a->last, now);
}

void arm_take(struct arm *a, const struct perch_votes *votes)
{
	struct judge_counts now;

	counts_of(&now, votes);
	/* one counter that went back means that all did */
	if (judge_connections(&now) < judge_connections(&a->last) || now.responders < a->last.responders)
		memset(&a->last, 0, sizeof(a->last));
	a->sum.connects += counter_since(now.connects, a->last.connects);
	a->sum.connect_failures += counter_since(now.connect_failures, a->last.connect_failures);
	a->sum.established += counter_since(now.established, a->last.established);
	a->sum.resets += counter_since(now.resets, a->last.resets);
	a->sum.responders += counter_since(now.responders, a->last.responders);
	for (unsigned i = 0; i < PERCH_LIMITS; i++)
		a->sum.over[i] += counter_since(now.over[i], a->last.over[i]);
	a->sum.udp_flows += counter_since(now.udp_flows, a->last.udp_flows);
	a->last = now;
}

__u64 arm_bad(const struct arm *a)
{
	__u64 bad = a->sum.connect_failures + a->sum.resets;

	for (unsigned i = 0; i < PERCH_LIMITS; i++)
		bad += a->sum.over[i];
	return bad;
}

void arm_restart_responses(struct arm *a)
{
	a->sum.responders = 0;
	memset(a->sum.over, 0, sizeof(a->sum.over));
}
