/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Changes by user space between two packets: steps, rollbacks, severs, health,
 * devices, choosers, time.  Most go by the agent's own functions; what those
 * would not do (a plan torn by hand, a lock that is held) is written into the
 * tables.  Numbers of an input mean whatever they come to here, so that any
 * input can be left out of a sequence.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "../../user/core/split.h"
#include "fuzz.h"

#define HOUR 3600000000000ull

static struct maps *maps_of(struct fuzz *z)
{
	return &z->real.lab.datapath.maps;
}

/* One of the backends in use, by any number. */
static __u32 some_backend(struct fuzz *z, __u32 n)
{
	__u32 used = 0;

	for (__u32 id = 1; id < MODEL_BACKENDS; id++)
		used += maps_of(z)->backends[id].state != PERCH_BACKEND_NONE;
	return used ? 1 + n % used : 1;
}

static struct perch_listener *some_listener(struct fuzz *z, __u32 n)
{
	struct perch_listener *l = maps_of(z)->listeners;
	__u32 used = 0;

	for (__u32 id = 1; id < MODEL_LISTENERS; id++)
		used += l[id].in_use;
	n = used ? n % used : 0;
	for (__u32 id = 1; id < MODEL_LISTENERS; id++)
		if (l[id].in_use && !n--)
			return &l[id];
	return &l[1];
}

static int op_step(struct fuzz *z, const struct input *in)
{
	static const __u32 shares[] = { 0, 1, 100, 2500, 5000, 9999, 10000 };
	unsigned service = in->a % MODEL_SERVICES;
	struct perch_split *s = &maps_of(z)->splits[service];
	struct perch_plan plan, twin;
	__u64 word;

	z->share[service] = shares[in->b % 7];
	z->baseline[service] = in->c & 1 ? (PERCH_SHARE_ALL - z->share[service]) / 3 : 0;
	config_plan(z, service, &plan, &twin);
	/* named just now, or longer ago than any drainTimeout */
	return split_step(s, split_word(s), &plan, &twin, PERCH_BY_AGENT,
			  lab_now() / 1000000000 - (in->c & 2 ? 7200 : 0), &word);
}

static int op_rollback(struct fuzz *z, const struct input *in)
{
	struct perch_split *s = &maps_of(z)->splits[in->a % MODEL_SERVICES];

	split_rollback(s, PERCH_BY_DIRECT);
	if (in->b & 1)
		split_named(s, split_word(s), lab_now() / 1000000000);
	return 0;
}

static int op_sever(struct fuzz *z, const struct input *in)
{
	struct perch_version *v = &maps_of(z)->versions[in->a % MODEL_SERVICES * PERCH_SLOTS + in->b % 3];
	__u64 now = lab_now();

	if (in->op == OP_SEVER) {
		version_sever(maps_of(z)->control, v, now);
		return 0;
	}
	version_drain(maps_of(z)->control, v, now, 3600000);
	if (in->c & 1)
		v->drain_at = now - 1;	/* due */
	return 0;
}

static int op_hold(struct fuzz *z, const struct input *in)
{
	const struct tables_hold h = { .backend = some_backend(z, in->a), .held = in->b % 4 };

	if (maps_of(z)->backends[h.backend].state == PERCH_BACKEND_NONE ||
	    !tables_backend_weight(z->real.lab.tables, h.backend))
		return 0;
	return tables_hold(z->real.lab.tables, &h, 1);
}

static int op_state(struct fuzz *z, const struct input *in)
{
	struct perch_backend *b = &maps_of(z)->backends[some_backend(z, in->a)];

	if (b->state != PERCH_BACKEND_NONE)
		b->state = 1 + in->b % 3;
	return 0;
}

static int op_listener(struct fuzz *z, const struct input *in)
{
	struct perch_listener *l = some_listener(z, in->a);
	__u64 now = lab_now();

	if (in->op == OP_LEAVE)
		l->leaving = in->b % 3 == 0;
	else
		l->adopt_until = in->b % 3 == 0 ? 0 : in->b % 3 == 1 ? now - 1 : now + HOUR;
	return 0;
}

static int op_policy(struct fuzz *z, const struct input *in)
{
	struct perch_service *s = &maps_of(z)->services[in->a % MODEL_SERVICES];

	switch (in->b % 4) {
	case 0:
		s->affinity = in->c % 2;
		break;
	case 1:
		s->established = in->c % 3;
		break;
	case 2:
		s->stable_down = in->c % 2;
		break;
	default:
		s->choosers = in->c % 8;
	}
	return 0;
}

/* Time goes by: in the kernel's table and in the model's. */
static int op_age(struct fuzz *z, const struct input *in)
{
	static const __u32 seconds[] = { 0, 1, 3, 7, 11, 31, 121, 7201 };
	/* or a little less than none: another CPU's clock is ahead */
	__u32 s = seconds[in->a % 8], ticks = s ? s * FUZZ_TICKS : in->b % 5 - 1;
	const struct maps *m = maps_of(z);

	for (__u32 i = 0; i < m->control->flow_sets * PERCH_WAYS; i++) {
		__u64 *tag = &m->flows[i / PERCH_WAYS].tag[i % PERCH_WAYS];
		struct perch_flow *f = &m->flows[i / PERCH_WAYS].flow[i % PERCH_WAYS];

		if (!perch_tag_fingerprint(*tag))
			continue;
		*tag = (*tag & ~0xffffffull) | ((*tag - ticks) & 0xffffff);
		if (f->key.alias != PERCH_ALIAS_SOURCE)
			f->created -= s * 1000000000ull;
		if (f->request_at)
			f->request_at = (f->request_at - (__u32)(s * 1000000000ull >> 10)) | 1;
	}
	model_age(&z->model, ticks, s * 1000000000ull);
	return 0;
}

static int op_device(struct fuzz *z, const struct input *in)
{
	static const __u32 mtus[] = { 1500, 1500, 1500, 1280, 1400, 600, 576, 68 };
	struct perch_device *d = maps_of(z)->devices;
	__u32 ifindex = in->a & 1 ? z->real.lab.client.ifindex : z->real.lab.backend.ifindex;
	bool on = in->c % 6;

	for (__u32 i = 1; i < PERCH_DEVICES; i++) {
		if (!d[i].in_use || d[i].ifindex != ifindex)
			continue;
		switch (in->b % 4) {
		case 0:
			d[i].xmit = on;
			break;
		case 1:
			d[i].attached = on;
			maps_of(z)->control->route_generation++;
			break;
		case 2:
			d[i].decap = on;
			break;
		default:
			d[i].mtu = mtus[in->c % 8];
			break;
		}
	}
	return 0;
}

/* Of what is told of packets that are too big, this second. */
static int op_tokens(struct fuzz *z, const struct input *in)
{
	maps_of(z)->control->too_big_tokens = lab_now() / 1000000000 << 32 | (in->b % 4 ? 0 : PERCH_TOO_BIG_RATE - in->a % 4);
	return 0;
}

static int op_local(struct fuzz *z, const struct input *in)
{
	maps_of(z)->backends[some_backend(z, in->a)].local = in->b % 3 == 0;
	return 0;
}

static __u8 some_target(__u32 n)
{
	static const __u8 target[] = {
		PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE, PERCH_ROLE_PREVIOUS,
		PERCH_TARGET_SLOT | 0, PERCH_TARGET_SLOT | 1, PERCH_TARGET_SLOT | 5,
	};

	return target[n % sizeof(target)];
}

static int op_pin(struct fuzz *z, const struct input *in)
{
	const struct conn *c = &z->conn[in->a % FUZZ_CONNS];
	struct model_pin *p = &z->model.pin[z->model.pins];
	__u64 now = lab_now();

	if (z->model.pins == MODEL_PINS)
		return 0;
	*p = (struct model_pin){ .key = { .client = c->client, .service = c->service } };
	if (lab_is_v6(&c->client))
		p->key.client.word[2] = p->key.client.word[3] = 0;
	p->pin.target = some_target(in->b);
	p->pin.until = in->c % 3 == 0 ? 0 : in->c % 3 == 1 ? now - 1 : now + HOUR;
	for (unsigned i = 0; i < z->model.pins; i++)
		if (!memcmp(&z->model.pin[i].key, &p->key, sizeof(p->key))) {
			z->model.pin[i].pin = p->pin;
			return bpf_map_update_elem(maps_of(z)->pins_fd, &p->key, &p->pin, BPF_ANY);
		}
	z->model.pins++;
	return bpf_map_update_elem(maps_of(z)->pins_fd, &p->key, &p->pin, BPF_ANY);
}

static int op_rule(struct fuzz *z, const struct input *in)
{
	const struct conn *c = &z->conn[in->a % FUZZ_CONNS];
	__u32 bits = lab_is_v6(&c->client) ? in->c % 129 : 96 + in->c % 33;
	struct model_prefix r = { .key = { .prefix = 32 + bits, .service = c->service, .source = c->client },
				.target = some_target(in->b) };

	for (__u32 bit = bits; bit < 128; bit++)
		((__u8 *)&r.key.source)[bit / 8] &= ~(0x80 >> bit % 8);
	for (unsigned i = 0; i < z->model.rules; i++)
		if (!memcmp(&z->model.rule[i].key, &r.key, sizeof(r.key)))
			return 0;
	if (z->model.rules == MODEL_RULES)
		return 0;
	z->model.rule[z->model.rules++] = r;
	return bpf_map_update_elem(maps_of(z)->rules_fd, &r.key, &r.target, BPF_ANY);
}

static int op_mark(struct fuzz *z, const struct input *in)
{
	maps_of(z)->marks[in->a % MODEL_SERVICES].target[in->b % 64] = in->c % 4 ? some_target(in->c) : 0;
	return 0;
}

/* Another CPU that holds a stripe's lock, and one that lets it go. */
static int op_lock(struct fuzz *z, const struct input *in)
{
	const struct conn *c = &z->conn[in->a % FUZZ_CONNS];
	__u32 stripe = model_place(&z->model, &c->client, htons(c->client_port), c->protocol).stripe;
	struct perch_stripe s = { 0 };

	for (__u32 i = 0; i < PERCH_STRIPES; i++)
		if (z->model.locked[i]) {
			z->model.locked[i] = false;
			return bpf_map_update_elem(maps_of(z)->stripes_fd, &i, &s, BPF_ANY);
		}
	s.lock = 1;
	z->model.locked[stripe] = true;
	return bpf_map_update_elem(maps_of(z)->stripes_fd, &stripe, &s, BPF_ANY);
}

/* The plan in force under another epoch, and back: half of a step. */
static int op_tear(struct fuzz *z, const struct input *in)
{
	struct perch_split *s = &maps_of(z)->splits[in->a % MODEL_SERVICES];
	struct perch_plan *plan = &s->plan[perch_word_plan(s->word) % (2 * PERCH_PAIRS)];

	plan->epoch = plan->epoch == perch_word_epoch(s->word) ? plan->epoch + 2 : perch_word_epoch(s->word);
	return 0;
}

static int op_observe(struct fuzz *z, const struct input *in)
{
	const struct perch_service *s = &maps_of(z)->services[in->a % MODEL_SERVICES];
	struct perch_observed *o = &maps_of(z)->observed[s->observed];

	if (!s->observed)
		return 0;
	o->reflex_limit = in->b % 4 ? 1 + in->b % 4 : 0;
	o->since_epoch = in->c % 8 ? 0 : perch_word_epoch(maps_of(z)->splits[in->a % MODEL_SERVICES].word) + 2;
	return 0;
}

/* Two FINs that crossed on two CPUs, each not seen by the other's packet. */
static int op_cross(struct fuzz *z, const struct input *in)
{
	struct perch_flow_set *real = maps_of(z)->flows;
	__u32 slots = z->model.n_sets * PERCH_WAYS;

	for (__u32 n = 0; n < slots; n++) {
		__u32 i = (in->a + n) % slots, set = i / PERCH_WAYS, way = i % PERCH_WAYS;

		if (!perch_tag_fingerprint(real[set].tag[way]) || perch_tag_class(real[set].tag[way]) != PERCH_TCP)
			continue;
		real[set].flow[way].flags |= PERCH_FLOW_FIN_CLIENT | PERCH_FLOW_FIN_BACKEND;
		z->model.sets[set].flow[way].flags = real[set].flow[way].flags;
		return 0;
	}
	return 0;
}

static int op_generation(struct fuzz *z, const struct input *in)
{
	maps_of(z)->control->route_generation++;
	return 0;
}

static int op_backends(struct fuzz *z, const struct input *in)
{
	/* three times in four all, so that something lives */
	__u32 variant = in->c % 4 ? ~0u : in->b;
	int err = config_apply(z, in->a % MODEL_SERVICES, variant);

	return err == -EAGAIN ? 0 : err;
}

/* A slice that names backends which there are none of. */
static int op_slice(struct fuzz *z, const struct input *in)
{
	struct maps *m = maps_of(z);
	__u64 slice = m->versions[in->a % MODEL_SERVICES * PERCH_SLOTS + in->b % 3].slice[in->c & 1];
	__u16 *entry = &m->slices[0].backend[0] + perch_slice_offset(slice);

	for (__u32 i = in->c % 4; in->c % 5 == 0 && i < perch_slice_length(slice); i += 4)
		entry[i] = MODEL_BACKENDS + in->b % 1000;
	return 0;
}

static void nap(void)
{
	const struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
}

static bool same_words(struct fuzz *z)
{
	for (unsigned i = 0; i < MODEL_SERVICES; i++)
		if (__atomic_load_n(&maps_of(z)->splits[i].word, __ATOMIC_ACQUIRE) != z->model.t.split[i].word)
			return false;
	return true;
}

/* The agent is gone, and some of its services are armed. */
static int op_deadman(struct fuzz *z, const struct input *in)
{
	struct maps *m = maps_of(z);
	int err;

	for (unsigned i = 0; i < MODEL_SERVICES; i++)
		if (in->a >> i & 1)
			m->splits[i].word |= (__u64)PERCH_ARMED << 48;
	m->control->deadman = 1;
	model_sync(&z->model, m);
	err = real_start_clockwork(&z->real);
	model_deadman(&z->model, z->real.began, z->real.began);
	/* a busy machine takes its time; who does not come is a difference */
	for (int ms = 0; !err && ms < 3000 && (ms < 20 || !same_words(z)); ms++)
		nap();
	real_stop_clockwork(&z->real);
	m->control->deadman = 0;
	model_swept(&z->model, m, z->real.began, z->real.ended);
	return err;
}

static int op_sweep(struct fuzz *z, const struct input *in)
{
	int err = real_start_clockwork(&z->real);

	for (int ms = 0; !err && ms < 60; ms++)
		nap();
	real_stop_clockwork(&z->real);
	model_swept(&z->model, maps_of(z), z->real.began, z->real.ended);
	return err;
}

static const struct {
	const char *name;
	int (*apply)(struct fuzz *z, const struct input *in);
} ops[OPS] = {
	[OP_STEP] = { "step", op_step },
	[OP_ROLLBACK] = { "rollback", op_rollback },
	[OP_SEVER] = { "sever", op_sever },
	[OP_DRAIN] = { "drain", op_sever },
	[OP_HOLD] = { "hold", op_hold },
	[OP_APPLY] = { "backends", op_backends },
	[OP_STATE] = { "state", op_state },
	[OP_LEAVE] = { "leave", op_listener },
	[OP_ADOPT] = { "adopt", op_listener },
	[OP_POLICY] = { "policy", op_policy },
	[OP_AGE] = { "age", op_age },
	[OP_DEVICE] = { "device", op_device },
	[OP_TOKENS] = { "tokens", op_tokens },
	[OP_GENERATION] = { "generation", op_generation },
	[OP_LOCAL] = { "local", op_local },
	[OP_PIN] = { "pin", op_pin },
	[OP_RULE] = { "rule", op_rule },
	[OP_MARK] = { "mark", op_mark },
	[OP_LOCK] = { "lock", op_lock },
	[OP_TEAR] = { "tear", op_tear },
	[OP_OBSERVE] = { "observe", op_observe },
	[OP_CROSS] = { "cross", op_cross },
	[OP_SLICE] = { "slice", op_slice },
	[OP_DEADMAN] = { "deadman", op_deadman },
	[OP_SWEEP] = { "sweep", op_sweep },
};

int op_apply(struct fuzz *z, const struct input *in)
{
	int err = ops[in->op].apply(z, in);

	if (err)
		fprintf(stderr, "fuzz: %s %u %u %u: %s\n", ops[in->op].name, in->a, in->b, in->c, strerror(-err));
	/* what the sweeper does is the kernel's, and compared */
	if (in->op != OP_SWEEP && in->op != OP_DEADMAN)
		model_sync(&z->model, maps_of(z));
	return err;
}

const char *op_name(enum op op)
{
	return ops[op].name;
}
