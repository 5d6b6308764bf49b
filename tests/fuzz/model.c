/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The order in which the model decides: ours? understood? where to (find.c)?
 * the next hop; and only what will leave changes anything.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

void count(struct model *m, enum perch_reason reason)
{
	m->outcome.reason[reason]++;
}

void touched(struct model *m, const struct perch_flow_set *set)
{
	struct model_outcome *o = &m->outcome;
	__u32 n = set - m->sets;

	for (unsigned i = 0; i < o->sets; i++)
		if (o->set[i] == n)
			return;
	if (o->sets < sizeof(o->set) / sizeof(o->set[0]))
		o->set[o->sets++] = n;
}

bool is_past(struct model *m, __u64 when, bool or_now)
{
	bool before = or_now ? m->run->began >= when : m->run->began > when;
	bool after = or_now ? m->run->ended >= when : m->run->ended > when;

	m->outcome.unsure |= before != after;
	return after;
}

/* A severed flow is over, and its sender told, unless that is this host. */
static int end(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);

	if (p->alias.set && p->class != PERCH_CLOSING)
		table_touch_alias(m, p->alias, PERCH_CLOSING);
	else if (p->class != PERCH_CLOSING)
		full_release(m, p);
	table_touch(m, p->at, PERCH_CLOSING);
	f->flags |= PERCH_FLOW_SEVERED;
	if (m->run->hook != PERCH_HOOK_TC_OUT)
		f->flags |= p->reply ? PERCH_FLOW_TOLD_BACKEND : PERCH_FLOW_TOLD_CLIENT;
	return p->flags & TCP_RST ? PERCH_R_SEVERED_DROP : PERCH_R_SEVERED;
}

/* A first packet. */
static int begin(struct model *m, struct seen *p)
{
	bool keeps = is_tcp(p) && (p->flags & TCP_RST);	/* a RST begins nothing */
	enum entered entered = ENTERED_NOT_FULL;

	if (p->later)
		return PERCH_R_UNLEARNED;	/* without ports it begins nothing */
	choose_tell(m, p);
	if (keeps)
		return p->both ? PERCH_R_NOT_OURS : PERCH_R_UNLEARNED;
	p->flow.flags |= hop_up(p->via) ? PERCH_FLOW_UP : 0;
	entered = table_enter(m, p);
	if (entered == ENTERED) {
		p->flow = *slot_flow(p->at);
		m->counters[p->flow.backend].opened++;
		if (!is_tcp(p))
			witness_udp(m, slot_flow(p->at));
		return PERCH_R_NEW;
	}
	if (!p->both || entered != ENTERED_NOT_ALIAS)
		count(m, entered == ENTERED_NOT_BUSY ? PERCH_R_LOCK_BUSY :
			 entered == ENTERED_NOT_ALIAS ? PERCH_R_NO_ALIAS : PERCH_R_TABLE_FULL);
	if (p->both)
		return PERCH_R_NO_SOURCE;	/* nothing would come back to it */
	if (!is_tcp(p) || (p->flags & TCP_SYN))
		m->counters[p->flow.backend].unlearned++;
	return PERCH_R_UNLEARNED;
}

static int carry_out(struct model *m, struct seen *p)
{
	struct perch_counters *c = &m->counters[p->flow.backend];
	int reason;

	if (p->answer)
		return p->at.set ? end(m, p) : PERCH_R_STABLE_DOWN;
	if (p->at.set) {
		if (p->later)
			pieces_follow(m, p);
		else
			states_follow(m, p);
		reason = p->reply ? PERCH_R_REPLY : PERCH_R_FORWARDED;
	} else {
		reason = begin(m, p);
	}
	if (reason == PERCH_R_NO_SOURCE || reason == PERCH_R_NOT_OURS)
		return reason;
	c->packets += p->segments;
	c->bytes += p->length;
	if (reason == PERCH_R_NEW || p->first)
		pieces_expect(m, p);
	return reason;
}

static void leave(struct model *m, const struct seen *p, int reason)
{
	struct model_outcome *o = &m->outcome;
	bool egress = m->run->hook == PERCH_HOOK_TC_OUT;

	o->rewritten = true;
	if (p->answer) {
		o->verdict = egress ? MODEL_DROP : MODEL_SEND;
		if (!egress)
			write_answer(m, p);
		return;
	}
	/* the super-packets of a test run are of no kind, and the kernel makes no
	 * room in such */
	if (perch_tunnels(p->forward) && m->run->gso_size && !hop_up(p->via)) {
		count(m, PERCH_R_REWRITE_FAILED);
		o->verdict = MODEL_DROP;
		return;
	}
	o->verdict = egress || hop_up(p->via) ? MODEL_PASS : MODEL_SEND;
	/* where nothing is translated, neither is a quote */
	if (reason == PERCH_R_ICMP && !perch_one_sided(p->forward))
		write_error(m, p);
	else
		write_packet(m, p);
}

static void settle(struct model *m, const struct seen *p, int reason)
{
	struct model_outcome *o = &m->outcome;

	count(m, reason);
	o->last = reason;
	o->backend = p->flow.backend < MODEL_BACKENDS ? p->flow.backend : 0;
	switch (reason) {
	case PERCH_R_FORWARDED:
	case PERCH_R_NEW:
	case PERCH_R_UNLEARNED:
	case PERCH_R_REPLY:
	case PERCH_R_ICMP:
	case PERCH_R_SEVERED:
	case PERCH_R_STABLE_DOWN:
		o->out = &m->out;
		leave(m, p, reason);
		return;
	case PERCH_R_UNPACKED:
		o->out = &m->out;
		o->rewritten = true;
		return;
	case PERCH_R_TOO_BIG_TOLD:
		o->out = &m->out;
		o->rewritten = true;
		o->verdict = MODEL_SEND;
		return;
	case PERCH_R_SEVERED_DROP:
	case PERCH_R_STABLE_DOWN_DROP:
	case PERCH_R_NO_SOURCE:
	case PERCH_R_TOO_BIG_DROP:
		o->verdict = MODEL_DROP;
		return;
	default:
		o->verdict = MODEL_PASS;
	}
}

/* Nobody is there, to a SYN whose number the error knows: the connect failed. */
static void refuse(struct model *m, struct seen *p)
{
	__u32 had = p->flow.flags;

	if (!p->refuses || !p->reply || !is_tcp(p) || p->class != PERCH_EMBRYONIC)
		return;
	if (p->seq + 1 != p->flow.client_next || (had & (PERCH_FLOW_ANSWERED | PERCH_FLOW_UNANSWERED)))
		return;
	table_touch(m, p->at, PERCH_CLOSING);
	if (p->alias.set)
		table_touch_alias(m, p->alias, PERCH_CLOSING);
	slot_flow(p->at)->flags |= PERCH_FLOW_RESET;
	if (!(had & PERCH_FLOW_RESET))
		witness_failed(m, &p->flow);
}

/* An ICMP error goes where the answer to what it quotes would go.  It enters
 * nothing and ends nothing, and the end of a connection is not its business. */
static int step_error(struct model *m, struct seen *p)
{
	int r = quote_read(m, p);

	if (r == UNDERSTOOD) {
		r = find(m, p);
		if (r == PERCH_R_SEVERED_DROP || r == PERCH_R_STABLE_DOWN_DROP || (r == ON && p->answer))
			r = PERCH_R_NOT_OURS;
		if (r == ON && p->both && !p->at.set)
			r = PERCH_R_PROTOCOL;	/* the flow alone knows its source */
		if (r == ON)
			r = hop_way(m, p);
	}
	if (r != ON)
		return quote_tunnel(m, p, r);
	refuse(m, p);
	return PERCH_R_ICMP;
}

static int step_packet(struct model *m, struct seen *p, int r)
{
	if (r == UNDERSTOOD)
		r = find(m, p);
	if (r == ON)
		r = hop_find(m, p);
	if (r == PERCH_R_TOO_BIG)
		r = toobig_tell(m, p);
	return r == ON ? carry_out(m, p) : r;
}

const struct model_outcome *model_step(struct model *m, const struct model_run *run)
{
	struct seen p = { .service = PERCH_NO_SERVICE };
	int r;

	m->run = run;
	m->outcome = (struct model_outcome){ .out = run->in, .hook = run->hook };
	r = read_packet(m, &p);
	r = r == PERCH_R_PROTOCOL && read_is_icmp(&p) ? step_error(m, &p) : unpack(m, &p, step_packet(m, &p, r));
	settle(m, &p, r);
	return &m->outcome;
}

int model_open(struct model *m, const struct maps *maps)
{
	memset(m, 0, sizeof(*m));
	m->n_sets = maps->control->flow_sets;
	m->sets = calloc(m->n_sets, sizeof(*m->sets));
	if (!m->sets)
		return -ENOMEM;
	model_sync(m, maps);
#define X(class, seconds) m->timeout[class] = ((__u64)(seconds) * m->t.control.hz >> m->t.control.tick_shift) + 1;
	PERCH_TIMEOUTS(X)
#undef X
	m->timeout[PERCH_BUSY] = ~0u;
	return 0;
}

void model_close(struct model *m)
{
	free(m->sets);
}

void model_sync(struct model *m, const struct maps *maps)
{
	struct model_tables *t = &m->t;

	t->control = *maps->control;
	memcpy(t->listener, maps->listeners, sizeof(t->listener));
	memcpy(t->service, maps->services, sizeof(t->service));
	memcpy(t->split, maps->splits, sizeof(t->split));
	memcpy(t->version, maps->versions, sizeof(t->version));
	memcpy(t->backend, maps->backends, sizeof(t->backend));
	memcpy(t->device, maps->devices, sizeof(t->device));
	memcpy(t->observed, maps->observed, sizeof(t->observed));
	memcpy(t->mark, maps->marks, sizeof(t->mark));
	memcpy(t->source, maps->sources, sizeof(t->source));
	t->slices = maps->slices;
	t->filter = maps->filter;
}

void model_reset(struct model *m)
{
	memset(m->sets, 0, m->n_sets * sizeof(*m->sets));
	memset(m->counters, 0, sizeof(m->counters));
	memset(m->votes, 0, sizeof(m->votes));
	memset(m->locked, 0, sizeof(m->locked));
}

void model_age(struct model *m, __u32 ticks, __u64 ns)
{
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		__u64 *tag = &m->sets[i / PERCH_WAYS].tag[i % PERCH_WAYS];
		struct perch_flow *f = &m->sets[i / PERCH_WAYS].flow[i % PERCH_WAYS];

		if (!perch_tag_fingerprint(*tag))
			continue;
		*tag = (*tag & ~0xffffffull) | ((*tag - ticks) & 0xffffff);
		if (f->key.alias != PERCH_ALIAS_SOURCE)
			f->created -= ns;
		if (f->request_at)
			f->request_at = (f->request_at - (__u32)(ns >> 10)) | 1;
	}
}
