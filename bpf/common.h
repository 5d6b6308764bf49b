/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What every part of the datapath needs: types, constants, memory access,
 * and struct packet, the one thing that is handed from step to step. */
#ifndef PERCH_BPF_COMMON_H
#define PERCH_BPF_COMMON_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <perch/abi.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define READ(x) (*(volatile typeof(x) *)&(x))
#define WRITE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define barrier() asm volatile("" ::: "memory")
/* Hides a value's history, so that the compiler keeps a scan branchless. */
#define opaque(v) asm volatile("" : "+r"(v))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A global function: verified once, on its own, and called. */
#define GLOBAL __attribute__((noinline))

const volatile struct perch_constants constants = {
	.set_mask = PERCH_FLOWS / PERCH_WAYS - 1,
	.tick_shift = 2,
	.cpus = 1,
	.services = PERCH_SERVICES,
	.backends = PERCH_BACKENDS,
	.listeners = PERCH_LISTENERS,
	.slice_words = PERCH_SLICE_WORDS,
};

enum tcp_bits { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

/* What a packet is of its datagram. */
enum piece { PIECE_WHOLE, PIECE_FIRST, PIECE_LATER };

/* Which way a packet goes. */
enum way { WAY_NONE, WAY_FORWARD, WAY_REPLY };

/*
 * A packet on its way through the programs: what parse found, which flow it
 * belongs to, and what is to be done with it.  Addresses are as on the wire,
 * IPv4 mapped; numbers are in host order, ports as on the wire.  It lives in
 * `scratch`, one per CPU and hook, because the stack holds 512 bytes for all
 * frames together; the programs run with softirqs off and never nest.
 */
struct packet {
	/* parse */
	struct perch_address source, destination;
	__be16 source_port, destination_port;
	u8 protocol, v6, tcp, ttl;	/* tcp: enum tcp_bits */
	u8 dscp;
	u8 hook;		/* enum perch_hook */
	u8 ip, transport;	/* where these headers are in the frame: a byte
				 * each, which is all that the verifier asks of a
				 * variable offset */
	u8 piece;		/* enum piece; a later fragment has no ports: 0 */
	u8 tags;		/* VLAN tags, in the frame and beside it */
	u8 scattered;		/* XDP: 1: the frame's end is in other buffers */
	u8 gso;
	u32 seq, ack;
	u32 payload;		/* bytes behind the transport header */
	u32 length;		/* of the frame */
	u32 ip_length;
	u32 ifindex;		/* it came in by */
	u32 segments;
	u8 to_listener, from_backend;	/* what the filter says */

	/* flow: where it would be, and where it was found */
	u32 set[2];
	u32 fingerprint, stripe, now;
	u32 found_set, found_way;
	u64 tag;
	u32 alias_set, alias_way;	/* where a reply was found first, if that was */
	u64 alias_tag;			/* an alias; 0: it was not */
	struct perch_flow flow;	/* a copy; the key names client and listener */
	struct perch_flow lapsed;	/* copy of an unanswered connect whose slot
				 * this flow took; backend 0: none */
	struct perch_flow spare;	/* the flow while its alias is entered */

	/* decision */
	u8 way;			/* enum way */
	u8 found;		/* the flow is there and good */
	u8 replace;		/* it is there, and a new one takes its slot */
	u8 answer;		/* tell the sender that it is over */
	u8 moved;		/* commit changed the next hop */
	u8 notes;		/* enum pick_note, counted by commit */
	u8 slot;		/* of the version */
	u8 votes;
	u8 forward;		/* enum perch_forward */
	u8 overhead;		/* bytes that a tunnel puts in front */
	u8 shrinks;		/* its segments are cut smaller to make room for them */
	u16 service;
	u32 reason;		/* enum perch_reason */
	u32 version;
	struct perch_address new_address;	/* backend's, or the listener's */
	__be16 new_port;
	u16 gso_size;
	__be16 client_port;	/* the client's end gets this one; 0: its own */
	struct perch_address client_address;	/* and this, if both ends change */
	u8 both;
	u8 closed;		/* this packet was its flow's end */
	u8 responds;		/* a response begins, whose status is to be read */
	u8 source_number;	/* of the source address that was searched out */
	u64 via;		/* next hop there, 0: not known */
	u64 path;		/* of a tunnel, as in its backend; else 0 */

	/* an ICMP error: then the ends, ports and protocol above are those of
	 * the packet that would answer the quoted one, and steer by that */
	u8 quote, quoted;	/* where the quoted IP and transport headers are */
	u8 quoted_sum;		/* and its transport checksum; 0: not quoted */
	u8 refuses;		/* nobody is there, it says */
	u8 from_end;		/* who says so is who the quoted packet was for */

	/* the route, while via is not known; not on the stack, where Linux 6.1
	 * rounds every frame up to 32 bytes */
	struct bpf_fib_lookup fib;
};

/* What every host takes, whole or put together again. */
#define IPV4_MTU_LEAST 576
#define IPV6_MTU_LEAST 1280

/* The next hop is this host's stack, which gets the packet rewritten. */
#define VIA_UP ((u64)PERCH_VIA_STACK << 48)

static __always_inline bool via_up(u64 via)
{
	return perch_via_device(via) == PERCH_VIA_STACK;
}

/* A header by its offset.  Opaque, because the verifier wants the very pointer
 * that was compared with the end, not one that was computed again. */
static __always_inline void *header_at(void *data, u32 offset)
{
	void *at = data + offset;

	opaque(at);
	return at;
}

static __always_inline u32 tick_now(void)
{
	return bpf_jiffies64() >> constants.tick_shift & 0xffffff;
}

static __always_inline bool address_equal(const struct perch_address *a, const struct perch_address *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) |
		 (a->word[2] ^ b->word[2]) | (a->word[3] ^ b->word[3]));
}

/* An IPv4 address in IPv6 form means IPv4 here; on the wire it is nobody's. */
static __always_inline bool address_mapped(const struct perch_address *a)
{
	return !(a->word[0] | a->word[1] | (a->word[2] ^ bpf_htonl(0xffff)));
}

#endif
