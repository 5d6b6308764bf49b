/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The contract between the programs in the kernel and everything in user
 * space: limits, maps, structures, words and reasons.  It is the only header
 * that both sides include; the flow table, flow.h, and what the kernel tells,
 * evidence.h, are parts of their own.  Every structure that crosses the line has its size asserted; a
 * change of any of them is a new PERCH_ABI_VERSION.
 *
 * Conventions.  Addresses are 16 bytes in network order, IPv4 as
 * ::ffff:a.b.c.d.  Ports are in network order where the type is __be16.
 * Times are CLOCK_MONOTONIC: nanoseconds (ns), or ticks of 1 << tick_shift
 * jiffies (about 16 ms) in flow tags.  Shares are in units of 0.01 %.
 */
#ifndef PERCH_ABI_H
#define PERCH_ABI_H

#include <linux/types.h>

#define PERCH_ABI_VERSION 6

/* Limits.  Table sizes marked (load) may be set smaller or larger when the
 * object is loaded; MOST is what the types leave room for. */
#define PERCH_NAME_LEN 64	/* names, with their final 0 */
#define PERCH_SERVICES 1024	/* (load) */
#define PERCH_SERVICES_MOST 16384
#define PERCH_NO_SERVICE 0xffff
#define PERCH_SLOTS 8		/* versions of one service that are loaded */
#define PERCH_LISTENERS 4096	/* (load); 0 is none */
#define PERCH_LISTENERS_MOST 65536
#define PERCH_BACKENDS 4096	/* (load); 0 is none */
#define PERCH_BACKENDS_MOST 65536
#define PERCH_DEVICES 256	/* 0 is none, the last one stands for the stack */
#define PERCH_OBSERVED 64	/* services with votes and histograms; 0 is none */
#define PERCH_SLICE_WORDS 65536	/* (load) Maglev entries / PERCH_SLICE_WIDTH */
#define PERCH_SLICE_WIDTH 32
#define PERCH_FLOWS 1048576	/* (load) entries; a power of two, 1024 at least */
#define PERCH_WAYS 8
#define PERCH_STRIPES 256
#define PERCH_FILTER_BITS (1u << 19)
#define PERCH_PAIRS 4		/* plans with their twins per service */
#define PERCH_SHARE_ALL 10000	/* 100 % */
#define PERCH_HIST_BUCKETS 192
#define PERCH_LIMITS 4		/* response time limits of one service */
#define PERCH_PINS 1048576	/* (load) */
#define PERCH_LOCALS 4096	/* addresses of this host where tunnels may end */
#define PERCH_RULES 1048576
#define PERCH_SAMPLES_BYTES (4u << 20)
#define PERCH_EVENTS_BYTES (256u << 10)
#define PERCH_TRACES_BYTES (256u << 10)

/* Maps: the name of the map and of its pin below PINPATH/maps/. */
#define PERCH_MAPS(X)                                                          \
	X(control) X(filter) X(addresses) X(listeners) X(services) X(splits)   \
	X(versions) X(backends) X(slices) X(flows) X(stripes) X(devices)       \
	X(device_ids) X(counters) X(observed) X(votes) X(tallies) X(caps) X(turns) X(blame) X(comparisons) X(reasons) X(timers)    \
	X(samples) X(events) X(names) X(version_names) X(rollouts)             \
	X(rejections) X(pins) X(rules) X(marks) X(traces) X(sources) X(locals)

struct perch_address {
	__u32 word[4];
};

enum perch_family { PERCH_IPV4, PERCH_IPV6, PERCH_FAMILIES };

/*
 * Control: one element, what holds for the whole host.  The first line is what
 * packets read; who writes the rest does not disturb them.
 */
struct perch_control {
	__u32 abi_version;
	__u32 flow_sets;	/* power of two; the flow table has 8 ways */
	__u32 tick_shift;	/* jiffies >> tick_shift is a tick */
	__u32 hz;		/* jiffies per second */
	__u32 route_generation;	/* low 8 bits go into every via; bumped by the
				 * agent when a route, neighbour or device moved */
	__u32 tracing;		/* packets are asked after: see perch_tracing */
	__u32 any_port;		/* listeners with port 0 */
	__u32 generation;	/* counts loads; goes into timer_generation */
	__u64 sources;		/* bits of fullnat's source addresses: see
				 * perch_source_bit */
	__u64 severed;		/* ns: no version's sever_before or drain_before is
				 * later, so that flows created since need not ask */
	__u64 secret[4];	/* keys of every hash below */

	__u32 timer_generation;	/* set by the program that armed the timer last */
	__u32 tick;		/* of the last timer run, 24 bits */
	__u64 samples_lost;	/* records that found the ring full */
	__u64 events_lost;	/* events over the rate or with the ring full */
	__u64 event_tokens;	/* second << 32 | events sent in it */
	__u32 services;		/* table sizes this datapath was loaded with */
	__u32 backends_n;
	__u32 listeners_n;
	__u32 slice_words;
	__u64 sweep_passes;	/* whole walks over the flow table */
	__u64 sample_interval;	/* ns between samples of a service in a rollout;
				 * 0: PERCH_SAMPLE_INTERVAL_NS */

	__u32 flow_entries;	/* in use, as the last whole walk counted them */
	__u32 flow_entries_yet;	/* the same of the walk under way */
	__u64 deadman;		/* ns without a heartbeat after which services
				 * with PERCH_ARMED go back to stable; 0: never */
	__u64 heartbeat;	/* ns: the agent was there, written every second */
	__u64 traces_lost;	/* traces that found the ring full */
	__u64 trace_tokens;	/* second << 32 | traces sent in it */
	__u64 too_big_tokens;	/* second << 32 | told in it: PERCH_TOO_BIG_RATE */
};
_Static_assert(sizeof(struct perch_control) == 192, "control");

/*
 * Constants: what the loader writes into the programs' read-only data
 * (`constants`), so that the JIT sees numbers.
 */
struct perch_constants {
	__u32 set_mask;		/* control.flow_sets - 1 */
	__u32 tick_shift;
	__u32 generation;	/* control.generation of this load */
	__u32 cpus;		/* possible CPUs */
	__u32 services, backends, listeners, slice_words;
	__u64 secret[4];
	__u32 timeout[16];	/* ticks, by enum perch_class */
};
_Static_assert(sizeof(struct perch_constants) == 128, "constants");

/*
 * Filter: may this packet be ours?  One bit per hash of a destination address
 * (listeners) and of a source address (backends).
 */
struct perch_filter {
	__u64 destination[PERCH_FILTER_BITS / 64];
	__u64 source[PERCH_FILTER_BITS / 64];
};
_Static_assert(sizeof(struct perch_filter) == 131072, "filter");

/* Bit of an address.  Not keyed: a false positive costs a look-up, no more. */
static inline __u32 perch_filter_bit(const __u32 word[4])
{
	__u32 h = (word[0] ^ word[1] * 0x9e3779b1u) + (word[2] ^ word[3]) * 0x85ebca6bu;

	return (h ^ h >> 15) * 0xc2b2ae35u >> 13;
}

/* Bit of a source address in control.sources: a reply to an address without
 * its bit is no reply to fullnat's. */
static inline __u64 perch_source_bit(const __u32 word[4])
{
	return 1ull << (perch_filter_bit(word) & 63);
}

/* Key of `addresses`, a hash of where clients connect to -> listener; 0: an
 * exception from port 0, nobody's. */
struct perch_endpoint {
	struct perch_address address;
	__be16 port;		/* 0: every port that has no entry of its own */
	__u8 protocol;		/* IPPROTO_TCP or IPPROTO_UDP */
	__u8 fragments;		/* 1: where later fragments go to, which name no
				 * port: the entry beside that of the listener */
};
_Static_assert(sizeof(struct perch_endpoint) == 20, "endpoint");

struct perch_listener {
	struct perch_address address;
	__be16 port;
	__u8 protocol;
	__u8 door;		/* 0: split; else slot + 1 of the version */
	__u16 service;
	__u8 in_use;
	__u8 leaving;		/* 1: no new connections; they pass to the stack */
	__u64 adopt_until;	/* ns: TCP without a flow and without SYN is from
				 * before the address was taken over and passes */
};
_Static_assert(sizeof(struct perch_listener) == 32, "listener");

enum perch_affinity { PERCH_AFFINITY_CLIENT, PERCH_AFFINITY_CONNECTION };
/* How a packet gets to its backend: addresses translated, both ends' or the
 * service's alone; by its MAC, unchanged; or inside another packet, IP in IP
 * (RFC 2003, RFC 2473) or Generic UDP Encapsulation, variant 1. */
enum perch_forward { PERCH_NAT, PERCH_FULLNAT, PERCH_DSR, PERCH_IPIP, PERCH_GUE };
/* Replies go straight to the client: of a connection only the client is seen. */
static inline int perch_one_sided(__u8 forward) { return forward >= PERCH_DSR; }
/* The backend's family is its own, whatever the packet's inside. */
static inline int perch_tunnels(__u8 forward) { return forward >= PERCH_IPIP; }
#define PERCH_GUE_PORT 6080	/* of UDP, by IANA */
enum perch_established { PERCH_KEEP, PERCH_DRAIN, PERCH_SEVER };
enum perch_stable_down { PERCH_DOWN_REJECT, PERCH_DOWN_CANARY };
/* What a service's new connections are asked for before the hash. */
enum perch_chooser { PERCH_CHOOSE_PINS = 1, PERCH_CHOOSE_RULES = 2, PERCH_CHOOSE_MARKS = 4 };
enum perch_role {
	PERCH_ROLE_NONE, PERCH_ROLE_STABLE, PERCH_ROLE_CANARY,
	PERCH_ROLE_BASELINE, PERCH_ROLE_PREVIOUS, PERCH_ROLE_RETIRING,
};

struct perch_service {
	__u8 in_use;
	__u8 affinity;		/* enum perch_affinity */
	__u8 established;	/* enum perch_established, on rollback */
	__u8 sampling;		/* 1: in a rollout, sampled at 10 Hz */
	__u16 observed;		/* element of `observed`; 0: none */
	__u8 choosers;		/* enum perch_chooser */
	__u8 stable_down;	/* enum perch_stable_down: no stable backend lives */
	__u32 drain_ms;		/* drainTimeout */
	__u32 incarnation;	/* of this element, so that a reused one shows */
	__u8 forward;		/* enum perch_forward */
	__u8 fragments;		/* 1: addresses alone choose, so that fragments follow */
	__u8 zero[2];
	__be32 tunnel4;		/* outer source of tunnels to IPv4 backends */
	struct perch_address tunnel6;	/* and to IPv6 ones */
	__u64 reserved[3];
};
_Static_assert(sizeof(struct perch_service) == 64, "service");

/*
 * Element of `sources`, by service: what fullnat makes of its clients.  An
 * address keeps its number as long as a flow has it; those that new flows may
 * have are listed by family.
 */
#define PERCH_SOURCES 8
struct perch_sources {
	struct perch_address address[PERCH_SOURCES];
	__u32 ports;		/* {last:16, first:16}, host order, both included;
				 * first in the low half */
	__u8 n[PERCH_FAMILIES];	/* in list */
	__u8 list[PERCH_FAMILIES][PERCH_SOURCES];	/* numbers of addresses */
	__u16 zero;
};
_Static_assert(sizeof(struct perch_sources) == 152, "sources");
static inline __u32 perch_port_first(__u32 ports) { return ports & 0xffff; }
static inline __u32 perch_port_last(__u32 ports) { return ports >> 16; }
static inline __u32 perch_ports(__u32 first, __u32 last) { return first | last << 16; }

/*
 * The split word: {plan:16, epoch:32, flags:16}.  It names the plan in force.
 * Plans and epochs come in pairs: even is the plan, odd its rollback twin.
 * A rollback is one atomic OR of PERCH_WORD_TWIN and flags; a step is a
 * compare-and-swap from the word that was judged.
 */
#define PERCH_WORD_TWIN (1ull | 1ull << 16)
enum perch_word_flag {
	PERCH_BY_AGENT = 1 << 0, PERCH_BY_DIRECT = 1 << 1,
	PERCH_BY_REFLEX = 1 << 2, PERCH_BY_DEADMAN = 1 << 3,
	PERCH_BY_JUDGE = 1 << 4,
	PERCH_ROLLED_BACK = 1 << 5, PERCH_PAUSED = 1 << 6, PERCH_ARMED = 1 << 7,
};
static inline __u32 perch_word_plan(__u64 word) { return word & 0xffff; }
static inline __u32 perch_word_epoch(__u64 word) { return word >> 16; }
static inline __u32 perch_word_flags(__u64 word) { return word >> 48; }
static inline __u64 perch_word(__u32 plan, __u32 epoch, __u32 flags)
{
	return (__u64)(plan & 0xffff) | (__u64)epoch << 16 | (__u64)flags << 48;
}

/*
 * A plan: which part of the hash range leads to which slot.  [0, low_end)
 * leads to `low`, [high_from, PERCH_SHARE_ALL) to `high`, the rest to `rest`.
 */
struct perch_plan {
	__u32 epoch;		/* repeats the word's; odd and even never agree */
	__u16 low_end;
	__u16 high_from;
	__u8 low, high, rest;	/* slots */
	__u8 zero;
	__u8 role[PERCH_SLOTS];	/* slot -> enum perch_role under this plan */
	__u32 reserved;
	__u64 salt;		/* of the rollout; turns the version's hash */
	__u64 from;		/* the word this plan was made from: the previous plan */
	__u64 more[3];
};
_Static_assert(sizeof(struct perch_plan) == 64, "plan");

struct perch_split {
	__u64 word;
	__u64 named;		/* {seconds:32, epoch:32}, epoch in the high half:
				 * when the plan of that epoch was named */
	__u64 line[6];
	struct perch_plan plan[2 * PERCH_PAIRS];
};
_Static_assert(sizeof(struct perch_split) == 576, "split");

/*
 * A version: element service * PERCH_SLOTS + slot.  Its backends are in one
 * slice per IP family, because nothing translates between them.  Flows created
 * before sever_before are ended now, those before drain_before from drain_at
 * on.  All three only move forward and are never cleared.
 */
struct perch_version {
	__u64 slice[PERCH_FAMILIES];	/* {length:32, offset:32} in `slices`;
				 * offset in the low half; length 0: no live
				 * backend of that family */
	__u64 sever_before;	/* ns */
	__u64 drain_before;	/* ns */
	__u64 drain_at;		/* ns */
	__u8 in_use;
	__u8 zero[7];
	__u64 reserved[2];
};
_Static_assert(sizeof(struct perch_version) == 64, "version");

static inline __u32 perch_slice_offset(__u64 slice) { return slice; }
static inline __u32 perch_slice_length(__u64 slice) { return slice >> 32; }

struct perch_slice_word {
	__u16 backend[PERCH_SLICE_WIDTH];
};
_Static_assert(sizeof(struct perch_slice_word) == 64, "slice");

/*
 * Via: the next hop in one aligned word, so that it is never half of two:
 * {mac:48, device:8, generation:8}.  It holds while its generation is the low
 * byte of control.route_generation.  The first byte of the MAC is the lowest.
 */
#define PERCH_VIA_STACK (PERCH_DEVICES - 1)	/* device: none, up the stack of
						 * this host, as its rewritten self */
static inline __u32 perch_via_device(__u64 via) { return via >> 48 & 0xff; }
static inline __u32 perch_via_generation(__u64 via) { return via >> 56; }

/* What a device takes that XDP redirects to it. */
enum perch_xmit { PERCH_XMIT = 1, PERCH_XMIT_SCATTERED = 2 };	/* whole frames; such in several buffers */

struct perch_device {
	__u32 ifindex;
	__u32 mtu;
	__u8 mac[6];
	__u8 xmit;		/* enum perch_xmit */
	__u8 in_use;
	__u8 attached;		/* our programs are there; where they are not, what
				 * goes out by it goes up the stack, because its
				 * replies will come back that way */
	__u8 decap;		/* 1: tunnelled packets that come in are unpacked */
	__u8 zero[6];
	__u64 reserved;
};
_Static_assert(sizeof(struct perch_device) == 32, "device");

enum perch_backend_state {
	PERCH_BACKEND_NONE,	/* element is free */
	PERCH_BACKEND_UP,
	PERCH_BACKEND_DRAINING,	/* keeps its flows, gets no new ones */
	PERCH_BACKEND_DOWN,	/* flows are decided anew */
};

/* Why a backend that its service names is not UP. */
enum perch_backend_held {
	PERCH_HELD_PERSON = 1,	/* `backend drain`: DRAINING */
	PERCH_HELD_HEALTH = 2,	/* its health check failed: DOWN */
};

struct perch_backend {
	struct perch_address address;
	__be16 port;		/* 0: the listener's port */
	__u8 state;		/* enum perch_backend_state */
	__u8 dirty;		/* set by packets, cleared by the timer */
	__u32 version;		/* element of `versions` */
	__u64 via;		/* next hop towards it, kept by the kernel */
	__u16 service;
	__u16 observed;		/* as in its service */
	__u32 incarnation;	/* of this element */
	__u64 ended_outside;	/* flows that user space ended; part of `ended` */
	__u8 held;		/* enum perch_backend_held, or'ed */
	__u8 local;		/* 1: an address of this host */
	__u8 forward;		/* as in its service */
	__u8 zero;
	__u32 port_turn;	/* fullnat: where the search for a source port begins */
	__u64 path;		/* tunnels: what a router has said fits the way there,
				 * kept by the kernel: see perch_path */
};
_Static_assert(sizeof(struct perch_backend) == 64, "backend");

/* A path's MTU and until when it holds, in one word, so that one compare with
 * the time tells: ns, the last 16 bits of which are the MTU.  RFC 1191 and
 * RFC 8201 recommend ten minutes. */
#define PERCH_PATH_NS 600000000000ull
static inline __u32 perch_path_mtu(__u64 path) { return path & 0xffff; }
static inline __u64 perch_path(__u64 until, __u32 mtu) { return (until & ~0xffffull) | (mtu & 0xffff); }

#include <perch/flow.h>

/*
 * Before the hash: pins of single clients, rules by the longest prefix, then
 * by DSCP (RFC 2474).  A target is a role, or PERCH_TARGET_SLOT | slot; what
 * has no role under the plan in force is no target, so that a rollback takes
 * these with it.  They never vote.
 */
#define PERCH_TARGET_SLOT 0x80

struct perch_pin_key {
	struct perch_address client;	/* of IPv6 the /64, the rest 0 */
	__u16 service;
	__u16 zero;
};
_Static_assert(sizeof(struct perch_pin_key) == 20, "pin key");

struct perch_pin {
	__u64 until;		/* ns; 0: for good */
	__u8 target;
	__u8 zero[7];
};
_Static_assert(sizeof(struct perch_pin) == 16, "pin");

/* Key of `rules`, a trie; its value is a __u32 target. */
struct perch_rule_key {
	__u32 prefix;		/* bits: 32 for what follows, and the address' */
	__u16 service;
	__u16 zero;
	struct perch_address source;
};
_Static_assert(sizeof(struct perch_rule_key) == 24, "rule key");

/* Element of `marks`, by service. */
struct perch_mark {
	__u8 target[64];	/* by DSCP; 0: none */
};
_Static_assert(sizeof(struct perch_mark) == 64, "mark");

#include <perch/evidence.h>

/* The timer: one element; the agent arms it through perch_tick. */
#define PERCH_TIMER_PERIOD_NS 10000000ull
#define PERCH_TIMER_SLICE_NS 1000000ull
#define PERCH_SAMPLE_INTERVAL_NS 100000000ull
#define PERCH_SLOW_INTERVAL_NS 1000000000ull	/* of services in no rollout */

/*
 * Registry: what state must not lose.  names: element = service;
 * version_names: element = service * PERCH_SLOTS + slot.
 */
struct perch_service_name {
	char name[PERCH_NAME_LEN];
	__u64 leaving_until;	/* ns: its listeners are handed back, and it is gone
				 * then at the latest; 0: it stays */
	__u64 applied;		/* seconds since 1970: made through the API then,
				 * and written in no file; 0: in a file */
	__u64 reserved[6];
};
_Static_assert(sizeof(struct perch_service_name) == 128, "service name");

struct perch_version_name {
	char name[PERCH_NAME_LEN];
	__u8 role;		/* enum perch_role */
	__u8 zero[7];
	__u64 since;		/* seconds since 1970: entered this role */
};
_Static_assert(sizeof(struct perch_version_name) == 80, "version name");

/* Value of `rollouts`, a hash by service: of those that had a rollout. */
#define PERCH_ROLLOUT_BYTES 1024
struct perch_rollout_blob {
	__u32 length;
	__u32 version;		/* of the layout inside, user/core/rollout.h */
	__u8 bytes[PERCH_ROLLOUT_BYTES - 8];
};
_Static_assert(sizeof(struct perch_rollout_blob) == 1024, "rollout");

/* Value of `comparisons`, a hash by service: of those in a rollout, what the
 * canary was found to be beside stable. */
#define PERCH_COMPARISON_BYTES 16384
struct perch_comparison_blob {
	__u32 length;
	__u32 version;		/* as in the rollout's */
	__u8 bytes[PERCH_COMPARISON_BYTES - 8];
};
_Static_assert(sizeof(struct perch_comparison_blob) == PERCH_COMPARISON_BYTES, "comparison");

struct perch_rejection_key {
	char service[PERCH_NAME_LEN];
	char version[PERCH_NAME_LEN];
};
struct perch_rejection {
	__u64 when;		/* seconds since 1970 */
	__u32 epoch;
	__u32 by;		/* enum perch_word_flag */
	char reason[112];
};
_Static_assert(sizeof(struct perch_rejection) == 128, "rejection");

#endif
