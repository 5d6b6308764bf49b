/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* An ICMP error about a connection: as it comes in and has to come out. */
#ifndef PERCH_TEST_ICMP_CASE_H
#define PERCH_TEST_ICMP_CASE_H

#include "prog.h"

#include "icmp.h"

struct case_icmp {
	struct talk *t;
	struct mode mode;
	struct icmp_spec in, out;
	struct lab_run how;
};

/* Unreachable (3), too big, hops that ran out, a bad header; by family. */
#define ICMP_ERRORS 6
#define ICMP_TOO_BIG 3
extern const struct icmp_error { __u8 type, code; __u32 rest; } icmp_errors[2][ICMP_ERRORS];

/* Somebody who is neither end. */
struct perch_address icmp_router(bool v6);
/* A connection of TCP, or of UDP, of which both ends are known. */
void icmp_start(struct talk *t, struct lab *lab, struct mode m, bool udp, __u32 n);

/* `from` has trouble with what the service sent: for the listener, and has to
 * get to the backend. */
void icmp_from_client_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from);
/* And the other way round; the backend's own comes from the listener, a
 * router's from the router. */
void icmp_from_backend_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from);
void icmp_type(struct case_icmp *c, __u8 type, __u8 code, __u32 rest);
void icmp_error_type(struct case_icmp *c, unsigned error);
/* Bytes of the quoted segment, 0 for all, and of 0 behind them. */
void icmp_cut(struct case_icmp *c, __u16 cut, __u8 padding);

/* It must come out as it has to, with this verdict. */
void icmp_run_with(struct case_icmp *c, int verdict);
/* The same, sent off; at TC with a complete checksum, too, but for tags, which
 * the kernel takes out of the sum as on ingress alone. */
void icmp_run(struct case_icmp *c);
/* It must pass untouched, for this reason. */
void icmp_passes(struct case_icmp *c, const struct packet *in, enum perch_reason reason);
void icmp_passes_built(struct case_icmp *c, enum perch_reason reason);

#endif
