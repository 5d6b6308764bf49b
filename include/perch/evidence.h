/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The part of the contract by which the kernel tells user space what happened:
 * counters, votes, histograms, the reasons of every exit, samples and events.
 * Include <perch/abi.h>, which holds the rest and the conventions.
 */
#ifndef PERCH_ABI_EVIDENCE_H
#define PERCH_ABI_EVIDENCE_H

#include <perch/abi.h>

/*
 * Evidence.  Counters of a backend, per CPU.  active = opened - ended.
 */
struct perch_counters {
	__u64 opened;		/* flows that entered the table */
	__u64 ended;		/* flows that closed, expired or were replaced */
	__u64 unlearned;	/* connections forwarded without an entry */
	__u64 packets;		/* both directions; GSO counted by segment */
	__u64 bytes;		/* both directions, from the Ethernet header on */
	__u64 connect_failures;
	__u64 resets;		/* RST by the backend before anybody's FIN */
	__u64 reserved;
};
_Static_assert(sizeof(struct perch_counters) == 64, "counters");

/*
 * Votes and histograms of one version of an observed service, per CPU;
 * element observed * PERCH_SLOTS + slot.  Voting counts take connections that
 * the hash chose in an epoch >= observed.since_epoch; histograms take all.
 */
struct perch_votes {
	__u64 connects;		/* decided: answered or failed */
	__u64 connect_failures;
	__u64 established;
	__u64 resets;
	__u64 responders;	/* connections with a timed response */
	__u64 over[PERCH_LIMITS];	/* of these, with one above the limit */
	__u64 udp_flows;	/* connections of UDP, which nothing decides */
	__u64 http[5];		/* responses by their status's first digit, 1..5 */
	__u64 no_response;	/* connections of TCP that asked and got nothing, and */
	__u64 retransmits;	/* those whose client had to send again, as they settle;
				 * all, not only those that vote */
	__u64 reserved;
	__u64 connect_time[PERCH_HIST_BUCKETS];	/* SYN to SYN-ACK */
	__u64 response_time[PERCH_HIST_BUCKETS];	/* per turn */
	__u64 longest_wait[PERCH_HIST_BUCKETS];	/* per connection, as it settles */
};
_Static_assert(sizeof(struct perch_votes) == 144 + 24 * PERCH_HIST_BUCKETS, "votes");

/*
 * Histogram buckets, in microseconds: 0..7 exact, then eight per octave up to
 * 2^26 us (67 s); the last takes the rest.
 */
static inline __u32 perch_hist_bucket(__u64 us)
{
	__u32 v = us > 0x3ffffff ? 0x3ffffff : us, octave = 0;

	for (__u32 step = 16; step; step >>= 1)
		if (v >> (octave + step) >= 8)
			octave += step;
	return octave * 8 + (v >> octave);
}

/*
 * Tallies: the same connections as votes of a comparison, kept apart by the
 * epoch in which the hash chose, because the canary's share differs between
 * them; per CPU, element observed * PERCH_SLOTS + slot.  Outcomes but the first
 * are told as a connection settles: when it ends, or PERCH_SETTLE_NS after it
 * began.  Only even epochs are tallied (in odd ones nothing is compared), in
 * cell epoch / 2 % PERCH_EPOCHS; a newer epoch takes the cell over.
 */
#define PERCH_EPOCHS 8
#define PERCH_EDGES 5
#define PERCH_NO_EDGE 255
#define PERCH_SETTLE_NS 30000000000ull
enum perch_outcome {
	PERCH_CONNECT_FAILURE,	/* of connects answered or failed */
	PERCH_RESET,		/* by the backend before anybody's FIN */
	PERCH_NO_RESPONSE,	/* of connections that asked something */
	PERCH_RETRANSMITS,	/* the client had to send again */
	PERCH_HTTP_4XX,		/* the worst status was one; of connections with a
				 * response in HTTP/1 */
	PERCH_HTTP_5XX,		/* likewise; told as it comes */
	PERCH_UDP_NO_REPLY,	/* of flows of UDP */
	PERCH_OUTCOMES
};
enum perch_wait {
	PERCH_WAIT_CONNECT,	/* SYN to SYN-ACK */
	PERCH_WAIT_RESPONSE,	/* the longest from a request to its response, or
				 * to now, while there is none */
	PERCH_WAITS
};

struct perch_tally {
	__u64 epoch;		/* 0: empty, or being emptied */
	__u64 late;		/* votes of an epoch whose cell was gone: not taken */
	__u64 clients;		/* never seen in this rollout before */
	struct {
		__u64 decided;
		__u64 bad;	/* of these */
		__u64 capped;	/* bad ones beyond the cap of their client: of
				 * `decided`, not of `bad`; they do not vote */
	} outcome[PERCH_OUTCOMES];
	struct {
		__u64 n;
		__u64 above[PERCH_EDGES];	/* above edge j of its arm, as capped */
	} wait[PERCH_WAITS];
};
_Static_assert(sizeof(struct perch_tally) == 288, "tally");

struct perch_tallies {
	struct perch_tally cell[PERCH_EPOCHS];
};

/*
 * Caps of bad votes, by client address and outcome, of both arms alike: a word
 * {used:48, period:16} has room for 12 groups of PERCH_CAP_VOTES per period of
 * PERCH_CAP_NS, or, for `once`, for 48 clients per rollout.  Those who were
 * seen have words of their own.  Who stalls for a moment makes all wait that
 * are with him: one wait above an edge votes per PERCH_STALL_NS, of either arm.
 */
#define PERCH_CAP_VOTES 4
#define PERCH_CAP_NS 10000000000ull
#define PERCH_CAP_WORDS 2048
#define PERCH_CLIENT_WORDS 1024
#define PERCH_STALL_NS 1000000000ull
struct perch_caps {
	__u64 word[PERCH_CAP_WORDS];
	__u64 client[PERCH_CLIENT_WORDS];
	__u64 stall[PERCH_WAITS][PERCH_EDGES];	/* PERCH_STALL_NS since boot, of the last */
};

/*
 * Blame: whose the canary's bad votes are, by backend id modulo PERCH_BLAMED.
 * Kinds are outcomes, and behind them waits: those that voted above an edge.
 */
#define PERCH_BLAMED 16
#define PERCH_BLAME_KINDS (PERCH_OUTCOMES + PERCH_WAITS)
struct perch_blame {
	__u32 bad[PERCH_BLAMED][PERCH_BLAME_KINDS];
};

/*
 * Turns of connections that have lasted PERCH_POOL_AGE_NS and vote in a
 * comparison: element by a hash of the flow's place, first come first served.
 * Minutes are those of the kernel's monotonic clock.
 */
#define PERCH_POOL 4096
#define PERCH_POOL_AGE_NS 10000000000ull
#define PERCH_MINUTE_NS 60000000000ull
#define PERCH_POOL_SLACK_US 1000	/* who is woken later by that is not slower */
struct perch_turns_of {
	__u32 minute;
	__u32 n;		/* turns */
	__u32 sum;		/* of the histogram bucket of each, with the slack */
};

struct perch_turns {
	__u64 created;		/* the flow's; 0: free */
	__u32 epoch;
	__u16 service;
	__u16 slot;
	struct perch_turns_of first;	/* the connection's first minute, once it is over */
	struct perch_turns_of before;	/* its last minute but one */
	struct perch_turns_of now;	/* the minute of its last turn */
	__u32 zero;
	__u64 reserved;
};
_Static_assert(sizeof(struct perch_turns) == 64, "turns");

/*
 * Observed: what the kernel needs to vote and to pull the reflex.
 * reflex: {streak:16, stable_ok:16, stable_bad:16, clients:16}, one word so
 * that it moves by compare-and-swap.  streak in the low half; the last three
 * count since the streak began.
 */
struct perch_observed {
	__u64 reflex;
	__u32 service;
	__u32 reflex_limit;	/* failures in a row; 0: off */
	__u32 since_epoch;
	__u32 limits;		/* limits in use */
	__u32 limit_us[PERCH_LIMITS];
	__u8 dirty[PERCH_SLOTS];	/* set by votes, cleared by the timer */
	__u8 compares;		/* tallies are kept */
	__u8 once;		/* a client's bad votes count once per rollout, and
				 * its waits too: it keeps its version */
	__u8 canary;		/* slot; the others' edges are stable's */
	__u8 http;		/* statuses of HTTP/1 are read */
	/* histogram buckets that a wait is above or not; PERCH_NO_EDGE: unused.
	 * [0] stable's, [1] the canary's */
	__u8 edge[2][PERCH_WAITS][PERCH_EDGES];
	__u8 zero_too[4];
	__u64 reserved[6];
};
_Static_assert(sizeof(struct perch_observed) == 128, "observed");

/*
 * Reasons: every exit of a program has one and counts it, per hook.
 */
enum perch_hook { PERCH_HOOK_XDP, PERCH_HOOK_TC_IN, PERCH_HOOK_TC_OUT, PERCH_HOOKS };
enum perch_verdict { PERCH_V_PASS, PERCH_V_FORWARD, PERCH_V_DROP, PERCH_V_ANSWER, PERCH_V_NOTE };

/* X(NAME, verdict, name, what it says) */
#define PERCH_REASONS(X)                                                       \
	X(NOT_OURS, PASS, "not_ours", "no listener and no flow of ours")        \
	X(NOT_IP, PASS, "not_ip", "neither IPv4 nor IPv6, or behind more than two VLAN tags")   \
	X(MALFORMED, PASS, "malformed", "a length that contradicts another")      \
	X(IP_OPTIONS, PASS, "ip_options", "IPv6 extension headers beyond the bounds, or a source route") \
	X(FRAGMENT, PASS, "fragment", "a fragment, and its service does not take them") \
	X(PROTOCOL, PASS, "protocol", "neither TCP nor UDP")                   \
	X(LAND, PASS, "land", "its source is its destination")                  \
	X(NO_LISTENER, PASS, "no_listener", "address of ours, port not")        \
	X(NOT_OUR_REPLY, PASS, "not_our_reply", "from a backend, but no flow names it") \
	X(NO_BACKEND, PASS, "no_backend", "neither the chosen version nor stable has a live backend") \
	X(NO_ROUTE, PASS, "no_route", "no route to the next hop")                \
	X(NO_NEIGHBOUR, PASS, "no_neighbour", "XDP left it to TC: next hop not resolved") \
	X(NO_XMIT, PASS, "no_xmit", "XDP left it to TC: device takes no redirected frames, or none of this size") \
	X(NO_CHECKSUM, PASS, "no_checksum", "XDP left it to TC: its checksum is yet to be filled in") \
	X(TOO_BIG, PASS, "too_big", "XDP left it to TC: larger than the next hop's MTU") \
	X(TTL, PASS, "ttl", "time to live is over")                             \
	X(REWRITE_FAILED, DROP, "rewrite_failed", "the kernel refused a change to the packet") \
	X(FORWARDED, FORWARD, "forwarded", "to its backend, by its flow")        \
	X(NEW, FORWARD, "new", "first packet of a connection")                  \
	X(UNLEARNED, FORWARD, "unlearned", "by the hash: not in the flow table") \
	X(REPLY, FORWARD, "reply", "to its client, by its flow")                \
	X(SEVERED, ANSWER, "severed", "answered with a reset: version was severed") \
	X(SEVERED_DROP, DROP, "severed_drop", "severed, and nothing to answer")   \
	X(AMBIGUOUS, NOTE, "ambiguous", "TCP without SYN and without a flow, assigned anew") \
	X(TABLE_FULL, NOTE, "table_full", "no slot for a new flow")              \
	X(LOCK_BUSY, NOTE, "lock_busy", "stripe lock not had; flow not learned")  \
	X(PLAN_TORN, NOTE, "plan_torn", "plan moved in four reads; stable was chosen") \
	X(EMPTY_VERSION, NOTE, "empty_version", "chosen version has no live backend; stable took it") \
	X(FOREIGN, NOTE, "foreign", "flow slot changed hands under us")           \
	X(ADOPTED, PASS, "adopted", "a connection from before its address was taken over") \
	X(TURNED_LATER, PASS, "turned_later", "a reply through the stack, as its request: turned where it leaves") \
	X(LEAVING, PASS, "leaving", "its service is being handed back to the stack") \
	X(STABLE_DOWN, ANSWER, "stable_down", "answered with a reset: no backend of stable lives") \
	X(STABLE_DOWN_DROP, DROP, "stable_down_drop", "no backend of stable lives, and nothing to answer") \
	X(PINNED, NOTE, "pinned", "a pin chose the version")                   \
	X(RULED, NOTE, "ruled", "a rule chose the version")                    \
	X(TARGET_VOID, NOTE, "target_void", "a pin or rule named a version without a role; the hash chose") \
	X(ALIASED, NOTE, "aliased", "source port translated: the client's own is in use towards this backend") \
	X(NO_ALIAS, NOTE, "no_alias", "no source port was free to translate to; flow not learned") \
	X(DEADMAN, NOTE, "deadman", "the kernel rolled a canary back: its agent was gone") \
	X(ICMP, FORWARD, "icmp", "an ICMP error about a connection, to the end it is for") \
	X(TOO_BIG_TOLD, ANSWER, "too_big_told", "larger than the next hop's MTU: its sender was told what fits") \
	X(TOO_BIG_DROP, DROP, "too_big_drop", "larger than the next hop's MTU, and senders were told often enough this second") \
	X(NO_SOURCE, DROP, "no_source", "fullnat: no source port towards this backend was free") \
	X(RACE, PASS, "race", "XDP left it to TC: two CPUs saw its first packet") \
	X(REFLEX, NOTE, "reflex", "the kernel rolled a canary back")           \
	X(NOT_ON_LINK, PASS, "not_on_link", "dsr: its backend is behind a router, where a MAC does not lead") \
	X(UNPACKED, PASS, "unpacked", "taken out of its tunnel, for this host") \
	X(NOT_UNPACKED, PASS, "not_unpacked", "in a tunnel that ends here, but damaged or for somebody else") \
	X(LEFT_WRAPPED, PASS, "left_wrapped", "XDP left it to TC: for a listener here, and chosen already") \
	X(PATH_MTU, PASS, "path_mtu", "a router said what fits the way to a backend; clients are told") \
	X(TUNNEL_ERROR, PASS, "tunnel_error", "an ICMP error about a packet in a tunnel: its backend was not reached, or takes none out") \
	X(TUNNEL_DOUBT, PASS, "tunnel_doubt", "an ICMP error about a packet in a tunnel that quotes too little of it, or of none of ours")

enum perch_reason {
#define X(name, verdict, word, text) PERCH_R_##name,
	PERCH_REASONS(X)
#undef X
	PERCH_REASON_COUNT
};
#define PERCH_REASON_MAX 64
_Static_assert(PERCH_REASON_COUNT <= PERCH_REASON_MAX, "reasons");

struct perch_reason_counts {
	__u64 n[PERCH_HOOKS][PERCH_REASON_MAX];
};
_Static_assert(sizeof(struct perch_reason_counts) == 1536, "reason counts");

/*
 * Samples: cumulative records that a kernel timer writes of what changed, so
 * that a lost one costs resolution and no count.
 */
enum perch_sample_kind { PERCH_SAMPLE_BACKEND = 1, PERCH_SAMPLE_VERSION, PERCH_SAMPLE_SERVICE, PERCH_SAMPLE_HOST };

struct perch_sample_head {
	__u16 kind;		/* enum perch_sample_kind */
	__u16 zero;
	__u32 id;		/* element of `backends`, `votes`, `services` */
	__u64 time;		/* ns */
};

struct perch_sample_backend {
	struct perch_sample_head head;
	__u32 incarnation;
	__u32 version;
	struct perch_counters sum;	/* over all CPUs */
};
_Static_assert(sizeof(struct perch_sample_backend) == 88, "sample");

struct perch_sample_version {
	struct perch_sample_head head;
	__u32 service;
	__u32 slot;
	struct perch_votes sum;
};

struct perch_sample_service {
	struct perch_sample_head head;
	__u64 word;
	__u64 reflex;
	__u64 named;
};

struct perch_sample_host {
	struct perch_sample_head head;
	__u64 samples_lost;
	__u64 events_lost;
	__u64 sweep_passes;
	__u32 tick;
	__u32 timer_generation;
	struct perch_reason_counts reasons;
};

/* Events: rare things, at once, at most PERCH_EVENT_RATE a second. */
#define PERCH_EVENT_RATE 200
enum perch_event_kind { PERCH_EVENT_REFLEX = 1, PERCH_EVENT_CONNECT_FAILURE, PERCH_EVENT_RESET, PERCH_EVENT_TABLE_FULL, PERCH_EVENT_DEADMAN, PERCH_EVENT_NO_SOURCE };

struct perch_event {
	__u64 time;		/* ns */
	__u16 kind;		/* enum perch_event_kind */
	__u16 service;
	__u16 backend;
	__u16 zero;
	__u64 word;		/* reflex, dead-man: the word before it */
	struct perch_flow_key flow;
};
_Static_assert(sizeof(struct perch_event) == 48, "event");

/* "Packet too big", told by the programs themselves, a second. */
#define PERCH_TOO_BIG_RATE 1000

/*
 * Traces: packets as they pass, at most PERCH_TRACE_RATE a second.  What is
 * asked for stands in one word of control, {service:16, client:13, flags:3}, so
 * that a packet looks at one word when nobody asks.  The agent sets it while
 * somebody reads; the clockwork clears it when the agent is gone.  What the filter let go
 * unread ("not_ours") is never traced.
 */
#define PERCH_TRACE_RATE 10000
#define PERCH_TRACE_ON 1u	/* what follows is asked for */
#define PERCH_TRACE_SERVICE 2u	/* of one service alone */
#define PERCH_TRACE_CLIENT 4u	/* of clients with this hash (perch_trace_client) */
static inline __u32 perch_tracing(__u32 flags, __u32 service, __u32 client)
{
	return flags | (client & 0x1fff) << 3 | service << 16;
}
static inline __u32 perch_trace_client(const __u32 word[4])
{
	return perch_filter_bit(word) & 0x1fff;
}

struct perch_trace {
	__u64 time;		/* ns */
	struct perch_address source, destination;	/* as it came */
	__be16 source_port, destination_port;
	__u32 ifindex;		/* where it came in, or goes out by (tc_out) */
	__u32 length;		/* of the frame */
	__u16 reason;		/* enum perch_reason */
	__u16 service;
	__u16 backend;		/* 0: none */
	__u8 slot;		/* of the version, when there is a backend */
	__u8 hook;		/* enum perch_hook */
	__u8 protocol;
	__u8 tcp;		/* flags, FIN the lowest */
	__u8 notes;		/* enum perch_trace_note */
	__u8 zero[5];
};
_Static_assert(sizeof(struct perch_trace) == 72, "trace");
enum perch_trace_note { PERCH_TRACE_NEW_FLOW = 1, PERCH_TRACE_REPLY = 2, PERCH_TRACE_BY_PIN = 4, PERCH_TRACE_BY_RULE = 8 };

#endif
