// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * frames: odd packets sent raw, and a look at which bytes arrive elsewhere.
 *
 *   frames send DEVICE GATEWAY_MAC SOURCE DESTINATION PORT KIND...
 *   frames watch DEVICE
 *
 * KINDs: tcp udp fragment options icmp sctp gre short; for IPv6 tcp udp
 * fragment options icmp.  Each packet carries a mark, by which `watch` knows
 * it: it prints the bytes from the network header on in hexadecimal, until
 * SIGTERM.  The same packets are sent each time, so two runs can be compared.
 */
#include "tool.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#define MARK "perch-foreign"

struct packet {
	uint8_t bytes[1500];
	size_t length;
};

static void append(struct packet *p, const void *bytes, size_t n)
{
	memcpy(p->bytes + p->length, bytes, n);
	p->length += n;
}

static uint16_t checksum(const uint8_t *bytes, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* What follows the network header: a whole transport header, or half of one,
 * and the mark with the kind's name. */
static void append_payload(struct packet *p, const char *kind, uint16_t port)
{
	struct tcphdr tcp = { .source = htons(40000), .dest = htons(port), .seq = htonl(7), .doff = 5, .syn = 1,
			      .window = htons(1000) };
	struct udphdr udp = { .source = htons(40000), .dest = htons(port), .len = htons(8 + 32) };
	uint8_t icmp[8] = { strcmp(kind, "icmp6") ? 8 : 128 };
	char mark[32] = { 0 };

	snprintf(mark, sizeof(mark), MARK " %s", kind);
	if (!strcmp(kind, "tcp") || !strcmp(kind, "options"))
		append(p, &tcp, sizeof(tcp));
	else if (!strncmp(kind, "icmp", 4))
		append(p, icmp, sizeof(icmp));
	else if (strcmp(kind, "short"))
		append(p, &udp, sizeof(udp));
	else
		/* the ports are there, the rest of a TCP header is not */
		append(p, &tcp, 6);
	append(p, mark, strcmp(kind, "short") ? sizeof(mark) : 0);
}

static void build4(struct packet *p, const char *kind, const struct endpoint *from, const struct endpoint *to,
		   uint16_t port)
{
	static const uint8_t no_operations[4] = { 1, 1, 1, 0 };
	struct ip ip = { .ip_v = 4, .ip_hl = 5, .ip_ttl = 64, .ip_id = htons(4711), .ip_p = IPPROTO_TCP };

	ip.ip_src = ((const struct sockaddr_in *)&from->address)->sin_addr;
	ip.ip_dst = ((const struct sockaddr_in *)&to->address)->sin_addr;
	if (!strcmp(kind, "udp") || !strcmp(kind, "fragment"))
		ip.ip_p = IPPROTO_UDP;
	else if (!strcmp(kind, "icmp"))
		ip.ip_p = IPPROTO_ICMP;
	else if (!strcmp(kind, "sctp"))
		ip.ip_p = IPPROTO_SCTP;
	else if (!strcmp(kind, "gre"))
		ip.ip_p = IPPROTO_GRE;
	/* the last fragment of a datagram: the first would wait for it */
	if (!strcmp(kind, "fragment"))
		ip.ip_off = htons(185);
	if (!strcmp(kind, "options"))
		ip.ip_hl = 6;
	append(p, &ip, sizeof(ip));
	if (!strcmp(kind, "options"))
		append(p, no_operations, sizeof(no_operations));
	append_payload(p, kind, port);
	/* a packet cut in its TCP header keeps the mark in the identification */
	ip.ip_len = htons(p->length);
	memcpy(p->bytes, &ip, sizeof(ip));
	ip.ip_sum = checksum(p->bytes, ip.ip_hl * 4);
	memcpy(p->bytes, &ip, sizeof(ip));
}

static void build6(struct packet *p, const char *kind, const struct endpoint *from, const struct endpoint *to,
		   uint16_t port)
{
	static const uint8_t padding[8] = { IPPROTO_UDP, 0, 1, 4 };
	static const uint8_t fragment[8] = { IPPROTO_UDP, 0, 0x05, 0xc8, 0, 0, 0, 9 };
	struct ip6_hdr ip = { .ip6_hlim = 64, .ip6_nxt = IPPROTO_UDP };
	bool icmp = !strcmp(kind, "icmp");

	ip.ip6_vfc = 0x60;	/* shares its bytes with the flow label */
	ip.ip6_src = ((const struct sockaddr_in6 *)&from->address)->sin6_addr;
	ip.ip6_dst = ((const struct sockaddr_in6 *)&to->address)->sin6_addr;
	if (!strcmp(kind, "tcp"))
		ip.ip6_nxt = IPPROTO_TCP;
	else if (icmp)
		ip.ip6_nxt = IPPROTO_ICMPV6;
	else if (!strcmp(kind, "options"))
		ip.ip6_nxt = IPPROTO_DSTOPTS;
	else if (!strcmp(kind, "fragment"))
		ip.ip6_nxt = IPPROTO_FRAGMENT;
	append(p, &ip, sizeof(ip));
	if (!strcmp(kind, "options"))
		append(p, padding, sizeof(padding));
	if (!strcmp(kind, "fragment"))
		append(p, fragment, sizeof(fragment));
	append_payload(p, icmp ? "icmp6" : !strcmp(kind, "tcp") ? kind : "udp", port);
	ip.ip6_plen = htons(p->length - sizeof(ip));
	memcpy(p->bytes, &ip, sizeof(ip));
}

static int open_packet(const char *device, struct sockaddr_ll *ret_at)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));

	*ret_at = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_halen = 6,
					.sll_ifindex = if_nametoindex(device) };
	if (fd < 0 || !ret_at->sll_ifindex || bind(fd, (struct sockaddr *)ret_at, sizeof(*ret_at)))
		die("%s: %s", device, strerror(errno));
	return fd;
}

static void send_all(char **argv, int argc)
{
	struct endpoint from = endpoint_parse(argv[2], NULL), to = endpoint_parse(argv[3], NULL);
	uint16_t port = number(argv[4], 0, 65535);
	bool v4 = from.address.ss_family == AF_INET;
	struct sockaddr_ll at;
	int fd = open_packet(argv[0], &at);

	mac_parse(argv[1], at.sll_addr);
	at.sll_protocol = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
	for (int i = 5; i < argc; i++) {
		struct packet p = { .length = 0 };

		(v4 ? build4 : build6)(&p, argv[i], &from, &to, port);
		if (sendto(fd, p.bytes, p.length, 0, (struct sockaddr *)&at, sizeof(at)) != (ssize_t)p.length)
			die("send: %s", strerror(errno));
	}
}

static bool is_marked(const uint8_t *bytes, size_t n)
{
	uint16_t id;

	if (memmem(bytes, n, MARK, strlen(MARK)))
		return true;
	memcpy(&id, bytes + 4, sizeof(id));
	return n >= 20 && bytes[0] == 0x45 && id == htons(4711);
}

static void watch(const char *device)
{
	struct sockaddr_ll at, from = { 0 };
	int fd = open_packet(device, &at);
	static uint8_t bytes[65536];

	printf("watching\n");
	fflush(stdout);
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length);

		if (n < 20 || from.sll_pkttype == PACKET_OUTGOING || !is_marked(bytes, n))
			continue;
		for (ssize_t i = 0; i < n; i++)
			printf("%02x", bytes[i]);
		printf("\n");
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "watch"))
		watch(argv[2]);
	if (argc < 8 || strcmp(argv[1], "send"))
		die("usage: frames send DEVICE MAC SOURCE DESTINATION PORT KIND... | frames watch DEVICE");
	send_all(argv + 2, argc - 2);
	return 0;
}
