/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parts of the model hand to each other. */
#ifndef PERCH_FUZZ_PARTS_H
#define PERCH_FUZZ_PARTS_H

#include "model.h"

#define NOBODY 0xffffffffu
#define UNDERSTOOD -1
#define ON -1			/* no reason to stop */

/* An entry of the table. */
struct slot {
	struct perch_flow_set *set;	/* NULL: none */
	unsigned way;
};

/* A packet as the model reads it, and what is to become of it. */
struct seen {
	bool v6;
	__u32 ip, transport;	/* offsets */
	__u32 tags;		/* of VLANs, in front of ip */
	bool first, later;	/* a fragment; a later one has no ports */
	__u32 ip_length;	/* as the header says */
	__u32 length;		/* of the frame */
	__u32 segments;
	struct perch_address source, destination;
	__be16 source_port, destination_port;
	__u8 protocol, flags, ttl, dscp;
	__u32 seq, ack, payload;
	bool to_listener, from_backend;

	bool reply;		/* its way */
	struct model_place place;
	struct slot at;		/* its flow's entry */
	struct slot alias;	/* by which a reply's was found */
	struct slot replaces;	/* an entry of the same key that is no good */
	struct perch_flow flow;	/* before the packet; or the new one */
	__u32 class;		/* before the packet */
	bool answer;

	/* the choice */
	__u32 service, listener;
	bool torn, ambiguous, empty, pinned, ruled, void_target;

	/* where it goes */
	struct perch_address new_address;
	__be16 new_port, client_port;	/* client_port 0: its own */
	struct perch_address client_address;	/* if both ends change */
	__u64 via;		/* 0: not known */
	__u8 forward;		/* enum perch_forward */
	__u32 overhead;		/* bytes that a tunnel puts in front */
	__u32 fits;		/* what its next hop takes of IP, if it is too big for it */
	bool both;		/* they do: fullnat */

	/* of an ICMP error: then ends, ports, protocol and number above are those of
	 * the packet that would answer what it quotes */
	__u32 quote, quoted;	/* offsets of the quoted headers, */
	__u32 quoted_sum;	/* and of the inner one's checksum; 0: not quoted */
	bool refuses;		/* it says that nobody is there */
	bool from_end;		/* it is from whom the quoted packet was for */
};

static inline bool same_address(const struct perch_address *a, const struct perch_address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

static inline bool is_v4(const struct perch_address *a)
{
	const __u8 *b = (const __u8 *)a;

	return !a->word[0] && !a->word[1] && !b[8] && !b[9] && b[10] == 0xff && b[11] == 0xff;
}

/* What the table knows it by. */
static inline __u8 key_protocol(const struct seen *p)
{
	return p->protocol | (p->later ? PERCH_KEY_FRAGMENTS : 0);
}

static inline bool is_tcp(const struct seen *p)
{
	return p->protocol == 6;
}

static inline struct perch_flow *slot_flow(struct slot s)
{
	return &s.set->flow[s.way];
}

static inline __u64 *slot_tag(struct slot s)
{
	return &s.set->tag[s.way];
}

/* model.c */
void count(struct model *m, enum perch_reason reason);
void touched(struct model *m, const struct perch_flow_set *set);
/* Had `when` come, when the program looked?  or: at `when` itself, too. */
bool is_past(struct model *m, __u64 when, bool or_now);

/* read.c: UNDERSTOOD, or the reason to pass it. */
int read_packet(struct model *m, struct seen *p);
bool read_is_ours(struct model *m, struct seen *p);
bool read_is_icmp(const struct seen *p);
__u32 read_number(const __u8 *at, unsigned bytes);

/* quote.c: an ICMP error, which read_packet does not understand: as that. */
int quote_read(struct model *m, struct seen *p);
/* The same, which passes for `reason` so far, about a packet in a tunnel. */
int quote_tunnel(struct model *m, struct seen *p, int reason);

/* hash.c */
__u64 hash_connection(const struct model *m, const struct seen *p, __u8 affinity);
__u32 hash_share(__u64 hash, __u64 salt);
__u64 hash_scramble(__u64 h);

/* choose.c: the backend of a new flow, with epoch and flags; 0: nobody lives. */
__u32 choose(struct model *m, struct seen *p, const struct perch_listener *l);
bool plan_of(const struct model *m, __u32 service, struct perch_plan *ret);
void choose_tell(struct model *m, const struct seen *p);
bool version_lives(const struct model *m, __u32 version);

/* find.c: what is to become of p: ON, or the reason to leave it alone. */
int find(struct model *m, struct seen *p);
/* Where p goes to; NULL: nobody's. */
struct perch_listener *listener_of(struct model *m, const struct seen *p);

/* table.c */
bool tag_expired(const struct model *m, __u64 tag);
struct slot table_forward(struct model *m, const struct seen *p);
/* The flow that a reply belongs to; p->alias when it was led there by one. */
struct slot table_reply(struct model *m, struct seen *p);
/* fullnat.c: the same of a reply to a source of this host. */
struct slot table_reply_full(struct model *m, struct seen *p);
/* The port of a flow that has ended rests. */
void full_release(struct model *m, const struct seen *p);
/* Class and last packet of an entry. */
void table_touch(struct model *m, struct slot s, __u32 class);
/* The same of an alias, whose flow is of this class. */
void table_touch_alias(struct model *m, struct slot s, __u32 class);
enum entered { ENTERED, ENTERED_NOT_FULL, ENTERED_NOT_BUSY, ENTERED_NOT_ALIAS };
/* Enter p->flow; ENTERED: p->at. */
enum entered table_enter(struct model *m, struct seen *p);
/* Leave an entry for the fragments of p's flow, or refresh the one that is there. */
enum entered table_leave(struct model *m, const struct perch_flow *f);

/* pieces.c: fragments.  `reason`, or what speaks against it. */
int pieces_taken(const struct model *m, const struct seen *p, int reason);
/* Where those without ports go to; NULL: nobody takes them. */
struct perch_listener *pieces_listener(struct model *m, const struct perch_address *address, __u8 protocol);
/* A later one goes by its entry; p's own are to be expected. */
void pieces_follow(struct model *m, struct seen *p);
void pieces_expect(struct model *m, const struct seen *p);

/* hop.c: ON, or the reason to pass it. */
int hop_find(struct model *m, struct seen *p);
int hop_way(struct model *m, struct seen *p);	/* of a packet that is no answer and whole */
__u64 hop_cached(const struct model *m, __u64 via);
#define VIA_UP ((__u64)PERCH_VIA_STACK << 48)
static inline bool hop_up(__u64 via)
{
	return perch_via_device(via) == PERCH_VIA_STACK;
}

/* states.c: what a packet does to its flow. */
/* The program's clock in units of about a microsecond, as the entry has it. */
__u32 told_clock(struct model *m, struct slot s);
void states_follow(struct model *m, struct seen *p);
__u32 states_end(const struct seen *p);

/* witness.c: evidence. */
void witness_failed(struct model *m, const struct perch_flow *f);
void witness_answered(struct model *m, const struct perch_flow *f);
void witness_established(struct model *m, const struct perch_flow *f);
void witness_reset(struct model *m, const struct perch_flow *f);
void witness_udp(struct model *m, const struct perch_flow *f);
bool witness_observed(struct model *m, const struct perch_flow *f);
void witness_settled(struct model *m, struct perch_flow *f);
void witness_response(struct model *m, const struct perch_flow *before, struct perch_flow *f, __u32 us);

/* unpack.c: what passes for this reason comes out of its tunnel, if that ends
 * here: the reason. */
int unpack(struct model *m, const struct seen *p, int reason);

/* toobig.c: may the stack take it apart on its way?  Else what becomes of it:
 * the reason. */
bool toobig_splits(const struct model *m, const struct seen *p);
int toobig_tell(struct model *m, const struct seen *p);

/* write.c: the bytes that leave. */
void write_packet(struct model *m, const struct seen *p);
void write_answer(struct model *m, const struct seen *p);
void write_error(struct model *m, const struct seen *p);
bool write_sum_is_pseudo(const struct model *m, const struct seen *p);

#endif
