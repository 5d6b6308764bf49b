// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Spoofed segments made in the kernel for tools/synflood.  Frames come back
 * for reuse as whoever had them left them, so that every byte is written each
 * time.  Segment n comes from source + (n & 0xffff), port 1024 + (n >> 16):
 * no two of the first 4 million are of one connection.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct segment {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	__u8 padding[6];
} __attribute__((packed));

/* Filled by user space: all that is the same in each, with checksum fields
 * that hold the unfolded sums of these parts. */
__u8 same[sizeof(struct segment)];
__u32 ip_sum, tcp_sum;
__u32 source;		/* host order, its low 16 bits 0 */
__u32 device;
__u32 times = 1;	/* each segment is sent so often in a row */
__u64 sent;
__u32 pause_ns;		/* from one segment to the next */
__u64 next;		/* when the next may go */

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

/* Even spacing: a burst would outrun who receives it, and what is dropped
 * before it arrives floods nobody. */
static __always_inline void wait_for_turn(void)
{
	__u64 now = bpf_ktime_get_ns();

	for (int i = 0; i < 1000 && now < next; i++)
		now = bpf_ktime_get_ns();
	next = now + pause_ns;
}

SEC("xdp") int synflood(struct xdp_md *ctx)
{
	struct segment *s = (void *)(long)ctx->data;
	__u32 n = sent / (times ? times : 1);

	if ((void *)(s + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	wait_for_turn();
	*s = *(struct segment *)same;
	s->ip.saddr = bpf_htonl(source | (n & 0xffff));
	s->tcp.source = bpf_htons(1024 + (n >> 16));
	s->tcp.seq = n * 2654435761u;
	s->tcp.ack_seq = s->tcp.ack ? ~s->tcp.seq : 0;
	s->ip.check = fold(ip_sum + halves(s->ip.saddr));
	s->tcp.check = fold(halves(tcp_sum) + halves(s->ip.saddr) + s->tcp.source + halves(s->tcp.seq) +
			    halves(s->tcp.ack_seq));
	sent++;
	return bpf_redirect(device, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
