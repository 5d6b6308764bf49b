/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the raw sockets and the bytes of resets.  The sender's address is one
 * that this host need not have: with IP_HDRINCL the kernel routes by the
 * destination and leaves our header as it is.
 */
#include "reset.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../core/address.h"

#define RESET_TTL 64

struct reset_v4 {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct reset_v6 {
	struct ip6_hdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static int reset_socket(int family)
{
	/* A full queue makes us wait, but not for ever. */
	const struct timeval patience = { .tv_sec = 1 };
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

int reset_open(struct reset *r)
{
	r->v4 = reset_socket(AF_INET);
	if (r->v4 < 0)
		return r->v4;
	/* A host without IPv6 has no flows to end there. */
	r->v6 = reset_socket(AF_INET6);
	if (r->v6 < 0 && r->v6 != -EAFNOSUPPORT) {
		close(r->v4);
		return r->v6;
	}
	return 0;
}

/* One's complement sum of big endian words; size is even. */
static __u32 sum_add(__u32 sum, const void *data, size_t size)
{
	const __u8 *b = data;

	for (size_t i = 0; i < size; i += 2)
		sum += b[i] << 8 | b[i + 1];
	return sum;
}

/* An IPv4 address is the end of its mapped form. */
static __u16 tcp_checksum(const struct reset_end *from, const struct reset_end *to, const struct tcphdr *tcp, bool v4)
{
	size_t skip = v4 ? 12 : 0;
	__u32 sum = IPPROTO_TCP + sizeof(*tcp);

	sum = sum_add(sum, (const __u8 *)&from->address + skip, sizeof(from->address) - skip);
	sum = sum_add(sum, (const __u8 *)&to->address + skip, sizeof(to->address) - skip);
	sum = sum_add(sum, tcp, sizeof(*tcp));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static struct tcphdr tcp_header(const struct reset_end *from, const struct reset_end *to, __u32 seq, __u32 ack, bool v4)
{
	struct tcphdr tcp = {
		.source = from->port,
		.dest = to->port,
		.seq = htonl(seq),
		.ack_seq = htonl(ack),
		.doff = sizeof(tcp) / 4,
		.rst = 1,
		.ack = 1,
	};

	tcp.check = tcp_checksum(from, to, &tcp, v4);
	return tcp;
}

static int reset_send_v4(const struct reset *r, const struct reset_end *from, const struct reset_end *to, struct tcphdr tcp)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = to->address.word[3] };
	/* The kernel fills in the identification and the checksum. */
	struct reset_v4 p = {
		.ip = {
			.version = 4,
			.ihl = sizeof(p.ip) / 4,
			.tot_len = htons(sizeof(p)),
			.frag_off = htons(IP_DF),
			.ttl = RESET_TTL,
			.protocol = IPPROTO_TCP,
			.saddr = from->address.word[3],
			.daddr = to->address.word[3],
		},
		.tcp = tcp,
	};

	return sendto(r->v4, &p, sizeof(p), 0, (struct sockaddr *)&sin, sizeof(sin)) < 0 ? -errno : 0;
}

static int reset_send_v6(const struct reset *r, const struct reset_end *from, const struct reset_end *to, struct tcphdr tcp)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6 };
	struct reset_v6 p = { .tcp = tcp };

	p.ip.ip6_flow = htonl(6u << 28);
	p.ip.ip6_plen = htons(sizeof(p.tcp));
	p.ip.ip6_nxt = IPPROTO_TCP;
	p.ip.ip6_hlim = RESET_TTL;
	memcpy(&p.ip.ip6_src, &from->address, sizeof(p.ip.ip6_src));
	memcpy(&p.ip.ip6_dst, &to->address, sizeof(p.ip.ip6_dst));
	memcpy(&sin.sin6_addr, &to->address, sizeof(sin.sin6_addr));
	return sendto(r->v6, &p, sizeof(p), 0, (struct sockaddr *)&sin, sizeof(sin)) < 0 ? -errno : 0;
}

int reset_send(const struct reset *r, const struct reset_end *from, const struct reset_end *to, __u32 seq, __u32 ack)
{
	bool v4 = address_is_v4(&to->address);
	struct tcphdr tcp = tcp_header(from, to, seq, ack, v4);

	return v4 ? reset_send_v4(r, from, to, tcp) : reset_send_v6(r, from, to, tcp);
}

void reset_close(struct reset *r)
{
	close(r->v4);
	if (r->v6 >= 0)
		close(r->v6);
}
