/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns how user space reads the flow table while the kernel writes it: the
 * tag before, the entry, the tag after; an entry counts as whole when the
 * tag's identity (fingerprint and generation) has not moved meanwhile.  And
 * the end of severed flows that send nothing themselves, and of flows that are
 * left to the stack.
 */
#include "flows.h"

#include <string.h>

#include <netinet/in.h>

#include "reset.h"

#define READ_TRIES 4
#define TICK_MASK 0xffffff
#define OVER_MS 1000		/* a last ACK may still be under way */
#define TOLD_BOTH (PERCH_FLOW_TOLD_CLIENT | PERCH_FLOW_TOLD_BACKEND)

/* An alias leads to a flow that is an entry of its own, and so does what leads
 * its fragments. */
static bool flow_is_connection(const struct perch_flow_key *k)
{
	return !k->alias && !(k->protocol & PERCH_KEY_FRAGMENTS);
}

static bool tag_live(__u64 tag)
{
	__u32 class = perch_tag_class(tag);

	return perch_tag_fingerprint(tag) && class != PERCH_FREE && class != PERCH_BUSY;
}

/* A tick ahead of now is age 0: clocks of two CPUs are not one. */
static __u32 tick_age_ms(const struct perch_control *c, __u64 tag)
{
	__u32 now = __atomic_load_n(&c->tick, __ATOMIC_RELAXED);
	__u32 age = (now - perch_tag_tick(tag)) & TICK_MASK;

	if (age > TICK_MASK / 2 || !c->hz)
		return 0;
	return ((__u64)age << c->tick_shift) * 1000 / c->hz;
}

static void entry_copy(struct perch_flow *to, struct perch_flow *from)
{
	__u64 word[sizeof(*to) / 8] = { 0 };

	for (size_t i = 0; i < sizeof(*to) / 8; i++)
		word[i] = __atomic_load_n((__u64 *)from + i, __ATOMIC_RELAXED);
	memcpy(to, word, sizeof(*to));
}

/* A whole copy of one way; false when nothing lives there, or when it changes
 * hands faster than we read. */
static bool flow_read(const struct maps *m, struct perch_flow_set *set, unsigned way, struct flow_copy *ret, __u64 *ret_tag)
{
	for (int i = 0; i < READ_TRIES; i++) {
		__u64 tag = __atomic_load_n(&set->tag[way], __ATOMIC_ACQUIRE), after;

		if (!tag_live(tag))
			return false;
		entry_copy(&ret->flow, &set->flow[way]);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(&set->tag[way], __ATOMIC_RELAXED);
		if (!tag_live(after) || (tag ^ after) & PERCH_TAG_IDENTITY)
			continue;
		ret->class = perch_tag_class(after);
		ret->idle_ms = tick_age_ms(m->control, after);
		*ret_tag = after;
		return true;
	}
	return false;
}

size_t flows_walk(const struct maps *m, bool (*fn)(void *arg, const struct flow_copy *f), void *arg)
{
	struct flow_copy copy;
	size_t seen = 0;
	__u64 tag;

	for (__u32 set = 0; set < m->control->flow_sets; set++) {
		for (unsigned way = 0; way < PERCH_WAYS; way++) {
			if (!flow_read(m, &m->flows[set], way, &copy, &tag) || !flow_is_connection(&copy.flow.key))
				continue;
			seen++;
			if (!fn(arg, &copy))
				return seen;
		}
	}
	return seen;
}

/* An entry that leads others there is nobody's; of one that is closing only
 * its key tells. */
static bool tag_is_connection(const struct perch_flow_set *set, unsigned way, __u64 tag)
{
	__u32 class = perch_tag_class(tag);

	return class != PERCH_ALIAS && class != PERCH_ALIAS_NEW && class != PERCH_FRAGMENTS &&
	       !(class == PERCH_CLOSING && __atomic_load_n(&set->flow[way].key.alias, __ATOMIC_RELAXED));
}

size_t flows_count(const struct maps *m, size_t by_class[16])
{
	size_t seen = 0;

	if (by_class)
		memset(by_class, 0, 16 * sizeof(*by_class));
	for (__u32 set = 0; set < m->control->flow_sets; set++) {
		for (unsigned way = 0; way < PERCH_WAYS; way++) {
			__u64 tag = __atomic_load_n(&m->flows[set].tag[way], __ATOMIC_RELAXED);

			if (!tag_live(tag) || !tag_is_connection(&m->flows[set], way, tag))
				continue;
			seen++;
			if (by_class)
				by_class[perch_tag_class(tag)]++;
		}
	}
	return seen;
}

static bool flow_severed(const struct maps *m, const struct perch_flow *f, __u64 now)
{
	const struct perch_version *v = &m->versions[m->backends[f->backend].version];

	return f->created < __atomic_load_n(&v->sever_before, __ATOMIC_RELAXED) ||
	       (f->created < __atomic_load_n(&v->drain_before, __ATOMIC_RELAXED) &&
		__atomic_load_n(&v->drain_at, __ATOMIC_RELAXED) <= now);
}

/* Has it an end that is to be told?  A handshake has not; what was reset has
 * been told by one of them. */
static bool flow_tellable(const struct maps *m, const struct flow_copy *c)
{
	const struct perch_flow *f = &c->flow;

	return f->key.protocol == IPPROTO_TCP && !f->key.alias &&
	       (c->class == PERCH_TCP || c->class == PERCH_ONE_SIDED || c->class == PERCH_CLOSING) &&
	       (f->flags & TOLD_BOTH) != TOLD_BOTH && !(f->flags & PERCH_FLOW_RESET) &&
	       f->backend < m->control->backends_n && f->key.listener < m->control->listeners_n;
}

/* The tag's swap was ours: the flow has ended, and user space counts it. */
static void flow_ended(const struct maps *m, __u16 backend)
{
	struct perch_backend *b = &m->backends[backend];

	__atomic_fetch_add(&b->ended_outside, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&b->dirty, 1, __ATOMIC_RELEASE);
}

/*
 * Close the entry and mark both ends as told; *ret_told is who had been.  The
 * tag goes first, by compare-and-swap, as in the kernel: the slot is then at
 * rest for a while and nobody's victim when the mark is written.  Should it
 * have changed hands all the same, the mark is taken back: false.
 */
static bool flow_close(const struct maps *m, struct perch_flow_set *set, unsigned way, const struct flow_copy *c, __u64 tag,
		       __u32 *ret_told)
{
	__u32 tick = __atomic_load_n(&m->control->tick, __ATOMIC_RELAXED), mark = PERCH_FLOW_SEVERED | TOLD_BOTH, old;
	__u64 closing = perch_tag(perch_tag_fingerprint(tag), perch_tag_generation(tag), PERCH_CLOSING, tick);

	if (!__atomic_compare_exchange_n(&set->tag[way], &tag, closing, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	if (c->class != PERCH_CLOSING)
		flow_ended(m, c->flow.backend);
	old = __atomic_fetch_or(&set->flow[way].flags, mark, __ATOMIC_ACQ_REL);
	*ret_told = old & TOLD_BOTH;
	if (!((__atomic_load_n(&set->tag[way], __ATOMIC_ACQUIRE) ^ closing) & PERCH_TAG_IDENTITY))
		return true;
	__atomic_fetch_and(&set->flow[way].flags, ~(mark & ~old), __ATOMIC_RELAXED);
	return false;
}

const struct perch_address *flows_source(const struct maps *m, const struct perch_flow *f)
{
	unsigned service = m->backends[f->backend].service;

	if (!(f->flags & PERCH_FLOW_FULLNAT) || service >= m->control->services)
		return &f->key.client;
	return &m->sources[service].address[perch_flow_source(f->flags)];
}

/* What can't be sent is not sent again: an end without a route hears nothing,
 * and whoever speaks next is answered by the kernel.  A backend that knows its
 * connection by the listener's address is not reached from here: it hears of
 * the end from its client, whose RST goes on to it. */
static void flow_tell(const struct maps *m, const struct perch_flow *f, __u32 told, const struct reset *r)
{
	const struct perch_backend *b = &m->backends[f->backend];
	struct reset_end client = { f->key.client, f->key.client_port };
	struct reset_end listener = { m->listeners[f->key.listener].address, f->key.port };
	struct reset_end source = { *flows_source(m, f), f->translated ?: f->key.client_port };
	struct reset_end backend = { b->address, b->port ?: f->key.port };

	/* 0: the backend has not been heard, so nobody knows its numbers. */
	if (f->backend_next && !(told & PERCH_FLOW_TOLD_CLIENT))
		reset_send(r, &listener, &client, f->backend_next, f->client_next);
	if (!(told & PERCH_FLOW_TOLD_BACKEND) && !perch_one_sided(b->forward))
		reset_send(r, &source, &backend, f->client_next, f->backend_next);
}

static bool flow_sever(const struct maps *m, struct perch_flow_set *set, unsigned way, __u64 now, const struct reset *r)
{
	struct flow_copy c;
	__u32 told;
	__u64 tag;

	for (int i = 0; i < READ_TRIES; i++) {
		if (!flow_read(m, set, way, &c, &tag) || !flow_tellable(m, &c) || !flow_severed(m, &c.flow, now))
			return false;
		if (flow_close(m, set, way, &c, tag, &told)) {
			flow_tell(m, &c.flow, told, r);
			return told != TOLD_BOTH;
		}
	}
	return false;
}

int flows_sever(const struct maps *m, __u64 now_ns)
{
	struct reset r;
	int told = 0, err;

	err = reset_open(&r);
	if (err)
		return err;
	for (__u32 set = 0; set < m->control->flow_sets; set++)
		for (unsigned way = 0; way < PERCH_WAYS; way++)
			told += flow_sever(m, &m->flows[set], way, now_ns, &r);
	reset_close(&r);
	return told;
}

static __u32 timeout_s(enum perch_class class)
{
#define X(c, seconds) [c] = (seconds),
	static const __u16 timeouts[] = { PERCH_TIMEOUTS(X) };
#undef X

	return class < sizeof(timeouts) / sizeof(timeouts[0]) ? timeouts[class] : 0;
}

/* Nobody will send on it, or nobody would be heard. */
static bool flow_over(const struct flow_copy *c)
{
	return c->idle_ms / 1000 >= timeout_s(c->class) || (c->class == PERCH_CLOSING && c->idle_ms >= OVER_MS);
}

/* Element of `services`, or one behind the last. */
static unsigned flow_service(const struct maps *m, const struct flow_copy *c)
{
	unsigned none = m->control->services;
	unsigned service = c->flow.backend < m->control->backends_n ? m->backends[c->flow.backend].service : none;

	return service < none ? service : none;
}

struct left {
	const struct maps *m;
	size_t *by_service;
	size_t n;
};

static bool flow_count_left(void *arg, const struct flow_copy *c)
{
	struct left *left = arg;
	unsigned service = flow_service(left->m, c);

	if (flow_over(c) || service == left->m->control->services)
		return true;
	left->n++;
	if (left->by_service)
		left->by_service[service]++;
	return true;
}

size_t flows_left(const struct maps *m, size_t *by_service)
{
	struct left left = { .m = m, .by_service = by_service };

	flows_walk(m, flow_count_left, &left);
	return left.n;
}

/* As flow_close, but of an age at which the entry is no more.  What leads to a
 * flow goes with it: it was never counted, and neither is what is closing. */
static bool flow_lapse(const struct maps *m, struct perch_flow_set *set, unsigned way, unsigned service)
{
	const struct perch_control *control = m->control;
	__u32 age = ((timeout_s(PERCH_CLOSING) + 1) * control->hz >> control->tick_shift) + 1, tick;
	struct flow_copy c;
	__u64 tag, lapsed;

	for (int i = 0; i < READ_TRIES; i++) {
		if (!flow_read(m, set, way, &c, &tag) || flow_service(m, &c) != service)
			return false;
		tick = __atomic_load_n(&control->tick, __ATOMIC_RELAXED) - age;
		lapsed = perch_tag(perch_tag_fingerprint(tag), perch_tag_generation(tag), PERCH_CLOSING, tick);
		if (!__atomic_compare_exchange_n(&set->tag[way], &tag, lapsed, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		if (c.class != PERCH_CLOSING && flow_is_connection(&c.flow.key))
			flow_ended(m, c.flow.backend);
		return flow_is_connection(&c.flow.key);
	}
	return false;
}

size_t flows_lapse(const struct maps *m, unsigned service)
{
	size_t n = 0;

	for (__u32 set = 0; set < m->control->flow_sets; set++)
		for (unsigned way = 0; way < PERCH_WAYS; way++)
			n += flow_lapse(m, &m->flows[set], way, service);
	return n;
}
