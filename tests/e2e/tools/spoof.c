// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * spoof: segments that somebody else sends in the name of a client's living
 * connection, each with a sequence number of chance.
 *
 *   spoof -f syn|rst|ack [-n PER_CLIENT] [-m ADDRESSES] [-r PER_SECOND]
 *         SOURCE SOURCE_PORT TARGET TARGET_PORT
 *
 * IPv4.  Prints how many it sent.
 */
#include "tool.h"

#include <netinet/ip.h>
#include <sys/random.h>

struct segment {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static struct {
	long per_client, addresses, rate;
	bool syn, rst, ack;
} want = { .per_client = 1, .addresses = 1, .rate = 20000 };

static uint32_t sum(const void *bytes, size_t n, uint32_t s)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += b[i] << 8 | b[i + 1];
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons(~s);
}

static void fill(struct segment *g, const struct sockaddr_in *from, const struct sockaddr_in *to)
{
	uint32_t chance[2];

	if (getrandom(chance, sizeof(chance), 0) != sizeof(chance))
		die("no random numbers");
	*g = (struct segment){
		.ip = { .version = 4, .ihl = 5, .tot_len = htons(sizeof(*g)), .ttl = 64, .protocol = IPPROTO_TCP,
			.saddr = from->sin_addr.s_addr, .daddr = to->sin_addr.s_addr },
		.tcp = { .source = from->sin_port, .dest = to->sin_port, .seq = chance[0],
			 .ack_seq = want.ack ? chance[1] : 0, .doff = sizeof(g->tcp) / 4, .syn = want.syn,
			 .rst = want.rst, .ack = want.ack, .window = htons(1024) },
	};
	g->tcp.check = fold(sum(&g->tcp, sizeof(g->tcp), sum(&g->ip.saddr, 8, IPPROTO_TCP + sizeof(g->tcp))));
}

static void options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "f:n:m:r:")) != -1) {
		switch (option) {
		case 'f':
			want.syn = !strcmp(optarg, "syn");
			want.rst = !strcmp(optarg, "rst");
			want.ack = !strcmp(optarg, "ack");
			break;
		case 'n': want.per_client = number(optarg, 1, 1 << 20); break;
		case 'm': want.addresses = number(optarg, 1, 65536); break;
		case 'r': want.rate = number(optarg, 1, 1 << 20); break;
		default: exit(2);
		}
	}
	if (argc - optind != 4 || !(want.syn || want.rst || want.ack))
		die("usage: spoof -f syn|rst|ack [-n N] [-m N] [-r N] SOURCE SOURCE_PORT TARGET TARGET_PORT");
}

int main(int argc, char **argv)
{
	struct endpoint source, target;
	uint64_t start = now_ns();
	long sent = 0, total, port;
	int fd;

	options(argc, argv);
	source = endpoint_parse(argv[optind], NULL);
	port = number(argv[optind + 1], 1, 65535);
	target = endpoint_parse(argv[optind + 2], argv[optind + 3]);
	if (source.address.ss_family != AF_INET || target.address.ss_family != AF_INET)
		die("spoof speaks IPv4");
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		die("raw socket: %s", strerror(errno));
	for (total = want.per_client * want.addresses; sent < total; sent++) {
		struct endpoint from = endpoint_nth(&source, sent % want.addresses, port);
		struct segment g;

		while ((now_ns() - start) * want.rate < sent * NS_PER_S)
			usleep(1000);
		fill(&g, (struct sockaddr_in *)&from.address, (struct sockaddr_in *)&target.address);
		if (sendto(fd, &g, sizeof(g), 0, (struct sockaddr *)&target.address, target.length) != sizeof(g))
			die("send: %s", strerror(errno));
	}
	printf("{\"sent\":%ld}\n", sent);
	return 0;
}
