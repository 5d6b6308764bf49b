/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The model's reading of a packet: Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200),
 * TCP (RFC 9293), UDP (RFC 768), behind VLAN tags (802.1Q, 802.1ad). */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

__u32 read_number(const __u8 *at, unsigned bytes)
{
	__u32 v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

static __be16 port_at(const __u8 *at)
{
	__be16 port;

	memcpy(&port, at, 2);
	return port;
}

/* Does the filter have an address?  The contract says which bit is whose. */
static bool has_bit(const __u64 *bits, const struct perch_address *a)
{
	const __u32 *w = a->word;
	__u32 h = (w[0] ^ w[1] * 2654435761u) + (w[2] ^ w[3]) * 2246822507u;

	h = (h ^ h >> 15) * 3266489909u >> 13;
	return bits[h / 64] >> h % 64 & 1;
}

static int read_ports(struct seen *p, const __u8 *at)
{
	p->source_port = port_at(at);
	p->destination_port = port_at(at + 2);
	/* from where it goes to: no answer would ever arrive */
	return p->source_port == p->destination_port && same_address(&p->source, &p->destination) ? PERCH_R_LAND : UNDERSTOOD;
}

/* A fragment that is not the first has no ports. */
static int read_later(struct seen *p)
{
	static const __u8 none[4];

	if (p->transport - p->ip > p->ip_length)
		return PERCH_R_MALFORMED;
	p->payload = p->ip_length - (p->transport - p->ip);
	return read_ports(p, none);
}

bool read_is_icmp(const struct seen *p)
{
	return p->protocol == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* Of an error in pieces nobody knows what it quotes. */
static int read_other(const struct seen *p)
{
	return read_is_icmp(p) && (p->first || p->later) ? PERCH_R_FRAGMENT : PERCH_R_PROTOCOL;
}

static int read_transport(const struct model_run *r, struct seen *p)
{
	const __u8 *at = r->in->byte + p->transport;
	__u32 header = p->transport - p->ip, room = p->length > p->transport ? p->length - p->transport : 0;
	__u32 least = is_tcp(p) ? 20 : 8;

	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return read_other(p);
	if (p->later)
		return read_later(p);
	if (room < least)
		return PERCH_R_MALFORMED;
	if (is_tcp(p)) {
		least = (at[12] >> 4) * 4;
		if (least < 20)
			return PERCH_R_MALFORMED;
		p->seq = read_number(at + 4, 4);
		p->ack = read_number(at + 8, 4);
		p->flags = at[13];
	}
	if (header + least > p->ip_length)
		return PERCH_R_MALFORMED;
	/* a first fragment's UDP length is that of the whole */
	if (!is_tcp(p) && !r->gso_size && (read_number(at + 4, 2) < 8 || (read_number(at + 4, 2) > p->ip_length - header && !p->first)))
		return PERCH_R_MALFORMED;
	p->payload = p->ip_length - header - least;
	return read_ports(p, at);
}

static int read_v4(const struct model_run *r, struct seen *p)
{
	const __u8 *ip = r->in->byte + p->ip;
	__u32 fragment = read_number(ip + 6, 2);

	p->ip_length = read_number(ip + 2, 2);
	if (r->gso_size && !p->ip_length)
		p->ip_length = p->length - p->ip;	/* BIG TCP */
	if (ip[0] >> 4 != 4 || (ip[0] & 15) < 5 || p->ip + p->ip_length > p->length)
		return PERCH_R_MALFORMED;
	p->later = fragment & 0x1fff;
	p->first = !p->later && (fragment & 0x2000);
	p->dscp = ip[1] >> 2;
	p->ttl = ip[8];
	p->protocol = ip[9];
	p->transport = p->ip + (ip[0] & 15) * 4;
	return read_transport(r, p);
}

static bool is_mapped(const __u8 *address)
{
	static const __u8 prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, prefix, sizeof(prefix));
}

static bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT || next == IPPROTO_DSTOPTS;
}

/* Carried along unread, but for a route that leads on; four, of 192 bytes. */
static int read_extensions(const struct model_run *r, struct seen *p)
{
	for (unsigned n = 0; is_extension(p->protocol); n++) {
		const __u8 *x = r->in->byte + p->transport;

		if (n == 4 || p->first || p->later)
			return PERCH_R_IP_OPTIONS;
		if (p->transport + 8 > p->length)
			return PERCH_R_MALFORMED;
		if (p->protocol == IPPROTO_ROUTING && (!x[2] || x[3]))
			return PERCH_R_IP_OPTIONS;
		if (p->protocol == IPPROTO_FRAGMENT) {
			p->later = read_number(x + 2, 2) >> 3;
			p->first = !p->later && (x[3] & 1);
			p->transport += 8;
		} else {
			p->transport += (x[1] + 1) * 8;
		}
		p->protocol = x[0];
		if (p->transport - p->ip > 40 + 192)
			return PERCH_R_IP_OPTIONS;
	}
	return UNDERSTOOD;
}

static int read_v6(const struct model_run *r, struct seen *p)
{
	const __u8 *ip = r->in->byte + p->ip;
	int reason;

	if (is_mapped(ip + 8) || is_mapped(ip + 24))
		return PERCH_R_NOT_OURS;
	p->ip_length = 40 + read_number(ip + 4, 2);
	if (r->gso_size && p->ip_length == 40)
		p->ip_length = p->length - p->ip;
	if (ip[0] >> 4 != 6 || p->ip + p->ip_length > p->length)
		return PERCH_R_MALFORMED;
	p->dscp = read_number(ip, 2) >> 6 & 63;
	p->protocol = ip[6];
	p->ttl = ip[7];
	p->transport = p->ip + 40;
	reason = read_extensions(r, p);
	return reason == UNDERSTOOD ? read_transport(r, p) : reason;
}

static void read_addresses(struct seen *p, const __u8 *ip)
{
	if (p->v6) {
		memcpy(&p->source, ip + 8, 16);
		memcpy(&p->destination, ip + 24, 16);
		return;
	}
	p->source.word[2] = p->destination.word[2] = htonl(0xffff);
	memcpy(&p->source.word[3], ip + 12, 4);
	memcpy(&p->destination.word[3], ip + 16, 4);
}

/* The Ethernet type behind two VLAN tags at most. */
static __u32 read_type(const struct model_run *r, struct seen *p)
{
	__u32 type;

	for (p->ip = ETH_HLEN;; p->ip += 4, p->tags++) {
		if (p->ip > p->length)
			return 0;
		type = read_number(r->in->byte + p->ip - 2, 2);
		if (p->tags == 2 || (type != ETH_P_8021Q && type != ETH_P_8021AD))
			return type;
	}
}

/* Does the filter know where it goes to or where it comes from? */
bool read_is_ours(struct model *m, struct seen *p)
{
	p->to_listener = has_bit(m->t.filter->destination, &p->destination);
	p->from_backend = has_bit(m->t.filter->source, &p->source);
	return p->to_listener || p->from_backend;
}

int read_packet(struct model *m, struct seen *p)
{
	const struct model_run *r = m->run;
	__u32 type;
	bool ours;
	int reason;

	p->length = r->in->length;
	p->segments = r->gso_segs ? r->gso_segs : 1;
	type = read_type(r, p);
	p->v6 = type == ETH_P_IPV6;
	if (!p->v6 && type != ETH_P_IP)
		return PERCH_R_NOT_IP;
	if (p->length < p->ip + (p->v6 ? 40 : 20))
		return PERCH_R_MALFORMED;
	read_addresses(p, r->in->byte + p->ip);
	ours = read_is_ours(m, p);
	/* a router's error has foreign addresses: the quote has to be read */
	if (!ours && r->in->byte[p->ip + (p->v6 ? 6 : 9)] != (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return PERCH_R_NOT_OURS;
	reason = p->v6 ? read_v6(r, p) : read_v4(r, p);
	if (!ours)
		return reason == PERCH_R_PROTOCOL ? reason : PERCH_R_NOT_OURS;
	return reason;
}
