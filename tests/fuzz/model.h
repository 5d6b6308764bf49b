/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The reference model: what the programs must do with a packet, in plain C,
 * written from the design and the RFCs.  It shares no code with the programs:
 * hashes, places, plans, checksums and states are computed here once more.
 * What both have is the contract (abi.h): structures, numbers, names.
 *
 * The configuration (listeners, services, plans, slices, devices) is input, as
 * the contract's tables hold it, copied by model_sync whenever user space has
 * changed it.  Flows, counters, reasons, votes, next hops and what the reflex
 * moves are the model's own; nothing of them is read back.  Four values nobody
 * can foresee: the clocks in an entry (`created`, `request_at`), the random
 * port of an alias, and which of two neighbouring ticks it is.  They are taken
 * from the real entry when they are in their bounds (struct model_told).
 */
#ifndef PERCH_FUZZ_MODEL_H
#define PERCH_FUZZ_MODEL_H

#include "../prog/packet.h"
#include "../../user/datapath/datapath.h"

#define MODEL_SERVICES 9	/* the tables' first, which the fuzzer uses */
#define MODEL_VERSIONS (MODEL_SERVICES * PERCH_SLOTS)
#define MODEL_BACKENDS 256	/* sizes that the datapath was loaded with */
#define MODEL_LISTENERS 256
#define MODEL_PINS 64
#define MODEL_RULES 32
#define MODEL_CHOICES 64	/* hosts of a route */
#define MODEL_EXCLUDED 8
#define MODEL_LOCALS 16
#define MODEL_PIECES 16	/* listeners to which later fragments go */

enum model_verdict { MODEL_PASS, MODEL_DROP, MODEL_SEND };

/* What a program is given. */
struct model_run {
	enum perch_hook hook;
	__u32 ifindex;
	__u32 gso_size, gso_segs;
	const struct packet *in;
	__u64 began, ended;	/* ns: it ran between */
	const struct perch_flow_set *told;	/* the real table after it: struct model_told */
};

/* What must come of it. */
struct model_outcome {
	enum model_verdict verdict;
	const struct packet *out;
	__u32 reason[PERCH_REASON_MAX];	/* counted, at the run's hook */
	__u32 fired[2];		/* rollbacks by the reflex and the dead-man, counted at XDP */
	enum perch_hook hook;
	enum perch_reason last;	/* what it left by */
	__u32 backend;		/* whose counters may have moved; 0: none */
	__be16 alias;		/* the port that was found for one; 0: none was */
	struct perch_address alias_client;	/* and its address */
	__u32 set[8];		/* sets of the table it may have touched */
	unsigned sets;
	bool rewritten;
	bool unsure;		/* a deadline passed while it ran: either is right */
};

/* Hosts of the world around, as the kernel's routes know them. */
struct model_route {
	struct perch_address to;
	__u32 bits;		/* of the 128 */
	__u32 ifindex;		/* 0: none leads there, this host's own included */
	struct perch_address gateway;	/* zeros: on the link */
};
struct model_neighbour {
	struct perch_address address;
	__u8 mac[6];
};
struct model_world {
	struct model_route route[16];
	unsigned routes;
	struct model_neighbour neighbour[MODEL_CHOICES];
	unsigned neighbours;
	__u32 mtu;		/* of its devices */
};

struct model_pin {
	struct perch_pin_key key;
	struct perch_pin pin;
};
struct model_prefix {
	struct perch_rule_key key;
	__u32 target;
};

struct model_votes {
	__u64 connects, connect_failures, established, resets, responders, over[PERCH_LIMITS], udp_flows;
	__u64 connect_times, response_times, longest_waits;	/* entries of the histograms */
};

/* The contract's tables as user space left them last. */
struct model_tables {
	struct perch_control control;
	struct perch_listener listener[MODEL_LISTENERS];
	struct perch_service service[MODEL_SERVICES];
	struct perch_split split[MODEL_SERVICES];
	struct perch_version version[MODEL_VERSIONS];
	struct perch_backend backend[MODEL_BACKENDS];
	struct perch_device device[PERCH_DEVICES];
	struct perch_observed observed[PERCH_OBSERVED];
	struct perch_mark mark[MODEL_SERVICES];
	struct perch_sources source[MODEL_SERVICES];
	const struct perch_slice_word *slices;	/* packets never write there */
	const struct perch_filter *filter;
};

struct model {
	struct model_tables t;
	struct model_world world;
	/* what is in no mapped table */
	struct perch_endpoint excluded[MODEL_EXCLUDED];
	unsigned n_excluded;
	__u32 pieces[MODEL_PIECES];	/* ids of listeners */
	unsigned n_pieces;
	struct perch_address local[MODEL_LOCALS];	/* of this host */
	unsigned n_local;
	struct model_pin pin[MODEL_PINS];
	unsigned pins;
	struct model_prefix rule[MODEL_RULES];
	unsigned rules;
	bool locked[PERCH_STRIPES];

	__u32 now;		/* tick */
	__u32 timeout[16];	/* ticks, by class */
	struct perch_flow_set *sets;
	__u32 n_sets;
	struct perch_counters counters[MODEL_BACKENDS];
	struct model_votes votes[PERCH_OBSERVED * PERCH_SLOTS];

	/* of the run in hand */
	const struct model_run *run;
	struct model_outcome outcome;
	struct packet out;
};

int model_open(struct model *m, const struct maps *maps);
void model_close(struct model *m);
/* User space has changed the tables. */
void model_sync(struct model *m, const struct maps *maps);
/* Begin with an empty flow table, all counts 0. */
void model_reset(struct model *m);
/* One packet. */
const struct model_outcome *model_step(struct model *m, const struct model_run *run);
/* Every flow's last packet is this many ticks, its beginning and its pending
 * request this many ns longer ago. */
void model_age(struct model *m, __u32 ticks, __u64 ns);

/* Nobody watches: every service that is armed goes back. */
void model_deadman(struct model *m, __u64 began, __u64 ended);
/* The sweeper has walked over a part of the table: what it freed, and it may
 * free what is expired alone, is free here, too; likewise next hops of routes
 * long gone. */
void model_swept(struct model *m, const struct maps *real, __u64 began, __u64 ended);

/* Place of a client's tuple in the table. */
struct model_place {
	__u32 set[2], fingerprint, stripe;
};
struct model_place model_place(const struct model *m, const struct perch_address *client, __be16 port, __u8 protocol);
/* Of what fullnat makes of it: eight neighbouring ports towards one backend have
 * the same sets, and the fingerprint's lowest bits but one say which it is. */
struct model_place model_place_full(const struct model *m, const struct perch_address *source, __be16 port, __u8 protocol,
				    const struct perch_address *backend, __be16 backend_port);

#endif
