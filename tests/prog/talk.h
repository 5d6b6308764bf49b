/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A conversation through the programs: plays the client and the backend of
 * one connection and checks every byte that comes out.  What is forwarded
 * must be the packet that went in with address, port, MACs, TTL and checksums
 * changed, without its VLAN tags, and nothing else; what passes must be untouched.
 * Where a service does not translate, address and port are as they were; from a
 * tunnel the packet is taken out first, and the outer header is looked at.
 */
#ifndef PERCH_TEST_TALK_H
#define PERCH_TEST_TALK_H

#include "lab.h"
#include "outer.h"

enum talk_result { TALK_PASSED, TALK_FORWARDED, TALK_ANSWERED, TALK_DROPPED };

struct talk {
	struct lab *lab;
	enum lab_hook hook;
	bool complete;			/* TC: run with CHECKSUM_COMPLETE */
	/* What a spec can't say, done to what goes in and to what must come out. */
	void (*shape)(struct packet *p);
	bool translates;		/* the backend may see another client port */
	bool known;			/* the backend is; it shows in the first packet */
	unsigned host;			/* the backend's */
	struct packet_spec client;	/* what the client would send next */
	struct packet_spec backend;	/* and the backend */
	struct packet_spec seen;	/* what came out last, read back */
	struct outer outer;		/* what that was in */
	bool wrapped;			/* it was */
	struct packet in, out;
};

/* Client n towards the lab's listener of that family and protocol. */
void talk_init(struct talk *t, struct lab *lab, enum lab_hook hook, bool v6, __u8 protocol, __u32 n);

/* One packet with these TCP flags (0 for UDP) and payload.  The result, or
 * -EBADMSG when the bytes are not what they must be (told on stderr). */
int talk_client(struct talk *t, __u8 flags, unsigned payload);
int talk_backend(struct talk *t, __u8 flags, unsigned payload);

/* A whole handshake; TALK_FORWARDED when all three were. */
int talk_connect(struct talk *t);
/* The client's part of one whose replies are not seen: SYN and ACK. */
int talk_connect_blind(struct talk *t);
/* The version slot that the backend belongs to, by lab_web's hosts. */
unsigned talk_slot(const struct talk *t);
/* Copy of its flow, or -ENOENT. */
int talk_flow(const struct talk *t, struct flow_copy *ret);
/* Its entry itself; NULL without one. */
struct perch_flow *talk_entry(const struct talk *t);
/* Class of its flow; PERCH_FREE without one. */
enum perch_class talk_class(const struct talk *t);

#endif
