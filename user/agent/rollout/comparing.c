// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Feeds the comparison. */
#include "comparing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/compare.h"
#include "../../datapath/tables.h"
#include "../alarms.h"
#include "../clock.h"
#include "blaming.h"
#include "ledger.h"
#include "pooling.h"

/* What the kernel is to count. */
static void kernel_set(struct agent *a, struct service *s, __u32 since, bool on)
{
	const struct compare *c = s->compare;
	struct comparison k = {
		.since_epoch = since, .canary = s->keep.canary_slot, .on = on && c && c->gates,
		.once = s->model->affinity == PERCH_AFFINITY_CLIENT,
	};

	memset(k.edge, PERCH_NO_EDGE, sizeof(k.edge));
	for (int w = 0; c && w < PERCH_WAITS; w++) {
		memcpy(k.edge[0][w], c->edges[w].stable, sizeof(k.edge[0][w]));
		memcpy(k.edge[1][w], c->edges[w].canary, sizeof(k.edge[1][w]));
	}
	tables_compare(a->tables, s->id, &k);
}

void comparing_begin(struct agent *a, struct service *s, __u32 since)
{
	static const struct perch_votes none;
	const struct perch_votes *history = s->evidence[s->keep.stable_slot].votes;

	free(s->compare);
	s->compare = malloc(sizeof(*s->compare));
	if (s->compare)
		compare_begin(s->compare, &s->model->rollout.compare, s->model->rollout.alpha,
			      history ? history : &none, clock_now());
	ledger_forget(a, s);
	kernel_set(a, s, since, true);
}

unsigned comparing_against(const struct service *s)
{
	int baseline = slot_of_role(s->slot, PERCH_ROLE_BASELINE);

	return s->baseline_share && baseline >= 0 ? (unsigned)baseline : s->keep.stable_slot;
}

/* Of what goes to the canary or to that version. */
static double canary_share(const struct service *s)
{
	__u32 other = s->baseline_share ? s->baseline_share : PERCH_SHARE_ALL - s->canary_share;

	return (double)s->canary_share / (s->canary_share + other);
}

void comparing_step(struct agent *a, struct service *s, bool warming)
{
	if (!s->compare)
		return;
	ledger_keep(a, s);	/* the step takes an old epoch's place */
	compare_step(s->compare, perch_word_epoch(s->word), canary_share(s), comparing_against(s), warming);
}

/* At 0 and at 100 % there is nobody to compare. */
static bool in_comparison(const struct service *s)
{
	double w = canary_share(s);

	return s->compare && s->compare->gates && w > 0 && w < 1;
}

bool comparing_warms(const struct service *s)
{
	return in_comparison(s) && s->model->rollout.compare.warmup;
}

static const struct compare_epoch *epoch_now(const struct service *s)
{
	__u32 epoch = perch_word_epoch(s->word);
	const struct compare_epoch *e = s->compare ? &s->compare->epoch[epoch / 2 % PERCH_EPOCHS] : NULL;

	return e && e->epoch == epoch ? e : NULL;
}

bool comparing_warmed(const struct service *s, __u64 now)
{
	const struct compare_epoch *e = epoch_now(s);

	return e && e->warming && !s->keep.rollout.pending &&
	       now - s->keep.rollout.step_since >= s->model->rollout.compare.warmup;
}

/* Each epoch's votes of whom it is against. */
static int tallies_against(const struct agent *a, const struct service *s, struct perch_tallies *ret)
{
	struct perch_tallies other;
	unsigned read = s->keep.stable_slot;
	int r = tables_tallies(a->tables, s->id, read, ret);

	for (unsigned i = 0; i < PERCH_EPOCHS && !r; i++) {
		const struct compare_epoch *e = &s->compare->epoch[i];

		if (!e->epoch || e->against == s->keep.stable_slot)
			continue;
		if (e->against != read)
			r = tables_tallies(a->tables, s->id, read = e->against, &other);
		ret->cell[i] = other.cell[i];
	}
	return r;
}

/* Of few clients it is worth a line in the history. */
static void ratio_tell(struct agent *a, struct service *s, const char *why)
{
	if (compare_off_alarms(s->compare))
		alarm_raise(a, "sample_ratio", s->name, s->name,
			    "look for what keeps clients from one of the versions; `perch rollout advance` goes on all the same", "%s", why);
	else if (!s->ratio_told)
		agent_emit(a, .kind = "hold", .actor = &actor_judge, .service = s->name, .reason = why);
	s->ratio_told = true;
}

void comparing_look(struct agent *a, struct service *s)
{
	struct perch_tallies stable, canary;
	char why[128];

	if (!s->compare || !s->compare->gates || tallies_against(a, s, &stable) ||
	    tables_tallies(a->tables, s->id, s->keep.canary_slot, &canary))
		return;
	if (compare_block_over(s->compare, clock_now())) {
		ledger_keep(a, s);
		compare_block_next(s->compare);
	}
	tables_blame(a->tables, s->id, &s->compare->blame);
	compare_take(s->compare, &stable, &canary, clock_now());
	pooling_look(a, s);
	blaming_look(a, s);
	if (compare_off(s->compare, why, sizeof(why)))
		ratio_tell(a, s, why);
}

static double per_second(__u64 n, __u64 since, __u64 now)
{
	return now > since ? (double)n * 1e9 / (double)(now - since) : 0;
}

static void warming_up(const struct service *s, struct rollout_input *in)
{
	const struct rollout *r = &s->keep.rollout;
	__u64 spent = in->now > r->step_since ? in->now - r->step_since : 0, whole = s->model->rollout.compare.warmup;

	in->compare_waits = "warming up";
	in->compare_eta = (double)(whole > spent ? whole - spent : 0) / 1e9 +
			  (double)rollout_step_time(r, &s->model->rollout) / 1e9;
}

void comparing_input(struct service *s, struct rollout_input *in, struct compared *said)
{
	const struct rollout *r = &s->keep.rollout;
	const struct model_rollout *policy = &s->model->rollout;
	const struct compare_epoch *e = epoch_now(s);
	struct compare_next next = {
		.share = rollout_next_share(r, policy) / (double)PERCH_SHARE_ALL,
		.rate = per_second(judge_connections(&in->canary) + judge_connections(&in->stable), r->started, in->now),
		.canary_rate = per_second(in->step_connections, r->step_since, in->now),
	};
	bool off;

	in->compare_eta = NAN;
	if (!s->compare || !s->compare->gates || !service_in_rollout(s) || !policy->n_steps)
		return;
	if (s->one_backend[0]) {
		in->outside_waits = s->one_backend;
		in->outside_holds = true;
	} else if (compare_fails(s->compare, said->fails, sizeof(said->fails))) {
		in->compare_fails = said->fails;
	}
	off = compare_off(s->compare, said->waits, sizeof(said->waits));
	if (!off && e && e->warming)
		warming_up(s, in);
	else if (off || (in_comparison(s) && !compare_safe(s->compare, &policy->compare, &next, said->waits,
							   sizeof(said->waits), &in->compare_eta)))
		in->compare_waits = said->waits;
}

void comparing_follow(struct agent *a, struct service *s)
{
	const struct maps *m = &a->datapath.maps;

	if (!service_in_rollout(s) && m->observed[m->services[s->id].observed].compares) {
		kernel_set(a, s, m->observed[m->services[s->id].observed].since_epoch, false);
		alarm_clear(a, "sample_ratio", s->name);
		s->ratio_told = false;
		blaming_end(a, s);
	}
}

void comparing_resume(struct agent *a, struct service *s, bool restored)
{
	__u32 epoch = perch_word_epoch(s->word);

	if (!s->compare) {
		comparing_begin(a, s, epoch);
	} else if (restored) {
		ledger_keep(a, s);
		compare_restart(s->compare, clock_now());
		kernel_set(a, s, epoch, true);
	}
	/* the step's word was written, and the step not kept */
	if (!epoch_now(s))
		comparing_step(a, s, false);
}
