// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * synflood: a bounded number of spoofed SYNs or ACKs out of an interface of
 * this namespace, as live frames of BPF_PROG_TEST_RUN.
 *
 *   synflood [-a] [-2] [-r PER_SECOND] -n COUNT -s SOURCE_PREFIX
 *            -i DEVICE -M GATEWAY_MAC ADDRESS PORT
 *
 * -a sends ACKs, -2 each segment twice (COUNT counts both).  SOURCE_PREFIX is
 * the first of the 65,536 IPv4 addresses that are spoofed.  The device's peer
 * must take redirected frames (XDP or GRO on, for a veth).
 */
#include "tool.h"

#include <inttypes.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/ip.h>

#include <bpf/bpf.h>

#include "tests/e2e/synflood.skel.h"

/* Frames per system call; each call waits some 50 ms for a grace period. */
#define CHUNK 65536

static struct {
	long count, rate;
	bool ack, twice;
	const char *device, *mac, *source;
	struct sockaddr_in target;
} want = { .rate = 150000 };

static uint32_t sum_of(const void *from, size_t bytes)
{
	const uint16_t *word = from;
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* Everything that is the same in each segment, and its share of the sums. */
static void fill(struct synflood_bpf *flood)
{
	struct { struct ethhdr eth; struct iphdr ip; struct tcphdr tcp; } __attribute__((packed)) s = { 0 };
	struct { uint32_t destination; uint8_t zero, protocol; uint16_t length; } pseudo;
	struct in_addr source;

	mac_parse(want.mac, s.eth.h_dest);
	if (inet_pton(AF_INET, want.source, &source) != 1)
		die("'%s' is not an IPv4 address", want.source);
	s.eth.h_source[0] = 2;
	s.eth.h_proto = htons(ETH_P_IP);
	s.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			       .tot_len = htons(sizeof(s.ip) + sizeof(s.tcp)),
			       .daddr = want.target.sin_addr.s_addr };
	s.tcp = (struct tcphdr){ .dest = want.target.sin_port, .doff = 5, .syn = !want.ack, .ack = want.ack,
				 .window = htons(64240) };
	memset(&pseudo, 0, sizeof(pseudo));
	pseudo.destination = s.ip.daddr;
	pseudo.protocol = IPPROTO_TCP;
	pseudo.length = htons(sizeof(s.tcp));
	memcpy(flood->bss->same, &s, sizeof(s));
	flood->bss->ip_sum = sum_of(&s.ip, sizeof(s.ip));
	flood->bss->tcp_sum = sum_of(&s.tcp, sizeof(s.tcp)) + sum_of(&pseudo, sizeof(pseudo));
	flood->bss->source = ntohl(source.s_addr) & 0xffff0000;
	flood->data->times = want.twice ? 2 : 1;
	flood->bss->pause_ns = NS_PER_S / want.rate;
	flood->bss->device = if_nametoindex(want.device);
	if (!flood->bss->device)
		die("%s: %s", want.device, strerror(errno));
}

static void send_chunk(int program, long n)
{
	char frame[64] = { 0 };
	struct xdp_md md = { .data_end = 60 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = 60, .ctx_in = &md,
		    .ctx_size_in = sizeof(md), .repeat = n, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	int err = bpf_prog_test_run_opts(program, &options);

	if (err)
		die("live frames: %s", strerror(-err));
}

static void options(int argc, char **argv)
{
	struct endpoint target;
	int option;

	while ((option = getopt(argc, argv, "a2r:n:s:i:M:")) != -1) {
		switch (option) {
		case 'a': want.ack = true; break;
		case '2': want.twice = true; break;
		case 'r': want.rate = number(optarg, 1, 10000000); break;
		case 'n': want.count = number(optarg, 1, 100000000); break;
		case 's': want.source = optarg; break;
		case 'i': want.device = optarg; break;
		case 'M': want.mac = optarg; break;
		default: exit(2);
		}
	}
	if (argc - optind != 2 || !want.count || !want.source || !want.device || !want.mac)
		die("usage: synflood [-a] [-2] [-r PER_SECOND] -n COUNT -s SOURCE_PREFIX -i DEVICE -M MAC ADDRESS PORT");
	target = endpoint_parse(argv[optind], argv[optind + 1]);
	if (target.address.ss_family != AF_INET)
		die("IPv4 only");
	memcpy(&want.target, &target.address, sizeof(want.target));
}

int main(int argc, char **argv)
{
	struct synflood_bpf *flood;
	uint64_t start;

	options(argc, argv);
	flood = synflood_bpf__open_and_load();
	if (!flood)
		die("the program does not load: %s", strerror(errno));
	fill(flood);
	start = now_ns();
	for (long left = want.count; left > 0; left -= CHUNK)
		send_chunk(bpf_program__fd(flood->progs.synflood), left < CHUNK ? left : CHUNK);
	printf("{\"sent\":%" PRIu64 ",\"seconds\":%.3f}\n", (uint64_t)flood->bss->sent, (now_ns() - start) / 1e9);
	synflood_bpf__destroy(flood);
	return 0;
}
