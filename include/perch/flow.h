/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The part of the contract that is the flow table: classes and tags, keys,
 * entries, sets.  Include <perch/abi.h>, which holds the rest and the
 * conventions.
 */
#ifndef PERCH_ABI_FLOW_H
#define PERCH_ABI_FLOW_H

#include <perch/abi.h>

/*
 * Flow table: sets of eight ways, a line of tags beside the entries.
 * tag: {tick:24, class:4, generation:12, fingerprint:24}, fingerprint on top
 * and never 0 in a live entry.
 */
enum perch_class {
	PERCH_FREE = 0,
	PERCH_EMBRYONIC = 1,	/* TCP without proof of both ends */
	PERCH_UDP_NEW = 2,	/* UDP, the client has not answered a reply */
	PERCH_CLOSING = 3,
	PERCH_FRAGMENTS = 4,	/* leads later fragments; nobody's connection */
	PERCH_TCP = 5,		/* established with proof; from here on live
				 * entries never give way */
	PERCH_UDP = 6,
	PERCH_ALIAS = 7,	/* leads the replies to a translated source port to
				 * their flow; nobody's connection */
	PERCH_ONE_SIDED = 8,	/* TCP whose replies bypass this host: its client
				 * went on after its SYN, which anybody can do, so
				 * that it gives way before what is proven */
	PERCH_ALIAS_NEW = 9,	/* an alias of a flow that is not proven yet */
	PERCH_BUSY = 14,
};
static inline __u32 perch_tag_fingerprint(__u64 tag) { return tag >> 40; }
static inline __u32 perch_tag_generation(__u64 tag) { return tag >> 28 & 0xfff; }
static inline __u32 perch_tag_class(__u64 tag) { return tag >> 24 & 0xf; }
static inline __u32 perch_tag_tick(__u64 tag) { return tag & 0xffffff; }
static inline __u64 perch_tag(__u32 fingerprint, __u32 generation, __u32 class, __u32 tick)
{
	return (__u64)fingerprint << 40 | (__u64)(generation & 0xfff) << 28 |
	       (__u64)(class & 0xf) << 24 | (tick & 0xffffff);
}
#define PERCH_TAG_IDENTITY 0xfffffffff0000000ull

/* In a key's protocol: the entry is of class PERCH_FRAGMENTS, without ports. */
#define PERCH_KEY_FRAGMENTS 0x80

struct perch_flow_key {
	struct perch_address client;
	__be16 client_port;
	__be16 port;		/* the port the client connected to */
	__u16 listener;
	__u8 protocol;
	__u8 alias;		/* enum perch_alias; client_port is the translated one */
};
_Static_assert(sizeof(struct perch_flow_key) == 24, "flow key");

/* Of nat, where a client's own port is in use towards a backend; and of
 * fullnat, where `client` is the source address: its place is that of source
 * and backend together, of eight neighbouring ports in the same sets. */
enum perch_alias { PERCH_NO_ALIAS, PERCH_ALIAS_PORT, PERCH_ALIAS_SOURCE };

enum perch_flow_flag {
	PERCH_FLOW_ANSWERED = 1 << 0,	/* SYN-ACK or first reply seen */
	PERCH_FLOW_RESYN = 1 << 1,	/* the SYN came again */
	PERCH_FLOW_FIN_CLIENT = 1 << 2,
	PERCH_FLOW_FIN_BACKEND = 1 << 3,
	PERCH_FLOW_RESET = 1 << 4,	/* a RST was believed */
	PERCH_FLOW_VOTES = 1 << 5,	/* chosen by the hash */
	PERCH_FLOW_HTTP = 1 << 6,	/* .. << 7: enum perch_http, the worst yet */
	PERCH_FLOW_SEVERED = 1 << 8,
	PERCH_FLOW_OVER = 1 << 9,	/* .. << 12: a response above limit 0..3 */
	PERCH_FLOW_TOLD_CLIENT = 1 << 13,	/* severed: this end was sent a RST */
	PERCH_FLOW_TOLD_BACKEND = 1 << 14,
	PERCH_FLOW_UNANSWERED = 1 << 15,	/* its connect has counted as failed, or it
					 * was entered without its SYN */
	PERCH_FLOW_UP = 1 << 16,	/* goes through this host's stack */
	PERCH_FLOW_WAITED = 1 << 17,	/* its longest wait has voted */
	PERCH_FLOW_AGAIN = 1 << 18,	/* the client sent something again */
	PERCH_FLOW_FULLNAT = 1 << 19,	/* its source is translated too, */
	PERCH_FLOW_SOURCE = 1 << 20,	/* .. << 22: to the address of this number; of
					 * PERCH_ALIAS_SOURCE too */
	PERCH_FLOW_SETTLED = 1 << 23,	/* its outcomes have voted */
	PERCH_FLOW_WAIT = 1 << 24,	/* .. << 31: histogram bucket of its longest wait
					 * + 1; 0: no response was timed yet */
};
enum perch_http { PERCH_HTTP_NONE, PERCH_HTTP_GOOD, PERCH_HTTP_CLIENT_ERROR, PERCH_HTTP_SERVER_ERROR };
static inline __u32 perch_flow_source(__u32 flags) { return flags >> 20 & (PERCH_SOURCES - 1); }
static inline __u32 perch_flow_http(__u32 flags) { return flags >> 6 & 3; }
static inline __u32 perch_flow_with_http(__u32 flags, __u32 http) { return (flags & ~0xc0u) | http << 6; }
static inline __u32 perch_flow_wait(__u32 flags) { return flags >> 24; }	/* + 1 */
static inline int perch_flow_turned(__u32 flags) { return perch_flow_wait(flags) != 0; }
static inline __u32 perch_flow_with_wait(__u32 flags, __u32 bucket) { return (flags & 0xffffff) | (bucket + 1) << 24; }

struct perch_flow {
	struct perch_flow_key key;
	__u16 backend;
	__be16 translated;	/* source port towards the backend; 0: unchanged.  Of
				 * an alias, whose client_port is that one: the
				 * client's own */
	__u32 epoch;
	__u64 via;		/* next hop towards the client */
	union {
		struct {
			__u64 created;	/* ns */
			__u32 client_next;	/* sequence number after the client's
						 * last byte; the ISN + 1 while embryonic */
			__u32 backend_next;	/* likewise; 0 until ANSWERED */
		};
		struct perch_address owner;	/* of PERCH_ALIAS_SOURCE: the client */
	};
	__u32 request_at;	/* when the pending request ended, ns >> 10; 0: none */
	__u32 flags;		/* enum perch_flow_flag */
};
_Static_assert(sizeof(struct perch_flow) == 64, "flow");

struct perch_flow_set {
	__u64 tag[PERCH_WAYS];
	struct perch_flow flow[PERCH_WAYS];
};
_Static_assert(sizeof(struct perch_flow_set) == 576, "flow set");

/* One lock per stripe of the flow hash, a line each; kernel only. */
struct perch_stripe {
	__u32 lock;
	__u32 line[15];
};
_Static_assert(sizeof(struct perch_stripe) == 64, "stripe");

/* Idle time after which an entry is no more, in seconds. */
#define PERCH_TIMEOUTS(X)                                                      \
	X(PERCH_EMBRYONIC, 6) X(PERCH_UDP_NEW, 30) X(PERCH_CLOSING, 10)        \
	X(PERCH_FRAGMENTS, 120)                                                \
	X(PERCH_TCP, 7200) X(PERCH_UDP, 120) X(PERCH_ALIAS, 7200)              \
	X(PERCH_ONE_SIDED, 7200) X(PERCH_ALIAS_NEW, 7200)

#endif
