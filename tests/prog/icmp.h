/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP and ICMPv6 messages for tests: built whole, with a quote or without. */
#ifndef PERCH_TEST_ICMP_H
#define PERCH_TEST_ICMP_H

#include "packet.h"

struct icmp_spec {
	struct packet_spec outer;	/* ends, MACs, ttl; the rest is set */
	struct packet_spec quoted;	/* of the other direction */
	__u8 type, code;
	__u32 rest;
	__u16 cut;		/* bytes of the quoted transport segment; 0: all */
	__u8 padding;		/* bytes of 0 behind it */
};

void icmp_build(struct packet *p, const struct icmp_spec *s);
/* The same about the first n bytes of this packet, whatever s says of one. */
void icmp_wrap(struct packet *p, const struct icmp_spec *s, const struct packet *quoted, __u32 n);
/* What `from` tells the sender of a packet of `s` that is larger than `mtu`. */
void icmp_too_big(struct packet *p, const struct packet_spec *s, const struct perch_address *from, __u32 mtu);
/* Offset of the quoted IP header. */
__u32 icmp_quote(const struct packet *p);
/* Make the checksum right again, or that of the IPv4 header, after a change. */
void icmp_sum(struct packet *p);
void icmp_sum_ip(struct packet *p);

#endif
