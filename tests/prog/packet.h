/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Packets for tests: built whole from a description, read back and checked
 * field by field, compared byte by byte.
 */
#ifndef PERCH_TEST_PACKET_H
#define PERCH_TEST_PACKET_H

#include <stdbool.h>
#include <stdio.h>

#include <perch/abi.h>

#define PACKET_MAX 16384

struct packet {
	__u32 length;
	__u8 byte[PACKET_MAX];
};

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

/* What a packet says.  Ports are in host order. */
struct packet_spec {
	__u8 from_mac[6], to_mac[6];
	__u8 vlans;			/* tags, 0 to 2 where it is to be read back */
	struct perch_address from, to;	/* both of one family */
	__u16 from_port, to_port;
	__u8 protocol;
	__u8 ttl;			/* or hop limit */
	__u8 tos;			/* or traffic class */
	__u16 fragment;			/* IPv4: the field; IPv6: offset and M of a fragment header; 0: none */
	__u8 ip_options;		/* bytes of IPv4 options or of an IPv6 hop-by-hop header (8, 16, ...) */
	__u8 tcp_options;		/* bytes, a multiple of 4 */
	__u8 flags;			/* TCP */
	__u32 seq, ack;
	__u16 window;
	__u16 payload;			/* bytes, made from seed */
	__u32 seed;
	const char *text;		/* what they begin with; NULL: nothing said */
	bool unsummed;			/* UDP without a checksum */
};

/* Offsets into a packet. */
struct packet_layout {
	__u32 ip, transport, payload, end;
	__u32 ip_sum, sum;		/* of the checksum fields; 0: none */
	__u8 protocol;
};

void packet_build(struct packet *p, const struct packet_spec *s);

/* One fragment of a whole packet without options: `bytes` of what is behind the
 * IP header from `from` on, a multiple of 8; cut at the end. */
void packet_fragment(const struct packet *whole, unsigned from, unsigned bytes, struct packet *ret);

/* Put an extension header of `bytes` behind the IPv6 header; of the routing
 * header `type` and `left` stops. */
void packet_extend(struct packet *p, __u8 kind, unsigned bytes, __u8 type, __u8 left);

/* Where the parts of an IP packet are.  NULL, or what is wrong with it. */
const char *packet_lay_out(const struct packet *p, struct packet_layout *ret);
/* Read a whole, unfragmented TCP or UDP packet back (all but the seed).
 * NULL, or what is wrong with it: lengths and every checksum are checked. */
const char *packet_read(const struct packet *p, struct packet_spec *ret);

/* Does the transport checksum hold no more than the pseudo header's sum, as in
 * a packet whose checksum is left to the device?  One in 65,536 that are whole
 * looks so too. */
bool packet_sum_is_pseudo(const struct packet *p);
/* Make it so. */
void packet_leave_sum(struct packet *p);

/* Equal, where a checksum of 0 and one of 0xffff are the same number.  If
 * not, both are printed to `report` with the differing bytes marked. */
bool packet_same(const struct packet *got, const struct packet *want, FILE *report);
void packet_print(const struct packet *p, const struct packet *other, FILE *out);

#endif
