// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Wrappers for benchmarks.  BPF_PROG_TEST_RUN with repeat hands the same
 * buffer to every iteration, so a program that changes the packet would see
 * its own output.  A wrapper calls the program under test by a tail call from
 * a subprogram, so that control comes back, and then writes the headers of the
 * next packet: the same, or those of another client.  A tail call asks that
 * both take frames in several buffers, or neither.
 *
 * Beside them: the programs that the results are compared with.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "wrap.h"

struct wrap_config config;

#define TARGETS(name)                                                          \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                         \
		__uint(max_entries, 1);                                        \
		__uint(key_size, 4);                                           \
		__uint(value_size, 4);                                         \
	} name SEC(".maps")

TARGETS(target_xdp);
TARGETS(target_tc);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, struct wrap_lru_key);
	__type(value, struct wrap_lru_value);
} lru SEC(".maps");

#define NO_TARGET 8

static __attribute__((noinline)) int call_xdp(struct xdp_md *ctx)
{
	volatile int verdict = NO_TARGET;

	bpf_tail_call(ctx, &target_xdp, 0);
	return verdict;
}

static __attribute__((noinline)) int call_tc(struct __sk_buff *skb)
{
	volatile int verdict = NO_TARGET;

	bpf_tail_call(skb, &target_tc, 0);
	return verdict;
}

/* Bytes 26 to 41 of an IPv4 packet and 22 to 57 of an IPv6 packet hold
 * addresses and ports. */
static __always_inline void vary(__u8 *packet)
{
	bool source = config.vary == WRAP_SOURCE;
	__u32 client, at, port;

	config.sequence++;
	client = wrap_client(&config);
	if (config.v6) {
		at = source ? 34 : 50;
		port = source ? 54 : 56;
	} else {
		at = source ? 26 : 30;
		port = source ? 34 : 36;
	}
	/* the lower 18 bits; the template has the rest */
	packet[at + 1] |= wrap_address(client) >> 16;
	packet[at + 2] = wrap_address(client) >> 8;
	packet[at + 3] = wrap_address(client);
	*(__u16 *)(packet + port) = bpf_htons(wrap_port(client));
	if (!config.spread)
		return;
	packet[32] = client % config.spread >> 8;
	packet[33] = client % config.spread;
}

static __always_inline void next_packet(void *data, void *end, int verdict)
{
	__u64 *to = data;

	config.verdicts[verdict & (WRAP_VERDICTS - 1)]++;
	if (data + WRAP_HEADER > end)
		return;
#pragma unroll
	for (int i = 0; i < WRAP_HEADER / 8; i++)
		to[i] = config.header[i];
	if (config.vary != WRAP_SAME)
		vary(data);
}

SEC("xdp.frags")
int wrap_xdp(struct xdp_md *ctx)
{
	int verdict = call_xdp(ctx);

	next_packet((void *)(long)ctx->data, (void *)(long)ctx->data_end, verdict);
	return verdict;
}

SEC("tc")
int wrap_tc(struct __sk_buff *skb)
{
	int verdict = call_tc(skb);

	next_packet((void *)(long)skb->data, (void *)(long)skb->data_end, verdict);
	return verdict;
}

SEC("xdp.frags")
int empty_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int empty_tc(struct __sk_buff *skb)
{
	return 0;
}

/* The floor of anything that sends a packet on. */
SEC("xdp.frags")
int swap_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
	return XDP_TX;
}

/* One look-up in the kernel's own flow table, by the packet's 5-tuple. */
SEC("xdp.frags")
int lru_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct wrap_lru_key key = { .protocol = IPPROTO_TCP };
	__u16 *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end)
		return XDP_ABORTED;
	key.source[0] = ip->saddr;
	key.destination[0] = ip->daddr;
	key.source_port = ports[0];
	key.destination_port = ports[1];
	return bpf_map_lookup_elem(&lru, &key) ? XDP_TX : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
