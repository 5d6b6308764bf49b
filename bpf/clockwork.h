/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel's clockwork, a timer every 10 ms.  It writes cumulative samples
 * of what changed (services in a rollout at the agent's sampleInterval, the
 * rest at 1 Hz), rolls back what an agent that is gone left armed, then walks
 * a part of the flow table and frees what has expired.  It goes in slices: a
 * run ends after PERCH_TIMER_SLICE_NS and the next one goes on.
 */
#ifndef PERCH_BPF_CLOCKWORK_H
#define PERCH_BPF_CLOCKWORK_H

#include "evidence.h"
#include "source.h"

#define CLOCK_MONOTONIC 1
#define SWEEP_RUNS 500		/* timer runs for one walk over the flow table */
#define SLICE_CHECK 64		/* elements between two looks at the clock */
#define TRACE_ALONE_NS 5000000000ll	/* without a heartbeat */
#define VIA_OLD 64		/* route generations until stale vias are cleared; a via
				 * has 8 bits of them, and a walk takes less than 64 */

/* Which services a walk of samples takes. */
enum sample_takes { TAKES_ROLLOUTS = 1, TAKES_OTHERS = 2 };

/* A walk over an array, resumed at `at`. */
struct slice {
	u64 deadline;
	u32 at;
	u32 generation;		/* of the routes, to clear stale vias by */
	u32 entries;		/* sweep: seen in use */
	u32 takes;		/* samples: enum sample_takes */
	bool clearing;
	bool settling;
	bool heavy;		/* the last element took long */
	bool over;		/* the time is up */
};

static __always_inline bool slice_over(struct slice *s)
{
	if (((s->at & (SLICE_CHECK - 1)) == 0 || s->heavy) && bpf_ktime_get_ns() > s->deadline)
		s->over = true;
	s->heavy = false;
	return s->over;
}

/* Also of a service that was taken away: its backends' flows still end. */
static __always_inline bool sample_due(u32 service, const struct slice *s)
{
	struct perch_service *sv = element(services, service);

	return sv && s->takes & (sv->sampling ? TAKES_ROLLOUTS : TAKES_OTHERS);
}

/* A record in the ring or NULL, and then its loss is counted. */
#define SAMPLE_RESERVE(kind_, id_, type)                                       \
	({                                                                     \
		type *_r = bpf_ringbuf_reserve(&samples, sizeof(type), 0);     \
		struct perch_control *_c = element(control, 0);                \
		if (_r)                                                        \
			_r->head = (struct perch_sample_head){                 \
				.kind = kind_, .id = id_, .time = bpf_ktime_get_ns() }; \
		else if (_c)                                                   \
			__sync_fetch_and_add(&_c->samples_lost, 1);            \
		_r;                                                            \
	})

/* Sums `words` counters of one element over the CPUs, one per call. */
struct sum {
	u32 id;
	u64 *to;
};

static long sum_counters(u32 cpu, struct sum *s)
{
	u64 *from = bpf_map_lookup_percpu_elem(&counters, &s->id, cpu);

	if (!from || !s->to)
		return 1;
	for (u32 i = 0; i < sizeof(struct perch_counters) / 8; i++)
		s->to[i] += from[i];
	return 0;
}

static long sum_votes(u32 cpu, struct sum *s)
{
	u64 *from = bpf_map_lookup_percpu_elem(&votes, &s->id, cpu);

	if (!from || !s->to)
		return 1;
	for (u32 i = 0; i < sizeof(struct perch_votes) / 8; i++)
		s->to[i] += from[i];
	return 0;
}

static long sum_reasons(u32 cpu, struct sum *s)
{
	u64 *from = bpf_map_lookup_percpu_elem(&reasons, &s->id, cpu);

	if (!from || !s->to)
		return 1;
	for (u32 i = 0; i < sizeof(struct perch_reason_counts) / 8; i++)
		s->to[i] += from[i];
	return 0;
}

/* A next hop that no packet has asked for through many generations: before
 * they come round again. */
static __always_inline void via_rest(u64 *at, u32 generation)
{
	u64 via = READ(*at);

	if (via && ((generation - perch_via_generation(via)) & 0xff) >= VIA_OLD)
		__sync_val_compare_and_swap(at, via, 0);
}

static long sample_backend(u32 i, struct slice *s)
{
	u32 id = s->at;
	struct perch_backend *k = element(backends, id);
	struct perch_sample_backend *r;
	struct sum sum = { .id = id };

	if (!k || slice_over(s))
		return 1;
	s->at++;
	via_rest(&k->via, s->generation);
	if (!k->dirty || !sample_due(k->service, s))
		return 0;
	r = SAMPLE_RESERVE(PERCH_SAMPLE_BACKEND, id, struct perch_sample_backend);
	if (!r)
		return 0;	/* still dirty: the next turn tries again */
	WRITE(k->dirty, 0);
	barrier();
	r->incarnation = k->incarnation;
	r->version = k->version;
	__builtin_memset(&r->sum, 0, sizeof(r->sum));
	sum.to = (u64 *)&r->sum;
	bpf_loop(constants.cpus, sum_counters, &sum, 0);
	r->sum.ended += READ(k->ended_outside);
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

static long sample_votes(u32 i, struct slice *s)
{
	u32 id = s->at, slot = id & (PERCH_SLOTS - 1);
	struct perch_observed *o = element(observed, id / PERCH_SLOTS);
	struct perch_service *sv;
	struct perch_sample_version *r;
	struct sum sum = { .id = id };

	if (!o || slice_over(s))
		return 1;
	s->at++;
	if (!o->dirty[slot] || !sample_due(o->service, s))
		return 0;
	/* it may have left this element for another one */
	sv = element(services, o->service);
	if (!sv || sv->observed != id / PERCH_SLOTS)
		return 0;
	r = SAMPLE_RESERVE(PERCH_SAMPLE_VERSION, id, struct perch_sample_version);
	if (!r)
		return 0;
	s->heavy = true;	/* hundreds of words from every CPU */
	WRITE(o->dirty[slot], 0);
	barrier();
	r->service = o->service;
	r->slot = slot;
	sum.to = (u64 *)&r->sum;
	for (u32 w = 0; w < sizeof(struct perch_votes) / 8; w++)
		WRITE(sum.to[w], 0);	/* not a memset, which BPF has not */
	bpf_loop(constants.cpus, sum_votes, &sum, 0);
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The dead-man: a service that is armed goes back when nobody watches it. */
GLOBAL int deadman_look(u32 service)
{
	struct perch_split *s = element(splits, service);
	struct perch_control *c = element(control, 0);
	struct plan_now now = {};
	u64 armed = (u64)PERCH_ARMED << 48, limit;

	if (!s || !c || (READ(s->word) & (armed | PERCH_WORD_TWIN)) != armed)
		return 0;
	limit = READ(c->deadman);
	if (!limit || (s64)(bpf_ktime_get_ns() - READ(c->heartbeat)) <= (s64)limit)
		return 0;
	if (plan_read(service, &now) && !(perch_word_epoch(now.word) & 1))
		rollback_fire(s, service, &now.plan, PERCH_BY_DEADMAN);
	return 0;
}

static long sample_service(u32 i, struct slice *s)
{
	u32 id = s->at;
	struct perch_split *split = element(splits, id);
	struct perch_service *sv = element(services, id);
	struct perch_observed *o;
	struct perch_sample_service *r;

	if (!split || !sv || slice_over(s))
		return 1;
	s->at++;
	if (!sv->in_use || !sample_due(id, s))
		return 0;
	deadman_look(id);
	o = element(observed, sv->observed);
	r = SAMPLE_RESERVE(PERCH_SAMPLE_SERVICE, id, struct perch_sample_service);
	if (!r)
		return 0;
	r->word = READ(split->word);
	r->named = READ(split->named);
	r->reflex = o && sv->observed ? READ(o->reflex) : 0;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The last record of a walk wakes the reader. */
static __always_inline void sample_host(struct perch_control *c)
{
	struct perch_sample_host *r = SAMPLE_RESERVE(PERCH_SAMPLE_HOST, 0, struct perch_sample_host);
	struct sum sum = {};

	if (!r)
		return;
	r->samples_lost = READ(c->samples_lost);
	r->events_lost = READ(c->events_lost);
	r->sweep_passes = c->sweep_passes;
	r->tick = c->tick;
	r->timer_generation = c->timer_generation;
	sum.to = (u64 *)&r->reasons;
	for (u32 w = 0; w < sizeof(struct perch_reason_counts) / 8; w++)
		WRITE(sum.to[w], 0);	/* not a memset, which BPF has not */
	bpf_loop(constants.cpus, sum_reasons, &sum, 0);
	bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
}

/* One stretch of the walk over an array; true when it came to the end. */
#define SAMPLE_WALK(cursor, first, entries, fn, s)                             \
	({                                                                     \
		(s)->at = (cursor) ? (cursor) : (first);                       \
		bpf_loop(entries, fn, s, 0);                                   \
		(cursor) = (s)->over ? (s)->at : 0;                            \
		!(s)->over;                                                    \
	})

/* What is due now; each kind has a clock of its own, so that neither interval
 * moves the other. */
static __always_inline u32 sample_takes(struct clockwork *w, struct perch_control *c, u64 now)
{
	u64 interval = READ(c->sample_interval);
	u32 takes = 0;

	if (now - w->sampled >= (interval ? interval : PERCH_SAMPLE_INTERVAL_NS)) {
		w->sampled = now;
		takes |= TAKES_ROLLOUTS;
	}
	if (now - w->sampled_others >= PERCH_SLOW_INTERVAL_NS) {
		w->sampled_others = now;
		takes |= TAKES_OTHERS;
	}
	return takes;
}

static __always_inline void clockwork_sample(struct clockwork *w, struct perch_control *c, u64 now)
{
	struct slice s = { .deadline = now + PERCH_TIMER_SLICE_NS, .generation = READ(c->route_generation) };

	if (!w->sampling) {
		w->takes = sample_takes(w, c, now);
		w->sampling = w->takes ? 1 : 0;
	}
	s.takes = w->takes;
	if (w->sampling == 1 && SAMPLE_WALK(w->backend, 1, constants.backends, sample_backend, &s))
		w->sampling = 2;
	if (w->sampling == 2 && SAMPLE_WALK(w->vote, PERCH_SLOTS, PERCH_OBSERVED * PERCH_SLOTS, sample_votes, &s))
		w->sampling = 3;
	if (w->sampling == 3 && SAMPLE_WALK(w->service, 0, constants.services, sample_service, &s)) {
		sample_host(c);
		w->sampling = 0;
	}
}

/* An expired entry: its slot is taken, its end is told, its slot is freed. */
static __always_inline void sweep_slot(struct perch_flow_set *fs, u32 way, u32 now)
{
	u64 tag = READ(fs->tag[way]);
	u32 class = perch_tag_class(tag), generation = perch_tag_generation(tag) + 1;
	struct perch_flow *f = &fs->flow[way];

	if (!perch_tag_fingerprint(tag) || class == PERCH_BUSY || !flow_expired(tag, now))
		return;
	if (__sync_val_compare_and_swap(&fs->tag[way], tag, perch_tag(0, generation, PERCH_BUSY, now)) != tag)
		return;
	flow_take(f, tag);
	if (flow_unanswered(tag, f->flags, now))
		evidence_connect_failed(f);
	if (flow_counts(class) && !(f->flags & PERCH_FLOW_SETTLED))
		tally_settle(f, false);
	__sync_lock_test_and_set(&fs->tag[way], perch_tag(0, generation, PERCH_FREE, now));
}

/* An alias goes when its flow has gone: its port rests then.  One that has been
 * touched of late may be about to get its flow. */
static __always_inline void sweep_alias(struct perch_flow_set *fs, u32 set, u32 way, u32 now)
{
	struct packet *p = element(scratch, PERCH_HOOKS);
	u64 tag = READ(fs->tag[way]);
	u32 class = perch_tag_class(tag);

	if ((class != PERCH_ALIAS && class != PERCH_ALIAS_NEW) || !p ||
	    flow_age(now, perch_tag_tick(tag)) < SOURCE_REST)
		return;
	p->now = now;
	p->tag = tag;
	p->found_set = set;
	p->found_way = way;
	p->flow.key.client = fs->flow[way].key.client;
	if (!flow_copy(p))
		return;
	if (!flow_follow(p) || flow_expired(p->tag, now) || perch_tag_class(p->tag) == PERCH_CLOSING)
		flow_alias_touch(p, PERCH_CLOSING);
	else
		flow_alias_touch(p, perch_tag_class(p->tag) < PERCH_TCP ? PERCH_ALIAS_NEW : PERCH_ALIAS);
}

/* A next hop of a generation that is about to come round again. */
static __always_inline void sweep_via(struct perch_flow_set *fs, u32 way, u32 generation)
{
	struct perch_flow *f = &fs->flow[way];
	u64 via;

	if (!perch_tag_fingerprint(READ(fs->tag[way])))
		return;
	via = READ(f->via);
	if (via && perch_via_generation(via) != (generation & 0xff))
		__sync_val_compare_and_swap(&f->via, via, 0);
}

/* A connection of a rollout that has not settled. */
static __always_inline void sweep_settle(struct perch_flow_set *fs, u32 way)
{
	struct perch_flow *f = &fs->flow[way];

	if (flow_counts(perch_tag_class(READ(fs->tag[way]))) && !(READ(f->flags) & PERCH_FLOW_SETTLED))
		tally_look(f);
}

static long sweep_comparing(u32 i, bool *any)
{
	struct perch_observed *o = element(observed, i);

	if (o && o->compares)
		*any = true;
	return *any;
}

static long sweep_next(u32 i, struct slice *s)
{
	u32 set = s->at / PERCH_WAYS, way = s->at % PERCH_WAYS;
	struct perch_flow_set *fs = element(flows, set & constants.set_mask);

	if (!fs || slice_over(s))
		return 1;
	s->at++;
	sweep_slot(fs, way, tick_now());
	sweep_alias(fs, set & constants.set_mask, way, tick_now());
	if (perch_tag_fingerprint(READ(fs->tag[way])))
		s->entries++;
	if (s->settling)
		sweep_settle(fs, way);
	if (s->clearing)
		sweep_via(fs, way, s->generation);
	return 0;
}

static __always_inline void clockwork_sweep(struct clockwork *w, struct perch_control *c, u64 now)
{
	u32 slots = (constants.set_mask + 1) * PERCH_WAYS;
	struct slice s = {
		.deadline = now + PERCH_TIMER_SLICE_NS, .at = w->slot, .generation = READ(c->route_generation),
	};
	bool any = false;

	if (!s.at)
		w->clearing = s.generation - w->via_generation >= VIA_OLD;
	if (!s.at && w->clearing)
		w->via_generation = s.generation;
	if (!s.at)
		bpf_loop(PERCH_OBSERVED, sweep_comparing, &any, 0);
	if (!s.at)
		w->settling = any;
	s.clearing = w->clearing;
	s.settling = w->settling;
	bpf_loop(slots / SWEEP_RUNS + 1, sweep_next, &s, 0);
	c->flow_entries_yet += s.entries;
	if (s.at >= slots) {
		s.at = 0;
		WRITE(c->flow_entries, c->flow_entries_yet);
		c->flow_entries_yet = 0;
		c->sweep_passes++;
	}
	w->slot = s.at;
}

static int clockwork_run(void *map, u32 *key, struct clockwork *w)
{
	struct perch_control *c = element(control, 0);
	u64 now = bpf_ktime_get_ns();

	if (!c)
		return 0;
	c->timer_generation = constants.generation;
	c->tick = tick_now();
	if (unlikely(READ(c->tracing)) && (s64)(now - READ(c->heartbeat)) > TRACE_ALONE_NS)
		WRITE(c->tracing, 0);	/* who asked is gone */
	clockwork_sample(w, c, now);
	clockwork_sweep(w, c, now);
	bpf_timer_start(&w->timer, PERCH_TIMER_PERIOD_NS, 0);
	return 0;
}

/* (Re-)arm the timer with this program's callback. */
static __always_inline long clockwork_arm(void)
{
	struct clockwork *w = element(timers, 0);

	if (!w)
		return -1;
	bpf_timer_init(&w->timer, &timers, CLOCK_MONOTONIC);	/* it may be there: -EBUSY */
	bpf_timer_set_callback(&w->timer, clockwork_run);
	return bpf_timer_start(&w->timer, 0, 0);
}

#endif
