/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's evidence: counters of backends, votes of observed services, and
 * the reflex, which rolls a canary back after a streak of failed connects.
 */
#include <netinet/in.h>

#include "parts.h"

#define STABLE_LEAST 10		/* answers of stable since the streak began, */
#define STABLE_PART 4		/* and at most one failure for each four */
#define CLIENTS_LEAST 3		/* bits that the streak's clients set, of 16 */

struct streak {
	__u16 failed, ok, bad, clients;
};

static __u16 up(__u16 n)
{
	return n == 0xffff ? n : n + 1;
}

static struct streak streak_of(__u64 word)
{
	return (struct streak){ word, word >> 16, word >> 32, word >> 48 };
}

static __u64 streak_word(struct streak s)
{
	return s.failed | (__u64)s.ok << 16 | (__u64)s.bad << 32 | (__u64)s.clients << 48;
}

static unsigned bits_in(__u32 v)
{
	unsigned n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

/* Which of the 16 bits a client sets: its address, of IPv6 the /64. */
static unsigned client_bit(const struct model *m, const struct perch_flow *f)
{
	const __u32 *w = f->key.client.word;
	bool v4 = !w[0] && !w[1];

	return hash_scramble(((__u64)w[1] << 32 | w[0]) + (v4 ? w[3] : 0) + m->t.control.secret[3]) >> 4 & 15;
}

static struct streak streak_next(struct streak s, bool canary, bool failed, unsigned bit)
{
	if (canary && !failed)
		return (struct streak){ 0 };
	if (canary) {
		if (!s.failed)
			s = (struct streak){ 0 };
		s.failed = up(s.failed);
		s.clients |= 1u << bit;
	} else if (s.failed && failed) {
		s.bad = up(s.bad);
	} else if (s.failed) {
		s.ok = up(s.ok);
	}
	return s;
}

static void raise(__u64 *at, __u64 to)
{
	if (*at < to)
		*at = to;
}

/* The times that the real rollback wrote lie within the run; compare.c sees to
 * that.  Here they are when it began. */
static void established_after(struct model *m, const struct perch_service *s, struct perch_version *v)
{
	bool open = v->drain_before > v->sever_before;

	if (s->established == PERCH_SEVER) {
		raise(&v->sever_before, m->run->began);
	} else if (s->established == PERCH_DRAIN) {
		if (!open || v->drain_at <= m->run->began) {
			if (open)
				raise(&v->sever_before, v->drain_before);
			raise(&v->drain_at, m->run->began + s->drain_ms * 1000000ull);
		}
		raise(&v->drain_before, m->run->began);
	}
}

/* A rollback by the kernel, when there is a stable version to go back to. */
static bool fire(struct model *m, __u32 service, const struct perch_plan *plan, enum perch_word_flag by)
{
	struct perch_split *s = &m->t.split[service];
	__u64 twin = s->word | PERCH_WORD_TWIN | (__u64)(by | PERCH_ROLLED_BACK) << 48;

	if (!version_lives(m, service * PERCH_SLOTS + plan->rest % PERCH_SLOTS))
		return false;
	s->word = twin;
	if ((__s32)(perch_word_epoch(twin) - (s->named >> 32)) > 0)
		s->named = (__u64)perch_word_epoch(twin) << 32 | (__u32)(m->run->began / 1000000000);
	established_after(m, &m->t.service[service], &m->t.version[service * PERCH_SLOTS + plan->low % PERCH_SLOTS]);
	m->outcome.fired[by == PERCH_BY_DEADMAN]++;
	return true;
}

void model_deadman(struct model *m, __u64 began, __u64 ended)
{
	const struct model_run run = { .began = began, .ended = ended };
	struct perch_plan plan;

	m->run = &run;
	for (__u32 i = 0; i < MODEL_SERVICES; i++) {
		__u64 word = m->t.split[i].word;

		if ((perch_word_flags(word) & PERCH_ARMED) && !(perch_word_epoch(word) & 1) &&
		    !(perch_word_plan(word) & 1) && plan_of(m, i, &plan))
			fire(m, i, &plan, PERCH_BY_DEADMAN);
	}
	m->run = NULL;
}

static void vote(struct model *m, const struct perch_flow *f, bool failed)
{
	const struct perch_backend *k = &m->t.backend[f->backend];
	struct perch_observed *o = &m->t.observed[k->observed];
	struct perch_plan plan;
	struct streak s;
	__u8 role;

	if (!o->reflex_limit || (!o->reflex && !failed))
		return;
	if (!plan_of(m, k->service, &plan) || (perch_word_epoch(m->t.split[k->service].word) & 1) || !plan.low_end)
		return;
	role = plan.role[k->version % PERCH_SLOTS];
	if (role != PERCH_ROLE_CANARY && role != PERCH_ROLE_STABLE)
		return;
	s = streak_next(streak_of(o->reflex), role == PERCH_ROLE_CANARY, failed, client_bit(m, f));
	o->reflex = streak_word(s);
	if (s.failed >= o->reflex_limit && s.ok >= STABLE_LEAST && s.bad * STABLE_PART <= s.ok &&
	    bits_in(s.clients) >= CLIENTS_LEAST && fire(m, k->service, &plan, PERCH_BY_REFLEX))
		o->reflex = 0;
}

/* The votes of a flow's version; NULL: nobody observes it. */
static struct model_votes *votes_of(struct model *m, const struct perch_flow *f)
{
	const struct perch_backend *k = &m->t.backend[f->backend];

	return k->observed ? &m->votes[k->observed * PERCH_SLOTS + k->version % PERCH_SLOTS] : NULL;
}

/* Did the hash choose it, in this rollout? */
static bool counts(struct model *m, const struct perch_flow *f)
{
	const struct perch_observed *o = &m->t.observed[m->t.backend[f->backend].observed];

	return votes_of(m, f) && (f->flags & PERCH_FLOW_VOTES) && (__s32)(f->epoch - o->since_epoch) >= 0;
}

void witness_failed(struct model *m, const struct perch_flow *f)
{
	m->counters[f->backend].connect_failures++;
	if (!counts(m, f))
		return;
	votes_of(m, f)->connects++;
	votes_of(m, f)->connect_failures++;
	vote(m, f, true);
}

void witness_answered(struct model *m, const struct perch_flow *f)
{
	struct model_votes *v = votes_of(m, f);

	if (v)
		v->connect_times++;
	if (!counts(m, f))
		return;
	v->connects++;
	vote(m, f, false);
}

void witness_established(struct model *m, const struct perch_flow *f)
{
	if (counts(m, f))
		votes_of(m, f)->established++;
}

void witness_reset(struct model *m, const struct perch_flow *f)
{
	m->counters[f->backend].resets++;
	if (counts(m, f))
		votes_of(m, f)->resets++;
}

void witness_udp(struct model *m, const struct perch_flow *f)
{
	if (counts(m, f))
		votes_of(m, f)->udp_flows++;
}

/* Once that it responds, once per limit that it was slower than. */
void witness_response(struct model *m, const struct perch_flow *before, struct perch_flow *f, __u32 us)
{
	const struct perch_observed *o = &m->t.observed[m->t.backend[f->backend].observed];
	struct model_votes *v = votes_of(m, before);

	if (v)
		v->response_times++;
	if (!counts(m, before))
		return;
	v->responders += !perch_flow_turned(f->flags);
	for (unsigned i = 0; i < o->limits && i < PERCH_LIMITS; i++) {
		if (us <= o->limit_us[i] || (f->flags & PERCH_FLOW_OVER << i))
			continue;
		f->flags |= PERCH_FLOW_OVER << i;
		v->over[i]++;
	}
}

bool witness_observed(struct model *m, const struct perch_flow *f)
{
	return votes_of(m, f);
}

/* As a connection ends, its longest wait is told, with what is pending. */
void witness_settled(struct model *m, struct perch_flow *f)
{
	struct model_votes *v = votes_of(m, f);
	bool settled = f->flags & PERCH_FLOW_SETTLED;

	if (!v)
		return;
	f->flags |= PERCH_FLOW_SETTLED;
	if (settled || (f->key.protocol == IPPROTO_TCP && !(f->flags & PERCH_FLOW_ANSWERED)))
		return;
	v->longest_waits += f->request_at || perch_flow_turned(f->flags);
}
