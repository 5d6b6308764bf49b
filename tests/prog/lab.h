/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fixture of program tests and benchmarks: a private network namespace
 * with a client side (c0) and a backend side (b0), static neighbours and
 * routes, a private bpffs, and a datapath with services in it.  Packets go in
 * by BPF_PROG_TEST_RUN, bytes and verdicts come out.  Functions return 0 or
 * -errno and say on stderr what went wrong.
 *
 *	clients 10.100.x.y, fd0c::x:y --(gateway 10.1.0.254)-- c0 | b0 -- 10.2.0.n, fd02::n
 */
#ifndef PERCH_TEST_LAB_H
#define PERCH_TEST_LAB_H

#include "../../user/core/split.h"
#include "../../user/datapath/datapath.h"
#include "../../user/datapath/flows.h"
#include "../../user/datapath/routes.h"
#include "../../user/datapath/tables.h"
#include "packet.h"

#define LAB_BACKENDS 16		/* backend hosts .2 to .17 */
#define LAB_PORT 80		/* of the listeners of TCP */
#define LAB_UDP_PORT 53
#define LAB_DOOR_PORT 8081	/* leads to slot 1 */
#define LAB_BACKEND_PORT 8080

enum lab_hook { LAB_XDP, LAB_TC };

struct lab_port {
	__u32 ifindex;
	__u8 mac[6];
};

/* A service as the lab makes it; change what you like before lab_apply. */
struct lab_service {
	struct placed_service placed;
	struct perch_endpoint listen[2], door;
	struct model_backend backend[3][LAB_BACKENDS];
	__u32 share;		/* of slot 1, 0.01 % */
	__u64 salt;
	__u32 age;		/* s: steps say that they were this long ago */
	struct perch_sources sources;
};

struct lab {
	char pin_path[96];
	struct datapath datapath;
	struct tables *tables;
	struct routes *routes;
	struct lab_port client, backend;
	struct lab_service web[2];	/* for IPv4 and for IPv6 */
	int cpus;
};

struct lab_options {
	__u32 flow_entries;	/* 0: 8192 */
	__u32 services, backends, slice_words;	/* 0: as tests need; listeners as services */
};

/* Once per process, before anything else: own namespaces, devices, bpffs. */
int lab_enter(void);
int lab_open(struct lab *lab, const struct lab_options *o);
/* Before Linux 6.3 nobody says whether a veth takes redirected frames, so XDP
 * leaves them to TC.  The lab's do: said again after its routes were read. */
void lab_take_redirects(struct lab *lab);
void lab_close(struct lab *lab);

/* Addresses of the lab. */
const __u8 *lab_gateway_mac(void);
void lab_backend_mac(unsigned host, __u8 ret[6]);
struct perch_address lab_client(bool v6, __u32 n);
struct perch_address lab_backend(bool v6, unsigned host);
struct perch_address lab_listener(bool v6);
bool lab_is_v6(const struct perch_address *a);

/* Element 0 `web4` and 1 `web6`, not yet applied: TCP and UDP, slot 0 stable
 * with backends .2 and .3, slot 1 canary with .4 and a door; affinity
 * connection, observed, in a rollout. */
void lab_web(struct lab *lab);
/* Both forward so; where no port is translated, backends have the listeners'. */
void lab_forwards(struct lab *lab, enum perch_forward forward);
/* Fullnat for both: `n` addresses of the backends' side from 10.2.0.201 and
 * fd02::c9 on, and these ports. */
void lab_fullnat(struct lab *lab, unsigned n, __u16 first, __u16 last);
struct perch_address lab_source(bool v6, unsigned n);
/* The first backend of a slot of both is its only one. */
void lab_single(struct lab *lab, unsigned slot);
/* Give slot of both the hosts first .. first + n - 1 as backends. */
void lab_backends(struct lab *lab, unsigned slot, unsigned first, unsigned n);
/* Bring both into the kernel. */
int lab_apply(struct lab *lab);
/* A step of both to another share, as the agent does it. */
int lab_step(struct lab *lab, __u32 share);
void lab_plan(const struct lab_service *s, struct perch_plan *ret_plan, struct perch_plan *ret_twin);
struct perch_split *lab_split(const struct lab *lab, bool v6);
struct perch_version *lab_version(const struct lab *lab, bool v6, unsigned slot);
struct perch_control *lab_control(const struct lab *lab);
void lab_sever(const struct lab *lab, bool v6, unsigned slot);	/* now */
__u32 lab_backend_id(const struct lab *lab, unsigned slot, bool v6, unsigned host);

/* What a run is told besides its bytes. */
struct lab_run {
	enum lab_hook hook;
	bool egress;		/* TC: perch_tc_out */
	__u32 ifindex;
	__u32 gso_size, gso_segs;	/* TC */
	bool complete;		/* TC: with CHECKSUM_COMPLETE, verified after */
};
/* The program's verdict (XDP_* or TC_ACT_*), or -errno; -1 of TC is returned
 * as TC_ACT_OK, both let the stack go on. */
int lab_run(struct lab *lab, const struct lab_run *how, const struct packet *in, struct packet *out);
int lab_pass(enum lab_hook hook);	/* the verdict that passes */
int lab_forward(enum lab_hook hook);	/* the verdict that redirects */

/* What the programs counted, summed over CPUs. */
__u64 lab_reason(const struct lab *lab, enum perch_hook hook, enum perch_reason reason);
__u64 lab_reasons(const struct lab *lab, enum perch_reason reason);	/* over all hooks */
void lab_counters(const struct lab *lab, __u32 backend, struct perch_counters *ret);
void lab_votes(const struct lab *lab, bool v6, unsigned slot, struct perch_votes *ret);
/* Copy of the flow of a client, or -ENOENT. */
int lab_flow(const struct lab *lab, const struct perch_address *client, __u16 port, struct flow_copy *ret);
/* Make every flow look as if its last packet was `seconds` longer ago.
 * Returns how many there are. */
size_t lab_age(struct lab *lab, unsigned seconds);
/* Opened minus ended, over every backend. */
__u64 lab_active(const struct lab *lab);
__u64 lab_now(void);		/* ns, monotonic */

#endif
