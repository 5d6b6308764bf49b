// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * bench_peers: the tool of bench_peers.sh, which makes the lab.
 *
 *   bench_peers load PINS
 *	load the programs and pin them and their maps there
 *   bench_peers redirect PINS DEVICE MAC
 *	where the bare redirects send everything
 *   bench_peers send PINS [-s] [-f FLOWS] [-b FIRST] [-r RATE] -n COUNT
 *                    -i DEVICE -M MAC ADDRESS PORT
 *	COUNT segments of FLOWS clients to ADDRESS as live frames, ACKs or with
 *	-s SYNs, evenly with -r; prints what it cost and where they went
 *   bench_peers rollback PINS ROUNDS WAY ...
 *	see peers_rollback.c
 *
 * The kernel hands frames on in the context of the thread that sends them,
 * and in ksoftirqd when that falls behind.  CPU time is that of both: the
 * machine may do other things meanwhile.
 */
#include "../e2e/tools/tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <sched.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "peers_pins.h"

#define CHUNK 65536		/* SYNs per call: each waits some 50 ms for a grace period */
#define BATCH 64		/* frames; what NAPI takes in one go */

static struct {
	long count, flows, first, rate;
	bool syn;
	const char *device, *mac;
	struct sockaddr_in target;
} want = { .flows = 1 };

static struct peers_state *state;
static int generator, seen_map, cpu;
static clockid_t softirq_clock;

static void pins_open(const char *pins)
{
	generator = peers_pinned(pins, "generate");
	seen_map = peers_pinned(pins, "seen");
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, peers_pinned(pins, "state"), 0);
	if (state == MAP_FAILED)
		die("state: %s", strerror(errno));
}

/* The clock of this CPU's ksoftirqd. */
static clockid_t clock_of_softirqs(void)
{
	char name[32], path[300], comm[32] = "";
	clockid_t clock = -1;
	struct dirent *d;
	DIR *proc = opendir("/proc");

	snprintf(name, sizeof(name), "ksoftirqd/%d\n", cpu);
	while (proc && clock == -1 && (d = readdir(proc))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		f = fopen(path, "r");
		if (f && fgets(comm, sizeof(comm), f) && !strcmp(comm, name))
			clock_getcpuclockid((pid_t)strtol(d->d_name, NULL, 10), &clock);
		if (f)
			fclose(f);
	}
	if (proc)
		closedir(proc);
	if (clock == -1)
		die("no ksoftirqd for CPU %d", cpu);
	return clock;
}

static void cpu_pin(void)
{
	cpu_set_t cpus;

	cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("CPU %d: %s", cpu, strerror(errno));
	softirq_clock = clock_of_softirqs();
}

static double clock_read(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		die("clock: %s", strerror(errno));
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double cpu_ns(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID) + clock_read(softirq_clock);
}

static uint32_t sum_of(const void *from, size_t bytes)
{
	const uint16_t *word = from;
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* Everything that is the same in each segment, and its share of the sums. */
static void fill(void)
{
	struct { struct ethhdr eth; struct iphdr ip; struct tcphdr tcp; } __attribute__((packed)) s = { 0 };
	struct { uint32_t destination; uint8_t zero, protocol; uint16_t length; } pseudo;

	mac_parse(want.mac, s.eth.h_dest);
	s.eth.h_source[0] = 2;
	s.eth.h_proto = htons(ETH_P_IP);
	s.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			       .tot_len = htons(sizeof(s.ip) + sizeof(s.tcp)),
			       .daddr = want.target.sin_addr.s_addr };
	s.tcp = (struct tcphdr){ .dest = want.target.sin_port, .doff = 5, .syn = want.syn, .ack = !want.syn,
				 .window = htons(64240) };
	memset(&pseudo, 0, sizeof(pseudo));
	pseudo.destination = s.ip.daddr;
	pseudo.protocol = IPPROTO_TCP;
	pseudo.length = htons(sizeof(s.tcp));
	memset(state->same, 0, sizeof(state->same));
	memcpy(state->same, &s, sizeof(s));
	state->ip_sum = sum_of(&s.ip, sizeof(s.ip));
	state->tcp_sum = sum_of(&s.tcp, sizeof(s.tcp)) + sum_of(&pseudo, sizeof(pseudo));
	state->device = if_nametoindex(want.device);
	if (!state->device)
		die("%s: %s", want.device, strerror(errno));
	state->syn = want.syn;
	state->first = want.first;
	state->mask = want.flows - 1;
	state->half = want.flows > 3 ? __builtin_ctz(want.flows) / 2 : 1;
	state->pause_ns = want.rate ? NS_PER_S / want.rate : 0;
	state->sent = 0;
}

/* n frames; the wall time of it without the call's own making and unmaking. */
static double frames_send(long n)
{
	char frame[64] = { 0 };
	struct xdp_md md = { .data_end = PEERS_FRAME };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = PEERS_FRAME, .ctx_in = &md,
		    .ctx_size_in = sizeof(md), .repeat = n, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = want.rate ? 1 : BATCH);
	int err = bpf_prog_test_run_opts(generator, &options);

	if (err)
		die("live frames: %s", strerror(-err));
	return (double)options.duration * n;
}

static void options(int argc, char **argv)
{
	struct endpoint target;
	int option;

	while ((option = getopt(argc, argv, "sf:b:r:n:i:M:")) != -1) {
		switch (option) {
		case 's': want.syn = true; break;
		case 'f': want.flows = number(optarg, 1, 1 << 22); break;
		case 'b': want.first = number(optarg, 0, 1 << 22); break;
		case 'r': want.rate = number(optarg, 1, 10000000); break;
		case 'n': want.count = number(optarg, 1, 100000000); break;
		case 'i': want.device = optarg; break;
		case 'M': want.mac = optarg; break;
		default: exit(2);
		}
	}
	if (argc - optind != 2 || !want.count || !want.device || !want.mac || (want.flows & (want.flows - 1)))
		die("usage: bench_peers send PINS [-s] [-f FLOWS] [-b FIRST] [-r RATE] -n COUNT -i DEVICE -M MAC ADDRESS PORT");
	target = endpoint_parse(argv[optind], argv[optind + 1]);
	if (target.address.ss_family != AF_INET)
		die("IPv4 only");
	memcpy(&want.target, &target.address, sizeof(want.target));
}

static int send_segments(void)
{
	static const char *const names[] = { "stable", "canary", "client", "drop" };
	struct peers_seen before[PEERS_PLACES];
	double cpu_began, wall = 0;
	long chunk = want.rate || want.syn ? CHUNK : want.count;

	cpu_pin();
	fill();
	for (int i = 0; i < PEERS_PLACES; i++)
		before[i] = peers_seen_read(seen_map, i);
	cpu_began = cpu_ns();
	for (long left = want.count; left > 0; left -= chunk)
		wall += frames_send(left < chunk ? left : chunk);
	printf("{\"sent\":%" PRIu64 ",\"cpu_ns\":%.0f,\"wall_ns\":%.0f", (uint64_t)state->sent, cpu_ns() - cpu_began, wall);
	for (int i = 0; i < PEERS_PLACES; i++) {
		struct peers_seen now = peers_seen_read(seen_map, i);

		printf(",\"%s\":%" PRIu64 ",\"%s_first\":%" PRIu64, names[i], (uint64_t)(now.packets - before[i].packets),
		       names[i], (uint64_t)(now.first - before[i].first));
	}
	puts("}");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "load")) {
		peers_load(argv[2]);
		return 0;
	}
	if (argc < 5)
		die("usage: bench_peers load|redirect|send|rollback PINS ...; run bench_peers.sh");
	if (!strcmp(argv[1], "rollback"))
		return peers_rollback(argc - 2, argv + 2);
	pins_open(argv[2]);
	if (!strcmp(argv[1], "redirect")) {
		state->to_device = if_nametoindex(argv[3]);
		mac_parse(argv[4], state->to_mac);
		return !state->to_device;
	}
	if (strcmp(argv[1], "send"))
		die("bench_peers: no '%s'", argv[1]);
	options(argc - 2, argv + 2);
	return send_segments();
}
