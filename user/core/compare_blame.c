/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Leave one out: what speaks against the canary without its worst backend. */
#include <math.h>
#include <string.h>

#include "sequential.h"
#include "compare.h"

_Static_assert((int)COMPARE_GATES == (int)PERCH_BLAME_KINDS, "kinds");

/* The canary's share without a backend that has `part` of it. */
static double share_without(double w, double part)
{
	return w * (1 - part) / (1 - w * part);
}

static __u64 bad_of(const struct perch_tally *t, unsigned bet)
{
	return bet < TRIAL_EVENTS ? t->outcome[bet].bad : t->wait[ledger_gate(bet) - TRIAL_EVENTS].above[ledger_edge(bet)];
}

static const struct compare_epoch *epoch_newest(const struct compare *c)
{
	const struct compare_epoch *newest = &c->epoch[0];

	for (unsigned i = 1; i < PERCH_EPOCHS; i++)
		if (c->epoch[i].epoch && (!newest->epoch || (__s32)(c->epoch[i].epoch - newest->epoch) > 0))
			newest = &c->epoch[i];
	return newest;
}

void compare_blame_block(struct compare *c)
{
	unsigned i = (unsigned)(epoch_newest(c) - c->epoch);
	struct compare_past *p = &c->past[0];

	memmove(&c->past[1], &c->past[0], sizeof(c->past) - sizeof(c->past[0]));
	*p = (struct compare_past){ .epoch = c->epoch[i].epoch, .blame = c->blame };
	for (unsigned b = 0; b < LEDGER_BETS; b++) {
		p->stable[b] = (__u32)bad_of(&c->seen[0].cell[i], b);
		p->canary[b] = (__u32)bad_of(&c->seen[1].cell[i], b);
	}
}

/* A place's part of the canary's bad votes of a gate since then; 0 without any. */
static double part_of(const struct compare *c, unsigned place, unsigned gate, const struct perch_blame *since)
{
	__u64 all = 0;

	for (unsigned p = 0; p < PERCH_BLAMED; p++)
		all += c->blame.bad[p][gate] - since->bad[p][gate];
	return all ? (double)(c->blame.bad[place][gate] - since->bad[place][gate]) / (double)all : 0;
}

struct without {
	unsigned bet, place;
	double ratio, share;	/* the place's, of the canary */
};

static void votes_without(struct bet *b, const struct without *o, double w, double part, __u64 canary, __u64 stable)
{
	bet_votes(b, share_without(w, o->share), o->ratio, (__u64)llround((double)canary * (1 - part)), stable);
}

/* Since the rollout began, each epoch under its share. */
static double without_at_all(const struct compare *c, const struct without *o)
{
	static const struct perch_blame nothing;
	double part = part_of(c, o->place, ledger_gate(o->bet), &nothing);
	struct bet b;

	bet_begin(&b);
	for (unsigned i = 0; i < PERCH_EPOCHS; i++) {
		const struct compare_epoch *e = &c->epoch[i];

		if (e->epoch && e->w > 0 && e->w < 1 && !(e->warming && o->bet >= TRIAL_EVENTS))
			votes_without(&b, o, e->w, part, bad_of(&c->seen[1].cell[i], o->bet), bad_of(&c->seen[0].cell[i], o->bet));
	}
	return bet_log_plain(&b);
}

/* Since a block began, under the share of now. */
static double without_since(const struct compare *c, const struct without *o, const struct compare_past *since)
{
	const struct compare_epoch *e = epoch_newest(c);
	unsigned i = (unsigned)(e - c->epoch);
	bool same = since->epoch == e->epoch;
	struct bet b;

	bet_begin(&b);
	if (e->epoch && e->w > 0 && e->w < 1)
		votes_without(&b, o, e->w, part_of(c, o->place, ledger_gate(o->bet), &since->blame),
			      bad_of(&c->seen[1].cell[i], o->bet) - (same ? since->canary[o->bet] : 0),
			      bad_of(&c->seen[0].cell[i], o->bet) - (same ? since->stable[o->bet] : 0));
	return bet_log_plain(&b);
}

bool compare_worst(const struct compare *c, unsigned gate, const double share[PERCH_BLAMED], struct compare_worst *ret)
{
	struct loss_counts canary, stable;
	unsigned edge = compare_counts(c, gate, &canary, &stable), n = 1;
	struct without o = { .bet = gate < TRIAL_EVENTS ? gate : TRIAL_EVENTS + (gate - TRIAL_EVENTS) * WAIT_EDGES + edge };
	double log_e[1 + COMPARE_PAST];
	__u64 all = 0;

	for (unsigned p = 0; p < PERCH_BLAMED; p++) {
		all += c->blame.bad[p][gate];
		if (c->blame.bad[p][gate] > c->blame.bad[o.place][gate])
			o.place = p;
	}
	if (!all || compare_by_pools(c, gate) || !compare_bet(c, o.bet, &o.ratio))
		return false;
	o.share = share[o.place];
	log_e[0] = without_at_all(c, &o);
	for (unsigned i = 0; i < COMPARE_PAST; i++)
		if (c->past[i].epoch)
			log_e[n++] = without_since(c, &o, &c->past[i]);
	*ret = (struct compare_worst){ o.place, c->blame.bad[o.place][gate], all, sequential_log_mean(log_e, n) };
	return true;
}
