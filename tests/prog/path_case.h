/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about the packets of tunnels, and what clients are told then. */
#ifndef PERCH_TEST_PATH_CASE_H
#define PERCH_TEST_PATH_CASE_H

#include "prog.h"

#include "icmp_case.h"

#define PATH_MTU 1400

/* One way to wrap one family. */
struct path_way {
	unsigned number;
	enum perch_forward forward;
	bool crossed;			/* the backends are of the other family */
	bool v6;			/* the clients are IPv6 */
};
#define PATH_WAYS 8
#define for_each_way(w) for (struct path_way w = path_way(0); w.number < PATH_WAYS; w = path_way(w.number + 1))

struct path_way path_way(unsigned n);
/* Bytes in front of a packet, and of its own headers. */
unsigned path_overhead(struct path_way w);
unsigned path_headers(struct path_way w, bool udp);

/* A connection that has just sent what `quoted` is, and what is said of it. */
struct path_case {
	struct talk t;
	struct path_way way;
	struct icmp_spec error;
	struct packet quoted;		/* in its tunnel */
	__u32 n;			/* bytes of it that are quoted */
};

/* Services anew, each with one backend. */
void path_begin(struct lab *lab, struct path_way w);
/* Client n: 1440 bytes, of which a router says that PATH_MTU would fit. */
void path_start(struct path_case *c, struct lab *lab, struct path_way w, bool udp, __u32 n);
struct perch_backend *path_backend(const struct path_case *c);

/* The error passes by both hooks as it came, XDP learns nothing, and TC counts
 * it; of `nothing` it learns nothing either. */
void path_hear(const struct path_case *c, enum perch_reason reason);
void path_hear_nothing(const struct path_case *c, enum perch_reason reason);

/* Of client n the largest packet goes on by both hooks; one byte more is left
 * to TC, which tells of `mtu`. */
void path_fits(struct lab *lab, struct path_way w, bool udp, __u32 n, unsigned mtu);

#endif
