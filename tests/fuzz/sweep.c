/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's sweeper: of what the real one has come to, what it may do.  It
 * frees what is expired, lets aliases be what their flows are, and forgets next
 * hops of old.
 */
#include "table.h"

/* A next hop of another route generation is none, kept or not. */
static void via_swept(const struct model *m, __u64 *via, __u64 real)
{
	if (!real && *via && !hop_cached(m, *via))
		*via = 0;
}

static void slot_swept(struct model *m, struct slot s, __u64 real)
{
	__u64 old = *slot_tag(s);
	struct perch_flow ended = *slot_flow(s);

	if (!perch_tag_fingerprint(old) || !tag_expired(m, old) || perch_tag_class(real) != PERCH_FREE)
		return;
	if (is_going_on(old))
		flow_over(m, slot_flow(s)->backend);
	if (is_unanswered(m, old, slot_flow(s)))
		witness_failed(m, slot_flow(s));
	if (is_going_on(old))
		witness_settled(m, &ended);
	*slot_tag(s) = perch_tag(0, perch_tag_generation(old) + 1, PERCH_FREE, m->now);
}

/* An alias that nobody has used for a second is what its flow is, when the walk
 * has come by. */
static void alias_swept(struct model *m, struct slot s, __u64 real)
{
	__u64 old = *slot_tag(s);
	__u32 class = perch_tag_class(old);
	struct slot flow;

	if ((class != PERCH_ALIAS && class != PERCH_ALIAS_NEW) || real == old || age_of(m, old) < ALIAS_RESTS)
		return;
	flow = follow(m, slot_flow(s));
	class = flow.set && !tag_expired(m, *slot_tag(flow)) ? perch_tag_class(*slot_tag(flow)) : PERCH_CLOSING;
	table_touch_alias(m, s, class);
}

void model_swept(struct model *m, const struct maps *real, __u64 began, __u64 ended)
{
	const struct model_run run = { .began = began, .ended = ended, .told = real->flows };

	m->run = &run;
	for (__u32 i = 0; i < m->n_sets * PERCH_WAYS; i++) {
		__u32 set = i / PERCH_WAYS, way = i % PERCH_WAYS;

		slot_swept(m, (struct slot){ &m->sets[set], way }, real->flows[set].tag[way]);
		alias_swept(m, (struct slot){ &m->sets[set], way }, real->flows[set].tag[way]);
		via_swept(m, &m->sets[set].flow[way].via, real->flows[set].flow[way].via);
	}
	for (__u32 id = 1; id < MODEL_BACKENDS; id++)
		via_swept(m, &m->t.backend[id].via, real->backends[id].via);
	m->run = NULL;
}
