// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * udpsizes: a datagram of every size to a server that echoes, and a look at
 * every byte that comes back.
 *
 *   udpsizes [-s SOURCE] [-l LEAST] [-m LARGEST] [-f STEP] ADDRESS PORT
 *
 * LARGEST is the payload that fills the path's MTU (default: 1472 for IPv4,
 * 1452 for IPv6).  With -f what does not fit is sent in fragments, and of the
 * sizes each STEPth is tried.  Prints JSON; exit 0 only if all came back right.
 */
#include "tool.h"

#include <poll.h>

#define TRIES 3
#define WAIT_MS 1000

static void fill(uint8_t *bytes, size_t n, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		bytes[i] = x;
	}
}

/* 0 right, 1 lost, 2 wrong. */
static int try_size(int fd, size_t size)
{
	static uint8_t sent[65536], back[65536];
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	fill(sent, size, size);
	for (int i = 0; i < TRIES; i++) {
		if (send(fd, sent, size, 0) != (ssize_t)size)
			die("send of %zu bytes: %s", size, strerror(errno));
		if (poll(&readable, 1, WAIT_MS) != 1)
			continue;
		if (recv(fd, back, sizeof(back), 0) != (ssize_t)size || memcmp(sent, back, size))
			return 2;
		return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct endpoint source, target;
	unsigned int counts[3] = { 0 };
	bool bound = false;
	long least = 1, largest = 0, step = 0, tried = 0;
	int option, fd, discover = IP_PMTUDISC_DO;

	while ((option = getopt(argc, argv, "s:l:m:f:")) != -1) {
		if (option == 's') {
			source = endpoint_parse(optarg, NULL);
			bound = true;
		} else if (option == 'm') {
			largest = number(optarg, 1, 65507);
		} else if (option == 'l') {
			least = number(optarg, 1, 65507);
		} else if (option == 'f') {
			step = number(optarg, 1, 65507);
		} else {
			return 2;
		}
	}
	if (argc - optind != 2)
		die("usage: udpsizes [-s SOURCE] [-l LEAST] [-m LARGEST] [-f STEP] ADDRESS PORT");
	target = endpoint_parse(argv[optind], argv[optind + 1]);
	if (!largest)
		largest = target.address.ss_family == AF_INET ? 1472 : 1452;
	fd = socket_connect(bound ? &source : NULL, &target, SOCK_DGRAM);
	if (fd < 0)
		die("%s: %s", argv[optind], strerror(-fd));
	/* unless asked for, a datagram that does not fit must fail, not be cut */
	if (!step && target.address.ss_family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
	for (long size = least; size <= largest; size += step ? step : 1, tried++)
		counts[try_size(fd, size)]++;
	printf("{\"right\":%u,\"lost\":%u,\"wrong\":%u}\n", counts[0], counts[1], counts[2]);
	return counts[0] != (unsigned long)tried;
}
