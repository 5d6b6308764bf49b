// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The traffic of bench_peers, made and ended in the kernel: a generator of
 * live frames, a client that answers SYN-ACKs, and sinks in the backends'
 * place that answer SYNs, so that handshakes go both ways through whoever
 * balances.  What comes from established connections is counted and dropped.
 * Real connections pass; their SYNs are dated.
 *
 * Beside them: the cheapest there could be in perch's place, a program that
 * redirects every frame without a look, at either hook.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "peers.h"

struct segment {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	__u8 padding[PEERS_FRAME - sizeof(struct ethhdr) - sizeof(struct iphdr) - sizeof(struct tcphdr)];
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct peers_state);
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PEERS_PLACES);
	__type(key, __u32);
	__type(value, struct peers_seen);
} seen SEC(".maps");

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u32 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

static __always_inline __u32 first_sequence(__u32 client)
{
	return client * 2654435761u;
}

/* The sinks' first sequence number, so that the generator knows it. */
static __always_inline __u32 sink_sequence(__u32 clients)
{
	return ~clients;
}

/* Even spacing, where a rate is asked for. */
static __always_inline void wait_for_turn(struct peers_state *s)
{
	__u64 now = bpf_ktime_get_ns();

	for (int i = 0; i < 1000 && now < s->next; i++)
		now = bpf_ktime_get_ns();
	s->next = now + s->pause_ns;
}

/* Frames come back for reuse as whoever had them left them: every byte is
 * written each time. */
SEC("xdp") int generate(struct xdp_md *ctx)
{
	struct segment *g = (void *)(long)ctx->data;
	__u32 zero = 0, client, sequence;
	struct peers_state *s = bpf_map_lookup_elem(&state, &zero);

	if (!s || (void *)(g + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	if (s->pause_ns)
		wait_for_turn(s);
	client = peers_client(s);
	sequence = first_sequence(client);
	*g = *(struct segment *)s->same;
	g->ip.saddr = bpf_htonl(PEERS_CLIENTS | (client & 0xffff));
	g->tcp.source = bpf_htons(1024 + (client >> 16));
	g->tcp.seq = bpf_htonl(s->syn ? sequence : sequence + 1);
	g->tcp.ack_seq = s->syn ? 0 : bpf_htonl(sink_sequence(sequence) + 1);
	g->ip.check = fold(s->ip_sum + halves(g->ip.saddr));
	g->tcp.check = fold(halves(s->tcp_sum) + halves(g->ip.saddr) + g->tcp.source + halves(g->tcp.seq) +
			    halves(g->tcp.ack_seq));
	s->sent++;
	return bpf_redirect(s->device, 0);
}

static __always_inline struct peers_seen *place(__u32 which)
{
	return bpf_map_lookup_elem(&seen, &which);
}

/* A TCP segment without IP options, or NULL. */
static __always_inline struct segment *tcp_segment(struct xdp_md *ctx)
{
	struct segment *g = (void *)(long)ctx->data;

	if ((void *)&g->padding > (void *)(long)ctx->data_end || g->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    g->ip.ihl != 5 || g->ip.protocol != IPPROTO_TCP)
		return NULL;
	return g;
}

static __always_inline bool is_spoofed(__be32 address)
{
	return (bpf_ntohl(address) & 0xffff0000) == PEERS_CLIENTS;
}

/* Send it back to where it came from, with these flags and numbers.  Not by
 * XDP_TX: a veth whose peer has GRO but no program lets it lie. */
static __always_inline int answer(struct xdp_md *ctx, struct segment *g, __u8 flags, __u32 sequence, __u32 next)
{
	__u8 mac[ETH_ALEN];
	__be32 address = g->ip.saddr;
	__be16 port = g->tcp.source;
	__u32 *tcp = (void *)g + sizeof(g->eth) + sizeof(g->ip), sum = 0;

	__builtin_memcpy(mac, g->eth.h_dest, ETH_ALEN);
	__builtin_memcpy(g->eth.h_dest, g->eth.h_source, ETH_ALEN);
	__builtin_memcpy(g->eth.h_source, mac, ETH_ALEN);
	g->ip.saddr = g->ip.daddr;
	g->ip.daddr = address;
	g->tcp.source = g->tcp.dest;
	g->tcp.dest = port;
	g->tcp.seq = bpf_htonl(sequence);
	g->tcp.ack_seq = bpf_htonl(next);
	((__u8 *)tcp)[13] = flags;
	g->tcp.check = 0;
	for (unsigned i = 0; i < sizeof(g->tcp) / 4; i++)
		sum += halves(tcp[i]);
	sum += halves(g->ip.saddr) + halves(g->ip.daddr) + bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(g->tcp));
	g->tcp.check = fold(sum);
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

#define FLAG_SYN 2
#define FLAG_ACK 16

SEC("xdp") int client(struct xdp_md *ctx)
{
	struct segment *g = tcp_segment(ctx);
	struct peers_seen *here = place(PEERS_CLIENT);

	if (!g || !here || !is_spoofed(g->ip.daddr))
		return XDP_PASS;
	here->packets++;
	if (!g->tcp.syn || !g->tcp.ack)
		return XDP_DROP;
	here->first++;
	return answer(ctx, g, FLAG_ACK, bpf_ntohl(g->tcp.ack_seq), bpf_ntohl(g->tcp.seq) + 1);
}

static __always_inline int sink(struct xdp_md *ctx, __u32 which)
{
	struct segment *g = tcp_segment(ctx);
	struct peers_seen *here = place(which);
	bool syn = g && g->tcp.syn && !g->tcp.ack;
	__u32 sequence;

	if (!g || !here)
		return XDP_PASS;
	if (syn) {
		here->first++;
		here->last_first = bpf_ktime_get_ns();
	}
	if (!is_spoofed(g->ip.saddr))
		return XDP_PASS;
	if (syn) {
		sequence = bpf_ntohl(g->tcp.seq);
		return answer(ctx, g, FLAG_SYN | FLAG_ACK, sink_sequence(sequence), sequence + 1);
	}
	here->packets++;
	return XDP_DROP;
}

SEC("xdp") int sink_stable(struct xdp_md *ctx)
{
	return sink(ctx, PEERS_STABLE);
}

SEC("xdp") int sink_canary(struct xdp_md *ctx)
{
	return sink(ctx, PEERS_CANARY);
}

/* In the balancer's place: what the generator costs by itself. */
SEC("xdp") int drop(struct xdp_md *ctx)
{
	struct segment *g = tcp_segment(ctx);
	struct peers_seen *here = place(PEERS_DROP);

	if (!g || !here || !is_spoofed(g->ip.saddr))
		return XDP_PASS;
	here->packets++;
	return XDP_DROP;
}

SEC("xdp") int redirect_xdp(struct xdp_md *ctx)
{
	struct segment *g = tcp_segment(ctx);
	__u32 zero = 0;
	struct peers_state *s = bpf_map_lookup_elem(&state, &zero);

	if (!g || !s || !is_spoofed(g->ip.saddr))
		return XDP_PASS;
	__builtin_memcpy(g->eth.h_dest, s->to_mac, ETH_ALEN);
	return bpf_redirect(s->to_device, 0);
}

SEC("tc") int redirect_tc(struct __sk_buff *skb)
{
	struct segment *g = (void *)(long)skb->data;
	__u32 zero = 0;
	struct peers_state *s = bpf_map_lookup_elem(&state, &zero);

	if (!s || (void *)&g->padding > (void *)(long)skb->data_end || g->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    !is_spoofed(g->ip.saddr))
		return TC_ACT_UNSPEC;
	__builtin_memcpy(g->eth.h_dest, s->to_mac, ETH_ALEN);
	return bpf_redirect(s->to_device, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
