/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's bytes: addresses, ports, hop count, MACs, and checksums that
 * move with them (RFC 1624, equation 3), so that a wrong one stays as wrong as
 * it was.  A RST in answer is made anew (RFC 9293, 3.10.7.1).
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

static __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
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

static __u16 fold(__u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __u64 sum_of(const __u8 *at, __u32 n)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < n; i++)
		sum += i & 1 ? at[i] : at[i] << 8;
	return sum;
}

/* Put `n` bytes, an even number, over those at `at`; the checksum at `check`
 * covers them. */
static void replace(__u8 *at, const void *with, __u32 n, __u8 *check)
{
	__u64 sum = (__u16)~get16(check);

	for (__u32 i = 0; i < n; i += 2)
		sum += (__u16)~get16(at + i) + get16((const __u8 *)with + i);
	put16(check, ~fold(sum));
	memcpy(at, with, n);
}

/* The same of bytes that the transport checksum covers by the pseudo header,
 * and IPv4's by the header. */
static void replace_address(__u8 *at, const void *with, __u32 n, __u8 *ip_check, __u8 *check)
{
	__u8 old[16];

	memcpy(old, at, n);
	if (check)
		replace(at, with, n, check);
	memcpy(at, old, n);
	if (ip_check)
		replace(at, with, n, ip_check);
	memcpy(at, with, n);
}

static void set_hop(__u8 *byte, const struct seen *p)
{
	__u8 *ip = byte + p->ip;
	__u8 life[2] = { p->v6 ? 0 : ip[8] - 1, p->v6 ? 0 : ip[9] };

	if (p->v6)
		ip[7]--;
	else
		replace(ip + 8, life, 2, ip + 10);
}

static void set_macs(struct model *m, __u8 *byte, const struct seen *p)
{
	for (unsigned i = 0; i < ETH_ALEN; i++)
		byte[i] = p->via >> 8 * i;
	memcpy(byte + ETH_ALEN, m->t.device[perch_via_device(p->via)].mac, ETH_ALEN);
}

static void copy_in(struct model *m)
{
	m->out.length = m->run->in->length;
	memcpy(m->out.byte, m->run->in->byte, m->out.length);
}

/* Tags stay behind, as with a router. */
static void drop_tags(struct model *m, const struct seen *p)
{
	__u8 *byte = m->out.byte;

	memmove(byte + 12, byte + p->ip - 2, m->out.length - (p->ip - 2));
	m->out.length -= 4 * p->tags;
}

/* IP in IP, or GUE variant 1: the packet from its IP header on, behind an outer
 * one from this host to its backend, with the DSCP and without ECN. */
static void wrap(struct model *m, const struct seen *p)
{
	const struct perch_service *s = &m->t.service[m->t.backend[p->flow.backend].service];
	bool v4 = is_v4(&p->new_address), gue = p->forward == PERCH_GUE;
	__u8 *ip = m->out.byte + ETH_HLEN, protocol = gue ? IPPROTO_UDP : p->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	__u32 length = p->ip_length + p->overhead, spread = p->place.fingerprint >> 1;

	memmove(ip + p->overhead, ip, m->out.length - ETH_HLEN);
	memset(ip, 0, p->overhead);
	m->out.length += p->overhead;
	put16(ip - 2, v4 ? ETH_P_IP : ETH_P_IPV6);
	if (v4) {
		ip[0] = 0x45;
		ip[1] = p->dscp << 2;
		put16(ip + 2, length);
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = protocol;
		memcpy(ip + 12, &s->tunnel4, 4);
		memcpy(ip + 16, &p->new_address.word[3], 4);
		put16(ip + 10, ~fold(sum_of(ip, 20)));
	} else {
		put32(ip, 6u << 28 | (__u32)p->dscp << 22 | (spread & 0xfffff));
		put16(ip + 4, length - 40);
		ip[6] = protocol;
		ip[7] = 64;
		memcpy(ip + 8, &s->tunnel6, 16);
		memcpy(ip + 24, &p->new_address, 16);
	}
	if (gue) {
		__u8 *udp = ip + (v4 ? 20 : 40);

		put16(udp, 49152 + (spread & 0x3fff));	/* RFC 6335's dynamic ports */
		put16(udp + 2, PERCH_GUE_PORT);
		put16(udp + 4, p->ip_length + 8);
	}
}

/* What is not translated: the backend has the listener's address. */
static void write_one_sided(struct model *m, const struct seen *p)
{
	copy_in(m);
	if (hop_up(p->via))
		return;
	set_hop(m->out.byte, p);
	drop_tags(m, p);
	if (perch_tunnels(p->forward))
		wrap(m, p);
	if (p->via)
		set_macs(m, m->out.byte, p);
}

/* What is translated: its way on, unless that is the stack's. */
static void send_on(struct model *m, const struct seen *p)
{
	__u8 *byte = m->out.byte;

	if (m->run->hook == PERCH_HOOK_TC_OUT || hop_up(p->via))
		return;
	set_hop(byte, p);
	drop_tags(m, p);
	/* who has no next hop yet gets its MACs from the kernel */
	if (p->via)
		set_macs(m, byte, p);
}

void write_packet(struct model *m, const struct seen *p)
{
	__u8 *byte = m->out.byte, *ip = byte + p->ip, *t = byte + p->transport, *check = t + (is_tcp(p) ? 16 : 6);
	__u32 source = p->v6 ? 8 : 12, destination = p->v6 ? 24 : 16, at = p->reply ? source : destination, n = p->v6 ? 16 : 4;

	if (perch_one_sided(p->forward)) {
		write_one_sided(m, p);
		return;
	}
	copy_in(m);
	if (p->later || (!is_tcp(p) && !get16(check)))
		check = NULL;	/* RFC 768: none */
	replace_address(ip + at, p->v6 ? (const void *)&p->new_address : &p->new_address.word[3], n, p->v6 ? NULL : ip + 10,
			check);
	if (p->both)
		replace_address(ip + (p->reply ? destination : source),
				p->v6 ? (const void *)&p->client_address : &p->client_address.word[3], n,
				p->v6 ? NULL : ip + 10, check);
	if (!p->later)
		replace_address(t + (p->reply ? 0 : 2), &p->new_port, 2, NULL, check);
	if (p->client_port && !p->later)
		replace_address(t + (p->reply ? 2 : 0), &p->client_port, 2, NULL, check);
	if (check && !is_tcp(p) && !get16(check))
		put16(check, 0xffff);
	send_on(m, p);
}

/* An error as the sender of what it quotes can read it: the other end's
 * address and port are in the quote as that sender knows them, and the error is
 * from the listener if it is the backend's own.  The sums of the quote's headers
 * stay as right or wrong as they were, and ICMP's (RFC 792, RFC 4443) covers all
 * of it. */
void write_error(struct model *m, const struct seen *p)
{
	__u8 *byte = m->out.byte, *ip = byte + p->ip, *icmp = byte + p->transport, *quote = byte + p->quote;
	__u8 *ports = byte + p->quoted, *check = p->quoted_sum ? byte + p->quoted_sum : NULL;
	__u32 source = p->v6 ? 8 : 12, destination = p->v6 ? 24 : 16, n = p->v6 ? 16 : 4;
	const void *address = p->v6 ? (const void *)&p->new_address : &p->new_address.word[3];
	const void *client = p->v6 ? (const void *)&p->client_address : &p->client_address.word[3];
	__u8 *ip_check = p->v6 ? NULL : ip + 10, *pseudo_check = p->v6 ? icmp + 2 : NULL;
	__u32 rest = (p->length - p->quote) & ~1u;
	__u16 before;

	copy_in(m);
	before = fold(sum_of(quote, rest));
	if (check && !get16(check))
		check = NULL;
	replace_address(quote + (p->reply ? destination : source), address, n, p->v6 ? NULL : quote + 10, check);
	if (p->both)
		replace_address(quote + (p->reply ? source : destination), client, n, p->v6 ? NULL : quote + 10, check);
	replace_address(ports + (p->reply ? 2 : 0), &p->new_port, 2, NULL, check);
	if (p->client_port)
		replace_address(ports + (p->reply ? 0 : 2), &p->client_port, 2, NULL, check);
	if (check && !is_tcp(p) && !get16(check))
		put16(check, 0xffff);
	put16(icmp + 2, ~fold((__u64)(__u16)~get16(icmp + 2) + (__u16)~before + fold(sum_of(quote, rest))));
	if (!p->reply || p->from_end)
		replace_address(ip + (p->reply ? source : destination), address, n, ip_check, pseudo_check);
	if (p->both)
		replace_address(ip + (p->reply ? destination : source), client, n, ip_check, pseudo_check);
	send_on(m, p);
}

static void answer_v4(__u8 *ip, const struct seen *p)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 40);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, &p->destination.word[3], 4);
	memcpy(ip + 16, &p->source.word[3], 4);
	put16(ip + 10, ~fold(sum_of(ip, 20)));
}

static void answer_v6(__u8 *ip, const struct seen *p)
{
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, 20);
	ip[6] = IPPROTO_TCP;
	ip[7] = 64;
	memcpy(ip + 8, &p->destination, 16);
	memcpy(ip + 24, &p->source, 16);
}

static __u64 pseudo(const struct seen *p, __u32 length)
{
	const __u8 *from = (const __u8 *)&p->source, *to = (const __u8 *)&p->destination;
	unsigned skip = p->v6 ? 0 : 12;

	return sum_of(from + skip, 16 - skip) + sum_of(to + skip, 16 - skip) + p->protocol + length;
}

void write_answer(struct model *m, const struct seen *p)
{
	__u32 at = p->ip + (p->v6 ? 40 : 20);	/* without options */
	__u8 *byte = m->out.byte, *t = byte + at, mac[ETH_ALEN];

	copy_in(m);
	m->out.length = at + 20;
	memcpy(mac, byte, ETH_ALEN);
	memcpy(byte, byte + ETH_ALEN, ETH_ALEN);
	memcpy(byte + ETH_ALEN, mac, ETH_ALEN);
	if (p->v6)
		answer_v6(byte + p->ip, p);
	else
		answer_v4(byte + p->ip, p);
	memset(t, 0, 20);
	memcpy(t, &p->destination_port, 2);
	memcpy(t + 2, &p->source_port, 2);
	t[12] = 5 << 4;
	if (p->flags & TCP_ACK) {
		put32(t + 4, p->ack);
		t[13] = TCP_RST;
	} else {
		put32(t + 8, states_end(p));
		t[13] = TCP_RST | TCP_ACK;
	}
	put16(t + 16, ~fold(sum_of(t, 20) + pseudo(p, 20)));
}

bool write_sum_is_pseudo(const struct model *m, const struct seen *p)
{
	const __u8 *check = m->run->in->byte + p->transport + (is_tcp(p) ? 16 : 6);

	return get16(check) == fold(pseudo(p, p->ip_length - (p->transport - p->ip)));
}
