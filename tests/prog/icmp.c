/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Builds ICMP messages for tests.  Around them are tags and IPv4 options, as
 * the outer packet has them. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "icmp.h"
#include "lab.h"

#define ICMP_HEADER 8
#define TOO_BIG_QUOTE 512

/* Offset of the outer IP header: behind two tags at most. */
static __u32 ip_of(const struct packet *p)
{
	__u32 at = ETH_HLEN;

	while (p->byte[at - 2] == 0x81 || p->byte[at - 2] == 0x88)
		at += 4;
	return at;
}

static bool is_v4(const struct packet *p)
{
	return p->byte[ip_of(p)] >> 4 == 4;
}

static __u32 header_of(const struct packet *p, __u32 ip)
{
	return p->byte[ip] >> 4 == 4 ? (p->byte[ip] & 15) * 4 : 40;
}

__u32 icmp_quote(const struct packet *p)
{
	return ip_of(p) + header_of(p, ip_of(p)) + ICMP_HEADER;
}

static __u32 sum_bytes(const __u8 *at, size_t n, __u32 sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? at[i] : at[i] << 8;
	return sum;
}

static void put_sum(__u8 *at, __u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = ~sum >> 8;
	at[1] = ~sum;
}

void icmp_sum(struct packet *p)
{
	__u8 *at = p->byte + icmp_quote(p) - ICMP_HEADER;
	__u32 n = p->byte + p->length - at, sum = 0;

	at[2] = at[3] = 0;
	if (!is_v4(p))
		sum = sum_bytes(p->byte + ip_of(p) + 8, 32, n + IPPROTO_ICMPV6);
	put_sum(at + 2, sum_bytes(at, n, sum));
}

void icmp_sum_ip(struct packet *p)
{
	__u8 *at = p->byte + ip_of(p);

	at[10] = at[11] = 0;
	put_sum(at + 10, sum_bytes(at, header_of(p, ip_of(p)), 0));
}

void icmp_wrap(struct packet *p, const struct icmp_spec *s, const struct packet *quoted, __u32 n)
{
	struct packet_spec outer = s->outer;
	__u32 rest = htonl(s->rest);
	__u8 *at;

	outer.protocol = lab_is_v6(&outer.to) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	outer.payload = ICMP_HEADER + n + s->padding;
	packet_build(p, &outer);
	at = p->byte + icmp_quote(p) - ICMP_HEADER;
	memset(at, 0, outer.payload);
	at[0] = s->type;
	at[1] = s->code;
	memcpy(at + 4, &rest, 4);
	memcpy(at + ICMP_HEADER, quoted->byte + ETH_HLEN, n);
	icmp_sum(p);
}

void icmp_build(struct packet *p, const struct icmp_spec *s)
{
	static struct packet quoted;
	__u32 n, header;

	packet_build(&quoted, &s->quoted);
	header = header_of(&quoted, ETH_HLEN) + (is_v4(&quoted) || !s->quoted.ip_options ? 0 : s->quoted.ip_options);
	n = quoted.length - ETH_HLEN;
	if (s->cut && n > header + s->cut)
		n = header + s->cut;
	icmp_wrap(p, s, &quoted, n);
}

void icmp_too_big(struct packet *p, const struct packet_spec *s, const struct perch_address *from, __u32 mtu)
{
	bool v6 = lab_is_v6(&s->from);
	struct icmp_spec icmp = {
		.quoted = *s, .type = v6 ? 2 : 3, .code = v6 ? 0 : 4, .rest = mtu,
		.cut = TOO_BIG_QUOTE - (v6 ? 40 : 20),
		.outer = { .from = *from, .to = s->from, .ttl = 64 },
	};

	memcpy(icmp.outer.from_mac, s->to_mac, 6);
	memcpy(icmp.outer.to_mac, s->from_mac, 6);
	icmp_build(p, &icmp);
	if (v6) {
		/* no flow label */
		memset(p->byte + ETH_HLEN + 1, 0, 3);
		return;
	}
	/* no identification, may be fragmented */
	memset(p->byte + ETH_HLEN + 4, 0, 4);
	icmp_sum_ip(p);
}
