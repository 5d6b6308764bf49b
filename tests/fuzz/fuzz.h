/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fuzzer: rounds of inputs, each from an empty flow table and a
 * configuration of its own, both made from the round's seed.  An input is a
 * packet or a change by user space; it goes to the programs in the kernel and
 * to the model, and all that can be seen of both is compared.
 *
 * Time does not pass by itself: the datapath is loaded with ticks of hours
 * (its timeouts keep their number of ticks), the kernel's clockwork is
 * stopped, and OP_AGE lets as many ticks go by as it says, in both tables.
 */
#ifndef PERCH_FUZZ_FUZZ_H
#define PERCH_FUZZ_FUZZ_H

#include "../prog/lab.h"
#include "model.h"

#define FUZZ_TICKS 125 / 2	/* ticks per second: 16 ms each */
#define FUZZ_CONNS 64
#define FUZZ_TWINS 8		/* of these: tuples that share set and fingerprint */

/* Random numbers that repeat: xorshift64*. */
struct dice {
	__u64 state;
};
void dice_begin(struct dice *d, __u64 seed);
__u32 dice_roll(struct dice *d, __u32 n);	/* 0 .. n - 1 */
bool dice_one_in(struct dice *d, __u32 n);

enum op {
	OP_STEP, OP_ROLLBACK, OP_SEVER, OP_DRAIN, OP_HOLD, OP_APPLY, OP_STATE, OP_LEAVE, OP_ADOPT, OP_POLICY, OP_AGE,
	OP_DEVICE, OP_TOKENS, OP_GENERATION, OP_LOCAL, OP_PIN, OP_RULE, OP_MARK, OP_LOCK, OP_TEAR, OP_OBSERVE, OP_CROSS, OP_SLICE, OP_DEADMAN, OP_SWEEP,
	OPS
};

/* What goes in: a packet, or a change. */
struct input {
	bool is_op;
	enum op op;
	__u32 a, b, c;
	enum perch_hook hook;
	__u8 from_backend;	/* it came in where backends are */
	bool complete;		/* TC: with a complete checksum */
	bool tunnel;		/* an ICMP error about one */
	__u16 gso_size, gso_segs;
	struct packet *packet;	/* owned by who keeps the input */
};

struct real {
	struct lab lab;
	struct model_world world;
	int fd[PERCH_HOOKS], tick_fd;
	__u64 reasons[PERCH_HOOKS][PERCH_REASON_MAX];
	__u64 began, ended;
	int verdict;		/* as the hook says it, or -errno */
	struct packet out;
};

/* One connection that the fuzzer plays both ends of. */
struct conn {
	unsigned service;
	struct perch_address client, listener, backend, seen;	/* seen: the client, as the backend has it */
	__u16 client_port, port;	/* host order */
	__u16 backend_port, seen_port;	/* 0: not known */
	__u8 protocol;
	__u32 client_seq, backend_seq;
	bool open;
};

struct tally {
	__u64 inputs, packets, ops, rewritten, unsure, rounds;
	__u64 reason[PERCH_HOOKS][PERCH_REASON_MAX];
};

struct fuzz {
	struct real real;
	struct model model;
	struct dice dice;
	struct conn conn[FUZZ_CONNS + 1];	/* the last is the crowd's, who came last */
	struct placed_service placed[MODEL_SERVICES];
	__u32 share[MODEL_SERVICES], baseline[MODEL_SERVICES];
	/* drawn by a round: most clients come once, the canaries refuse */
	bool crowd, sick;
	__u32 steps;		/* of this round */
	struct tally tally;
	FILE *report;		/* where a difference is told; NULL: nowhere */
};

/* real.c */
int real_open(struct real *r);
void real_close(struct real *r);
/* Run a packet; r->verdict and r->out. */
void real_run(struct real *r, const struct input *in);
void real_count(struct real *r);	/* reasons, as counted until now */
void real_counters(const struct real *r, __u32 backend, struct perch_counters *ret);
void real_votes(const struct real *r, __u32 element, struct model_votes *ret);
/* The kernel's timer: it samples, rolls back, and walks over the table. */
int real_start_clockwork(struct real *r);
void real_stop_clockwork(struct real *r);

/* config.c: the services of a round; ops.c: changes of them. */
int config_begin(struct fuzz *z, __u64 seed);
int config_apply(struct fuzz *z, unsigned service, __u32 variant);
void config_plan(const struct fuzz *z, unsigned service, struct perch_plan *plan, struct perch_plan *twin);
int op_apply(struct fuzz *z, const struct input *in);
const char *op_name(enum op op);

/* generate.c, mutate.c: what comes next; twins.c: tuples that look alike. */
void twins_find(const struct model *m);
bool twins_get(unsigned i, struct perch_address *client, __u16 *port);
void generate_begin(struct fuzz *z);
void generate(struct fuzz *z, struct input *ret);
/* The connection learns from what the model let out. */
void generate_learn(struct fuzz *z, const struct input *in, const struct model_outcome *o);
void mutate(struct dice *d, struct input *in);
/* errors.c: an ICMP error about a connection. */
void errors_draw(struct fuzz *z, const struct conn *c, struct input *in);

/* wraps.c: a packet in a tunnel that ends here, or seems to. */
void wraps_draw(struct fuzz *z, const struct conn *c, struct input *in);

/* compare.c: true when both agree; z->report is told what does not. */
bool compare_step(struct fuzz *z, const struct input *in, const struct model_outcome *o);
bool compare_all(struct fuzz *z);
/* Go on from what the kernel has. */
void compare_adopt(struct fuzz *z);

/* replay.c: rounds, and what is left of one that failed. */
int round_begin(struct fuzz *z, __u64 seed);
bool input_run(struct fuzz *z, const struct input *in);
bool round_run(struct fuzz *z, __u64 seed, __u32 n);
bool round_keep(struct fuzz *z, __u64 seed, __u32 n, const char *keep);
bool round_shrink(struct fuzz *z, __u64 seed, __u32 n);

#endif
