/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tables of packets.  A row says what is sent and in which state, and what has
 * to become of it: the verdict, every byte, the one reason that is counted.  It
 * is tried by every hook and in both families, as far as it applies.  What must
 * come out is built from scratch from a description; nothing is taken from what
 * did come out but the hash in an outer header.
 */
#ifndef PERCH_TEST_PACKETS_H
#define PERCH_TEST_PACKETS_H

#include "icmp_case.h"

#define PACKETS_HOST 2		/* of the one backend that there is */
#define PACKETS_MTU 1400	/* of a narrow lab */

/* Where a row applies; 0: everywhere. */
enum where { V4 = 1, V6 = 2, XDP = 4, TC = 8 };

/* What the program says. */
enum said { PASSES, FORWARDS, DROPS, ANSWERS };

enum base { NOWHERE, FRAME, IP, TRANSPORT, QUOTE };

/* One byte set in what is sent, its checksum left as it was. */
struct poke {
	enum base base;
	__u8 at, value;
};

struct row;

/* One packet on its way. */
struct trial {
	const struct row *row;
	struct mode mode;
	struct lab_run how;
	__u16 port;			/* fullnat: the only one of its source */
	bool wrapped;			/* it must come out inside `outer` */
	struct outer outer;
	struct packet_spec spec;	/* what is sent */
	struct talk talk;
	struct packet in, want, out;
};

struct row {
	const char *name;
	unsigned where;			/* enum where, or'ed */
	__u8 protocol;			/* 0: TCP */
	__u8 flags;
	__u8 vlans;
	bool reply;			/* the backend sends it */
	bool unsummed;			/* UDP without a checksum */
	bool exact;			/* a checksum of 0 is not one of 0xffff */
	bool own;			/* ICMP: from the end itself, not from a router */
	bool crossed, gue;		/* of a tunnel that ends here: the other family inside */
	__u8 error;			/* ICMP: of icmp_errors */
	__u16 cut;			/* ICMP: bytes quoted of the segment; 0: all */
	__u16 payload;
	struct { __u16 from, bytes; } piece;	/* a fragment, when it has bytes */
	struct { enum base base; __u16 bytes; } keep;	/* the frame ends there */
	struct poke poke[2];
	bool (*state)(struct trial *t);	/* what was before; NULL: nothing */
	void (*say)(struct trial *t);	/* changes `spec` */
	void (*shape)(struct packet *p);	/* of what is sent and of what must come out */
	void (*build)(struct trial *t);	/* both; NULL: it must come out as it went in */
	enum said said;
	enum perch_reason reason;
	enum perch_reason note;		/* counted as well; 0: none */
};

/* A lab with one backend, all to stable, changed by `before` and, once the
 * services are in the kernel, by `after` (backends, devices). */
struct world {
	enum perch_forward forward;
	void (*before)(struct lab *lab);
	void (*after)(struct lab *lab);
};
/* NULL: the end of all of them. */
int packets_setup(void **state, const struct world *w);

/* Are the backends on this host? */
void packets_local(struct lab *lab, bool local);

/* Try all of them; fails when any was not as its row says. */
void packets_try(struct lab *lab, const struct row *rows, size_t n);
#define packets_try_all(lab, rows) packets_try(lab, rows, sizeof(rows) / sizeof((rows)[0]))
/* What was tried so far: packets, and rows. */
unsigned packets_tried(unsigned *ret_rows);

/* States (packets_states.c).  They return whether they came about. */
bool after_syn(struct trial *t);
bool after_syn_ack(struct trial *t);
bool after_connect(struct trial *t);
bool after_syn_and_ack(struct trial *t);	/* of which no reply is seen */
bool after_close(struct trial *t);
bool after_request(struct trial *t);	/* UDP */
bool after_reply(struct trial *t);
bool after_first_piece(struct trial *t);
bool after_sever(struct trial *t);	/* a connection of TCP */
bool after_sever_udp(struct trial *t);

/* What is sent, and what must come out (packets_build.c). */
void as_it_came(struct trial *t);
void turned(struct trial *t);		/* sent off as its service forwards */
void turned_up(struct trial *t);	/* to a backend on this host */
void turned_out(struct trial *t);	/* by a backend on this host, from tc_out */
void reset(struct trial *t);		/* to its sender */
void told(struct trial *t);		/* that it is too big for PACKETS_MTU */
void error_passed(struct trial *t);	/* an ICMP error, as it came */
void error_turned(struct trial *t);	/* and to the other end */
void unpacked(struct trial *t);		/* out of a tunnel */
void wrapped_as_it_came(struct trial *t);	/* or not */
void unpack_for_others(struct trial *t);	/* to whom its outer header leads */

#endif
