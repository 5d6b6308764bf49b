/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A packet inside another one, for tests: IP in IP and GUE variant 1. */
#ifndef PERCH_TEST_OUTER_H
#define PERCH_TEST_OUTER_H

#include "packet.h"

#define OUTER_GUE 6080

/* The outer header.  Ports are in host order, 0 in IP in IP. */
struct outer {
	struct perch_address from, to;	/* both of one family */
	__u8 ttl, tos;
	__u8 protocol;		/* IPPROTO_IPIP, IPPROTO_IPV6 or IPPROTO_UDP */
	bool fragments;		/* IPv4 without DF */
	__u32 label;		/* IPv6 */
	__u16 from_port, to_port;
	__u16 sum;		/* of UDP */
};

/* NULL and both parts, the inner one with the outer one's MACs; or what is
 * wrong: lengths and IPv4's checksum are looked at. */
const char *outer_read(const struct packet *p, struct outer *ret, struct packet *ret_inner);
/* `inner`, a whole frame, inside what o says. */
void outer_build(struct packet *p, const struct outer *o, const struct packet *inner);

#endif
