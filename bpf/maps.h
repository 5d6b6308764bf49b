/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps, one line each on what they hold; their values are the contract's. */
#ifndef PERCH_BPF_MAPS_H
#define PERCH_BPF_MAPS_H

#include "common.h"

#define SHARED_ARRAY(name, value_type, entries)                                \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_ARRAY);                              \
		__uint(map_flags, BPF_F_MMAPABLE);                             \
		__uint(max_entries, entries);                                  \
		__type(key, u32);                                              \
		__type(value, value_type);                                     \
	} name SEC(".maps")

#define CPU_ARRAY(name, value_type, entries)                                   \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                       \
		__uint(max_entries, entries);                                  \
		__type(key, u32);                                              \
		__type(value, value_type);                                     \
	} name SEC(".maps")

/* the host as a whole */
SHARED_ARRAY(control, struct perch_control, 1);
/* may it be ours? bits of addresses */
SHARED_ARRAY(filter, struct perch_filter, 1);
/* listener id -> where it listens, whose it is */
SHARED_ARRAY(listeners, struct perch_listener, PERCH_LISTENERS);
/* service id -> policy the programs need */
SHARED_ARRAY(services, struct perch_service, PERCH_SERVICES);
/* service id -> split word and its plans */
SHARED_ARRAY(splits, struct perch_split, PERCH_SERVICES);
/* service id * slots + slot -> slices of the table, sever and drain times */
SHARED_ARRAY(versions, struct perch_version, PERCH_SERVICES *PERCH_SLOTS);
/* backend id -> address, state, next hop */
SHARED_ARRAY(backends, struct perch_backend, PERCH_BACKENDS);
/* Maglev tables of all versions, end to end */
SHARED_ARRAY(slices, struct perch_slice_word, PERCH_SLICE_WORDS);
/* the flow table, by sets */
SHARED_ARRAY(flows, struct perch_flow_set, PERCH_FLOWS / PERCH_WAYS);
/* device index -> what a frame that leaves by it needs */
SHARED_ARRAY(devices, struct perch_device, PERCH_DEVICES);
/* observed id -> reflex, thresholds */
SHARED_ARRAY(observed, struct perch_observed, PERCH_OBSERVED);
/* service id -> version or role by DSCP */
SHARED_ARRAY(marks, struct perch_mark, PERCH_SERVICES);
/* service id -> source addresses of fullnat */
SHARED_ARRAY(sources, struct perch_sources, PERCH_SERVICES);
/* backend id -> counters */
CPU_ARRAY(counters, struct perch_counters, PERCH_BACKENDS);
/* observed id * slots + slot -> votes and histograms */
CPU_ARRAY(votes, struct perch_votes, PERCH_OBSERVED *PERCH_SLOTS);
/* observed id * slots + slot -> votes of a comparison, by epoch */
CPU_ARRAY(tallies, struct perch_tallies, PERCH_OBSERVED *PERCH_SLOTS);
/* observed id -> which clients' bad votes were taken */
SHARED_ARRAY(caps, struct perch_caps, PERCH_OBSERVED);
/* observed id -> whose the canary's bad votes are */
SHARED_ARRAY(blame, struct perch_blame, PERCH_OBSERVED);
/* hash of a flow's place -> turns of a long connection, by the minute */
SHARED_ARRAY(turns, struct perch_turns, PERCH_POOL);
/* how often each exit was taken */
CPU_ARRAY(reasons, struct perch_reason_counts, 1);

/* the packet in hand, by hook, and the clockwork's; not pinned, each load has
 * its own */
CPU_ARRAY(scratch, struct packet, PERCH_HOOKS + 1);

/* registry, for user space alone */
SHARED_ARRAY(names, struct perch_service_name, PERCH_SERVICES);
SHARED_ARRAY(version_names, struct perch_version_name, PERCH_SERVICES *PERCH_SLOTS);

/* endpoint -> listener id */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PERCH_LISTENERS);
	__type(key, struct perch_endpoint);
	__type(value, u32);
} addresses SEC(".maps");

/* service id -> its rollout, if it had one; for user space alone */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PERCH_SERVICES);
	__type(key, u32);
	__type(value, struct perch_rollout_blob);
} rollouts SEC(".maps");

/* service id -> evidence of the rollout it is in; for user space alone */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PERCH_OBSERVED);
	__type(key, u32);
	__type(value, struct perch_comparison_blob);
} comparisons SEC(".maps");

/* service and client -> version or role */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PERCH_PINS);
	__type(key, struct perch_pin_key);
	__type(value, struct perch_pin);
} pins SEC(".maps");

/* service and source prefix -> version or role */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PERCH_RULES);
	__type(key, struct perch_rule_key);
	__type(value, u32);
} rules SEC(".maps");

/* ifindex -> device index */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PERCH_DEVICES);
	__type(key, u32);
	__type(value, u32);
} device_ids SEC(".maps");

/* service and version by name -> why nothing brings it back by itself */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct perch_rejection_key);
	__type(value, struct perch_rejection);
} rejections SEC(".maps");

/* addresses of this host, while an interface unpacks tunnels */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PERCH_LOCALS);
	__type(key, struct perch_address);
	__type(value, u32);
} locals SEC(".maps");

/* one lock per stripe of client tuples */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PERCH_STRIPES);
	__type(key, u32);
	__type(value, struct perch_stripe);
} stripes SEC(".maps");

/* cumulative records of what changed */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PERCH_SAMPLES_BYTES);
} samples SEC(".maps");

/* rare things, at once */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PERCH_EVENTS_BYTES);
} events SEC(".maps");

/* packets as they pass, when asked for */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PERCH_TRACES_BYTES);
} traces SEC(".maps");

/* the kernel's clockwork and where it stands; pinned, so its size is part of
 * the ABI, though nobody else reads it */
struct clockwork {
	struct bpf_timer timer;
	u64 sampled;		/* ns: when services in a rollout were */
	u32 takes;		/* the walk under way: enum sample_takes */
	u32 sampling;		/* which array it is in; 0: none is under way */
	u32 backend, vote, service;	/* cursors of the walk */
	u32 slot;		/* cursor of the sweeper */
	u32 via_generation;	/* route generation when stale vias were last cleared */
	u8 clearing;		/* this walk clears them */
	u8 settling;		/* this walk settles connections */
	u8 zero[2];
	u64 sampled_others;	/* ns: when the other services were */
};
_Static_assert(sizeof(struct clockwork) == 64, "clockwork");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct clockwork);
} timers SEC(".maps");

/* An element by index, NULL beyond the end. */
#define element(map, index) ({ u32 _index = (index); bpf_map_lookup_elem(&(map), &_index); })

/* Masked, not compared: Linux 6.1 forgets what a compare said about copies of
 * a value. */
static __always_inline void reason_count(u32 hook, u32 reason)
{
	struct perch_reason_counts *c = element(reasons, 0);

	reason &= PERCH_REASON_MAX - 1;
	opaque(reason);
	if (c && hook < PERCH_HOOKS)
		c->n[hook][reason]++;
}

#endif
