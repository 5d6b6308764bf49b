// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel's side of the race for the flow table: the datapath's own find,
 * insert and touch on few keys in few sets, from every CPU that runs it.
 * Each insertion carries a number of its own, repeated over the entry, and
 * each operation leaves a record of what it saw and when.
 */
#include "common.h"

/* Where the table's code orders its accesses it is held up now and then, so
 * that others get in between; likewise within the writing of an entry. */
static long spin(u32 i, u64 *x)
{
	*x += i;
	return 0;
}

static __always_inline void delay(void)
{
	u32 random = bpf_get_prandom_u32();
	u64 x = 0;

	if (!(random & 63))
		bpf_loop(random >> 8 & 255, spin, &x, 0);
	asm volatile("" ::: "memory");
}

#undef barrier
#define barrier() delay()
#undef WRITE
#define WRITE(x, v) do { *(volatile typeof(x) *)&(x) = (v); delay(); } while (0)

#include "clockwork.h"
#include "enter.h"
#include "race_flows.h"

const volatile __u32 keys = 48;
const volatile __u32 operations = 1 << 19;	/* per run and CPU */
__u32 serial[RACE_CPUS];
struct race_counts seen[RACE_CPUS];
/* the stack has no room for packets below three calls */
static struct packet packets[RACE_CPUS];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct race_record);
} records SEC(".maps");

static __always_inline void stamp(struct perch_flow *f, u32 nonce)
{
	f->backend = 1;
	f->translated = f->key.client_port;
	f->epoch = nonce;
	f->via = (u64)nonce << 32 | nonce;
	f->created = ~f->via;
	f->client_next = nonce * 2654435761u;
	f->backend_next = ~f->client_next;
}

static __always_inline bool whole(const struct perch_flow *f)
{
	u64 twice = (u64)f->epoch << 32 | f->epoch;

	return f->backend == 1 && f->translated == f->key.client_port && f->via == twice && f->created == ~twice &&
	       f->client_next == f->epoch * 2654435761u && f->backend_next == ~f->client_next;
}

static __always_inline int enter(struct packet *p, u32 cpu, u32 nonce)
{
	struct perch_counters *c = element(counters, 1);
	int r;

	stamp(&p->flow, nonce);
	r = flow_insert(p, PERCH_EMBRYONIC);
	if (r == FLOW_INSERTED) {
		seen[cpu].inserted++;
		if (c)
			c->opened++;
		return RACE_INSERTED;
	}
	if (r == FLOW_LATE) {
		seen[cpu].late++;
		return RACE_FOUND;
	}
	if (r == FLOW_BUSY)
		seen[cpu].busy++;
	else
		seen[cpu].full++;
	return RACE_REFUSED;
}

/* The new one takes the place of the old, unless another CPU was there first. */
static __always_inline int replace(struct packet *p, u32 cpu, u32 nonce)
{
	int kind = enter(p, cpu, nonce);

	return kind == RACE_REFUSED ? RACE_NOT_REPLACED : kind;
}

/* A hit: the flow lives on, closes, or is replaced by a new one. */
static __always_inline int hit(struct packet *p, u32 cpu, u32 nonce, u32 random)
{
	struct perch_flow *f;
	bool changed;

	seen[cpu].found++;
	if (flow_expired(p->tag, p->now))
		return replace(p, cpu, nonce);
	if (!(random & 0x70) && perch_tag_class(p->tag) == PERCH_CLOSING) {
		p->replace = 1;
		return replace(p, cpu, nonce);
	}
	f = flow_touch(p, random & 0x700 ? PERCH_EMBRYONIC : PERCH_CLOSING, &changed);
	if (!f)
		seen[cpu].moved++;
	return RACE_FOUND;
}

/* The sweeper, at work in the middle of it. */
GLOBAL int sweep(u32 random, u32 now)
{
	struct perch_flow_set *fs = element(flows, random & constants.set_mask);

	if (fs)
		sweep_slot(fs, random >> 24 & (PERCH_WAYS - 1), now);
	return 0;
}

static long operate(u32 i, u32 *cpu_at)
{
	u32 cpu = *cpu_at & (RACE_CPUS - 1), random = bpf_get_prandom_u32();
	u32 key = (random >> 12) % keys, nonce = cpu << 31 | ++serial[cpu], kind;
	struct packet *p = &packets[cpu];
	struct race_record *r = element(records, cpu * operations + i);
	u64 begin = bpf_ktime_get_ns();

	if (!r)
		return 1;
	__builtin_memset(p, 0, sizeof(*p));
	p->way = WAY_FORWARD;
	p->protocol = IPPROTO_TCP;
	p->destination.word[3] = RACE_LISTENER;
	p->flow.key.client.word[3] = key;
	p->flow.key.client_port = key;
	p->flow.key.port = bpf_htons(80);
	p->flow.key.listener = 1;
	p->flow.key.protocol = IPPROTO_TCP;
	p->now = begin >> 10 & 0xffffff;	/* quick ticks: entries expire and rest within the race */
	if (!(random & 0xf000000f))
		sweep(bpf_get_prandom_u32(), p->now);
	flow_place(p);
	kind = flow_find(p) ? hit(p, cpu, nonce, random) : enter(p, cpu, nonce);
	if (kind == RACE_FOUND && !whole(&p->flow))
		seen[cpu].torn++;
	*r = (struct race_record){ begin, bpf_ktime_get_ns(), key, p->flow.epoch, kind, 0 };
	return 0;
}

SEC("xdp")
int race(struct xdp_md *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();

	bpf_loop(operations, operate, &cpu, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
