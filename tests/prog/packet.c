/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Builds packets for tests, reads them back and compares them. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"

#define VLAN_LENGTH 4
#define IPV4_LENGTH 20
#define IPV6_LENGTH 40
#define TCP_LENGTH 20
#define UDP_LENGTH 8

static bool is_v4(const struct perch_address *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == htonl(0xffff);
}

static __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static __u32 get32(const __u8 *at)
{
	return (__u32)get16(at) << 16 | get16(at + 2);
}

static void put16(__u8 *at, __u16 v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static void put32(__u8 *at, __u32 v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static __u32 sum_bytes(const __u8 *at, size_t n, __u32 sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += get16(at + i);
	if (n & 1)
		sum += at[n - 1] << 8;
	return sum;
}

static __u16 sum_fold(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __u32 sum_pseudo(const struct perch_address *from, const struct perch_address *to, __u8 protocol, size_t n)
{
	size_t skip = is_v4(from) ? 12 : 0;
	__u32 sum = sum_bytes((const __u8 *)from + skip, 16 - skip, protocol + n);

	return sum_bytes((const __u8 *)to + skip, 16 - skip, sum);
}

/* Checksum over the pseudo-header and everything from `at` on; 0 over a
 * segment that holds its right checksum. */
static __u16 sum_segment(const struct perch_address *from, const struct perch_address *to, __u8 protocol,
			 const __u8 *at, size_t n)
{
	return sum_fold(sum_bytes(at, n, sum_pseudo(from, to, protocol, n)));
}

static __u8 *push(struct packet *p, size_t n)
{
	__u8 *at = p->byte + p->length;

	memset(at, 0, n);
	p->length += n;
	return at;
}

static void push_ethernet(struct packet *p, const struct packet_spec *s)
{
	__u8 *at = push(p, 12);

	memcpy(at, s->to_mac, 6);
	memcpy(at + 6, s->from_mac, 6);
	for (unsigned tag = 0; tag < s->vlans; tag++) {
		at = push(p, VLAN_LENGTH);
		put16(at, tag + 1 < s->vlans ? ETH_P_8021AD : ETH_P_8021Q);
		put16(at + 2, 100 + tag);
	}
	put16(push(p, 2), is_v4(&s->from) ? ETH_P_IP : ETH_P_IPV6);
}

static void push_ipv4(struct packet *p, const struct packet_spec *s, size_t rest)
{
	size_t length = IPV4_LENGTH + s->ip_options;
	__u8 *at = push(p, length);

	at[0] = 0x40 | length / 4;
	at[1] = s->tos;
	put16(at + 2, length + rest);
	put16(at + 4, 0x4242);
	put16(at + 6, s->fragment ? s->fragment : 0x4000);
	at[8] = s->ttl;
	at[9] = s->protocol;
	memcpy(at + 12, &s->from.word[3], 4);
	memcpy(at + 16, &s->to.word[3], 4);
	memset(at + IPV4_LENGTH, 1, s->ip_options);	/* no operation */
	put16(at + 10, sum_fold(sum_bytes(at, length, 0)));
}

static void push_ipv6(struct packet *p, const struct packet_spec *s, size_t rest)
{
	__u8 *at = push(p, IPV6_LENGTH), *next = at + 6;

	put32(at, 6u << 28 | s->tos << 20 | 0x12345);
	put16(at + 4, s->ip_options + (s->fragment ? 8 : 0) + rest);
	at[7] = s->ttl;
	memcpy(at + 8, &s->from, 16);
	memcpy(at + 24, &s->to, 16);
	if (s->ip_options) {
		*next = IPPROTO_HOPOPTS;
		next = push(p, s->ip_options);
		next[1] = s->ip_options / 8 - 1;
		next[2] = 1;				/* PadN */
		next[3] = s->ip_options - 4;
	}
	if (s->fragment) {
		*next = IPPROTO_FRAGMENT;
		next = push(p, 8);
		put16(next + 2, s->fragment);
		put32(next + 4, 0x42424242);
	}
	*next = s->protocol;
}

static void push_payload(struct packet *p, const struct packet_spec *s)
{
	__u8 *at = push(p, s->payload);
	__u32 x = s->seed * 2654435761u + 1;

	for (unsigned i = 0; i < s->payload; i++) {
		x = x * 1664525 + 1013904223;
		at[i] = x >> 24;
	}
	for (unsigned i = 0; s->text && s->text[i] && i < s->payload; i++)
		at[i] = s->text[i];
}

static void push_tcp(struct packet *p, const struct packet_spec *s)
{
	__u8 *at = push(p, TCP_LENGTH + s->tcp_options);

	put16(at, s->from_port);
	put16(at + 2, s->to_port);
	put32(at + 4, s->seq);
	put32(at + 8, s->ack);
	at[12] = (TCP_LENGTH + s->tcp_options) / 4 << 4;
	at[13] = s->flags;
	put16(at + 14, s->window);
	memset(at + TCP_LENGTH, 1, s->tcp_options);	/* no operation */
	push_payload(p, s);
	put16(at + 16, sum_segment(&s->from, &s->to, IPPROTO_TCP, at, p->byte + p->length - at));
}

static void push_udp(struct packet *p, const struct packet_spec *s)
{
	__u8 *at = push(p, UDP_LENGTH);
	__u16 sum;

	put16(at, s->from_port);
	put16(at + 2, s->to_port);
	put16(at + 4, UDP_LENGTH + s->payload);
	push_payload(p, s);
	sum = sum_segment(&s->from, &s->to, IPPROTO_UDP, at, UDP_LENGTH + s->payload);
	if (!s->unsummed)
		put16(at + 6, sum ? sum : 0xffff);
}

void packet_build(struct packet *p, const struct packet_spec *s)
{
	size_t rest = s->payload;

	if (s->protocol == IPPROTO_TCP)
		rest += TCP_LENGTH + s->tcp_options;
	else if (s->protocol == IPPROTO_UDP)
		rest += UDP_LENGTH;
	p->length = 0;
	push_ethernet(p, s);
	if (is_v4(&s->from))
		push_ipv4(p, s, rest);
	else
		push_ipv6(p, s, rest);
	if (s->protocol == IPPROTO_TCP)
		push_tcp(p, s);
	else if (s->protocol == IPPROTO_UDP)
		push_udp(p, s);
	else
		push_payload(p, s);
}

/* All extension headers but the fragment's, with which packet_read deals. */
static const char *skip_extensions(const struct packet *p, struct packet_layout *l)
{
	while (l->protocol == IPPROTO_HOPOPTS || l->protocol == IPPROTO_ROUTING || l->protocol == IPPROTO_DSTOPTS) {
		if (l->transport + 8 > l->end)
			return "extension header cut off";
		l->protocol = p->byte[l->transport];
		l->transport += (p->byte[l->transport + 1] + 1) * 8;
		if (l->transport > l->end)
			return "extension header longer than the packet";
	}
	return NULL;
}

static const char *lay_out_ip(const struct packet *p, struct packet_layout *l, __u16 type)
{
	const __u8 *ip = p->byte + l->ip;
	size_t room = p->length - l->ip;

	if (type == ETH_P_IP) {
		if (room >= 1 && ip[0] >> 4 != 4)
			return "not IPv4's version";
		if (room < IPV4_LENGTH || room < (ip[0] & 15) * 4u || room < get16(ip + 2))
			return "IPv4 header shorter than it claims";
		l->transport = l->ip + (ip[0] & 15) * 4;
		l->end = l->ip + get16(ip + 2);
		l->ip_sum = l->ip + 10;
		l->protocol = ip[9];
		return NULL;
	}
	if (type != ETH_P_IPV6)
		return "neither IPv4 nor IPv6";
	if (room >= 1 && ip[0] >> 4 != 6)
		return "not IPv6's version";
	if (room < IPV6_LENGTH || room - IPV6_LENGTH < get16(ip + 4))
		return "IPv6 header shorter than it claims";
	l->transport = l->ip + IPV6_LENGTH;
	l->end = l->transport + get16(ip + 4);
	l->protocol = ip[6];
	return skip_extensions(p, l);
}

const char *packet_lay_out(const struct packet *p, struct packet_layout *ret)
{
	struct packet_layout l = { .ip = ETH_HLEN };
	const char *fault;
	__u16 type;

	if (p->length < ETH_HLEN)
		return "shorter than an Ethernet header";
	while ((type = get16(p->byte + l.ip - 2)) == ETH_P_8021Q || type == ETH_P_8021AD) {
		l.ip += VLAN_LENGTH;
		if (p->length < l.ip)
			return "VLAN tag cut off";
	}
	fault = lay_out_ip(p, &l, type);
	if (fault)
		return fault;
	l.payload = l.transport;
	if (l.protocol == IPPROTO_TCP && l.transport + TCP_LENGTH <= l.end) {
		l.sum = l.transport + 16;
		l.payload += (p->byte[l.transport + 12] >> 4) * 4;
	} else if (l.protocol == IPPROTO_UDP && l.transport + UDP_LENGTH <= l.end) {
		l.sum = l.transport + 6;
		l.payload += UDP_LENGTH;
	}
	if (l.payload > l.end)
		return "transport header cut off";
	*ret = l;
	return NULL;
}

void packet_extend(struct packet *p, __u8 kind, unsigned bytes, __u8 type, __u8 left)
{
	struct packet_layout l = { .ip = ETH_HLEN };
	__u8 *ip, *x;

	packet_lay_out(p, &l);
	ip = p->byte + l.ip;
	x = ip + IPV6_LENGTH;
	memmove(x + bytes, x, p->byte + p->length - x);
	memset(x, 0, bytes);
	x[0] = ip[6];
	x[1] = bytes / 8 - 1;
	x[2] = kind == IPPROTO_ROUTING ? type : 1;
	x[3] = kind == IPPROTO_ROUTING ? left : bytes - 4;
	ip[6] = kind;
	put16(ip + 4, get16(ip + 4) + bytes);
	p->length += bytes;
}

/* Lengths and offsets in units of one byte; IPv6 gets its fragment header. */
static void make_fragment(struct packet *p, const struct packet_layout *l, unsigned from, unsigned bytes, bool more)
{
	__u8 *ip = p->byte + l->ip, *x = p->byte + l->transport;

	if (l->ip_sum) {
		put16(ip + 2, IPV4_LENGTH + bytes);
		put16(ip + 6, from / 8 | (more ? 0x2000 : 0));
		put16(p->byte + l->ip_sum, 0);
		put16(p->byte + l->ip_sum, sum_fold(sum_bytes(ip, IPV4_LENGTH, 0)));
		return;
	}
	memmove(x + 8, x, bytes);
	p->length += 8;
	memset(x, 0, 8);
	x[0] = ip[6];
	put16(x + 2, from | more);
	put32(x + 4, 0x42424242);
	ip[6] = IPPROTO_FRAGMENT;
	put16(ip + 4, 8 + bytes);
}

void packet_fragment(const struct packet *whole, unsigned from, unsigned bytes, struct packet *ret)
{
	struct packet_layout l;
	unsigned left;

	if (packet_lay_out(whole, &l) || from > l.end - l.transport)
		abort();
	left = l.end - l.transport - from;
	if (bytes > left)
		bytes = left;
	memcpy(ret->byte, whole->byte, l.transport);
	memcpy(ret->byte + l.transport, whole->byte + l.transport + from, bytes);
	ret->length = l.transport + bytes;
	make_fragment(ret, &l, from, bytes, bytes < left);
}

static void read_ip(const struct packet *p, const struct packet_layout *l, struct packet_spec *s)
{
	const __u8 *ip = p->byte + l->ip;

	s->protocol = l->protocol;
	if (ip[0] >> 4 == 4) {
		s->tos = ip[1];
		s->fragment = get16(ip + 6) & 0x3fff;
		s->ttl = ip[8];
		s->from.word[2] = s->to.word[2] = htonl(0xffff);
		memcpy(&s->from.word[3], ip + 12, 4);
		memcpy(&s->to.word[3], ip + 16, 4);
		s->ip_options = (ip[0] & 15) * 4 - IPV4_LENGTH;
	} else {
		s->tos = get32(ip) >> 20;
		s->ttl = ip[7];
		s->ip_options = l->transport - l->ip - IPV6_LENGTH;
		memcpy(&s->from, ip + 8, 16);
		memcpy(&s->to, ip + 24, 16);
	}
}

static const char *read_transport(const struct packet *p, const struct packet_layout *l, struct packet_spec *s)
{
	const __u8 *at = p->byte + l->transport;

	s->from_port = get16(at);
	s->to_port = get16(at + 2);
	s->payload = l->end - l->payload;
	if (s->protocol == IPPROTO_TCP) {
		s->seq = get32(at + 4);
		s->ack = get32(at + 8);
		s->flags = at[13];
		s->window = get16(at + 14);
		s->tcp_options = l->payload - l->transport - TCP_LENGTH;
	} else {
		if (get16(at + 4) != l->end - l->transport)
			return "UDP length differs from the IP header's";
		s->unsummed = !get16(at + 6);
		if (s->unsummed)
			return NULL;
	}
	if (sum_segment(&s->from, &s->to, s->protocol, at, l->end - l->transport))
		return "wrong transport checksum";
	return NULL;
}

const char *packet_read(const struct packet *p, struct packet_spec *ret)
{
	struct packet_spec s = { 0 };
	struct packet_layout l;
	const char *fault = packet_lay_out(p, &l);

	if (fault)
		return fault;
	memcpy(s.to_mac, p->byte, 6);
	memcpy(s.from_mac, p->byte + 6, 6);
	s.vlans = (l.ip - ETH_HLEN) / VLAN_LENGTH;
	read_ip(p, &l, &s);
	if (l.ip_sum && sum_fold(sum_bytes(p->byte + l.ip, l.transport - l.ip, 0)))
		return "wrong IPv4 header checksum";
	if (s.fragment)
		return "a fragment";
	if (!l.sum)
		return "neither TCP nor UDP";
	fault = read_transport(p, &l, &s);
	if (fault)
		return fault;
	*ret = s;
	return NULL;
}

/* The pseudo header's sum, folded; *ret_at is where the checksum stands. */
static bool pseudo_of(const struct packet *p, __u16 *ret_sum, __u32 *ret_at)
{
	struct packet_spec s = { 0 };
	struct packet_layout l;

	if (packet_lay_out(p, &l) || !l.sum)
		return false;
	read_ip(p, &l, &s);
	*ret_sum = ~sum_fold(sum_pseudo(&s.from, &s.to, s.protocol, l.end - l.transport));
	*ret_at = l.sum;
	return true;
}

bool packet_sum_is_pseudo(const struct packet *p)
{
	__u16 sum;
	__u32 at;

	return pseudo_of(p, &sum, &at) && get16(p->byte + at) == sum;
}

void packet_leave_sum(struct packet *p)
{
	__u16 sum;
	__u32 at;

	if (pseudo_of(p, &sum, &at))
		put16(p->byte + at, sum);
}

static bool same_sum(const struct packet *a, const struct packet *b, __u32 at)
{
	__u16 x = get16(a->byte + at), y = get16(b->byte + at);

	return x == y || (!x && y == 0xffff) || (x == 0xffff && !y);
}

/* Byte i agrees, or belongs to a checksum that does. */
static bool same_byte(const struct packet *a, const struct packet *b, const struct packet_layout *l, __u32 i)
{
	if (i >= a->length || i >= b->length)
		return false;
	if (a->byte[i] == b->byte[i])
		return true;
	if (l->ip_sum && i / 2 == l->ip_sum / 2)
		return same_sum(a, b, l->ip_sum);
	return l->sum && i / 2 == l->sum / 2 && same_sum(a, b, l->sum);
}

void packet_print(const struct packet *p, const struct packet *other, FILE *out)
{
	struct packet_layout l = { 0 };

	packet_lay_out(p, &l);
	for (__u32 row = 0; row < p->length; row += 16) {
		fprintf(out, "  %04x ", row);
		for (__u32 i = row; i < row + 16 && i < p->length; i++) {
			bool mark = other && !same_byte(p, other, &l, i);

			fprintf(out, "%c%02x%c", mark ? '[' : ' ', p->byte[i], mark ? ']' : ' ');
		}
		fputc('\n', out);
	}
}

bool packet_same(const struct packet *got, const struct packet *want, FILE *report)
{
	struct packet_layout l = { 0 };
	bool same = got->length == want->length;

	packet_lay_out(want, &l);
	for (__u32 i = 0; same && i < got->length; i++)
		same = same_byte(got, want, &l, i);
	if (!same && report) {
		fprintf(report, "got %u bytes:\n", got->length);
		packet_print(got, want, report);
		fprintf(report, "want %u bytes:\n", want->length);
		packet_print(want, got, report);
	}
	return same;
}
