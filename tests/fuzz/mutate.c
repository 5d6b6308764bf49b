/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Packets gone wrong: every header at every layer, lengths, checksums, bits.
 * The client's address stays one that the lab has a route for, or plainly
 * none: what the kernel's routes make of others is not what is tested.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "fuzz.h"

struct cut {
	struct packet *p;
	struct dice *d;
	__u8 *ip, *transport;
	bool v6;
};

static void put16(__u8 *at, __u16 v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static void sum_ip(const struct cut *c)
{
	unsigned n = (c->ip[0] & 15) * 4;
	__u32 sum = 0;

	put16(c->ip + 10, 0);
	for (unsigned i = 0; i < n; i += 2)
		sum += get16(c->ip + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(c->ip + 10, ~sum);
}

static void flip_bit(const struct cut *c)
{
	__u8 addresses[32], *at = c->ip + (c->v6 ? 8 : 12);
	unsigned n = c->v6 ? 32 : 8;

	memcpy(addresses, at, n);
	c->p->byte[dice_roll(c->d, c->p->length)] ^= 1u << dice_roll(c->d, 8);
	memcpy(at, addresses, n);
}

static void set_ttl(const struct cut *c)
{
	static const __u8 some[] = { 0, 1, 1, 2, 255 };

	c->ip[c->v6 ? 7 : 8] = some[dice_roll(c->d, 5)];
}

static void set_tos(const struct cut *c)
{
	if (c->v6)
		put16(c->ip, (get16(c->ip) & 0xf00f) | dice_roll(c->d, 256) << 4);
	else
		c->ip[1] = dice_roll(c->d, 256);
}

static void cut_off(const struct cut *c)
{
	__u32 least = ETH_HLEN, n = dice_roll(c->d, c->p->length);

	c->p->length = n < least ? least : n;
}

static void pad(const struct cut *c)
{
	__u32 n = 1 + dice_roll(c->d, 40);

	for (__u32 i = 0; i < n; i++)
		c->p->byte[c->p->length++] = dice_one_in(c->d, 2) ? 0 : dice_roll(c->d, 256);
}

static void set_version(const struct cut *c)
{
	c->ip[0] = c->v6 ? (c->ip[0] & 15) | dice_roll(c->d, 16) << 4 : dice_roll(c->d, 256);
}

static void set_length(const struct cut *c)
{
	__u8 *at = c->ip + (c->v6 ? 4 : 2);
	static const __s16 off[] = { -1, 1, -20, -40, 20, 1000, -100 };

	put16(at, dice_one_in(c->d, 4) ? dice_roll(c->d, 65536) : (__u32)(get16(at) + off[dice_roll(c->d, 7)]));
}

static void set_fragment(const struct cut *c)
{
	if (c->v6)
		c->ip[6] = IPPROTO_FRAGMENT;
	else
		put16(c->ip + 6, dice_roll(c->d, 65536));
}

static void set_protocol(const struct cut *c)
{
	static const __u8 some[] = { 2, 47, 0, 43, 44, 60, 50, 132, 4, 41, 6, 17, 59, 255 };

	c->ip[c->v6 ? 6 : 9] = some[dice_roll(c->d, sizeof(some))];
}

static void set_type(const struct cut *c)
{
	static const __u16 some[] = { ETH_P_ARP, ETH_P_8021Q, ETH_P_8021AD, ETH_P_IP, ETH_P_IPV6, 0x88cc, 64 };

	put16(c->p->byte + 12, some[dice_roll(c->d, 7)]);
}

static void set_offset(const struct cut *c)
{
	c->transport[12] = dice_roll(c->d, 16) << 4;
}

static void set_sum(const struct cut *c)
{
	bool udp = c->ip[c->v6 ? 6 : 9] == IPPROTO_UDP;
	static const __u16 some[] = { 0, 0xffff, 1, 0xfffe };

	if (dice_one_in(c->d, 3))
		packet_leave_sum(c->p);
	else
		put16(c->transport + (udp ? 6 : 16), dice_one_in(c->d, 2) ? some[dice_roll(c->d, 4)] : dice_roll(c->d, 65536));
}

static void set_ip_sum(const struct cut *c)
{
	if (!c->v6)
		put16(c->ip + 10, dice_roll(c->d, 65536));
}

static void swap(__u8 *a, __u8 *b, unsigned n)
{
	__u8 t[16];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

static void turn(const struct cut *c)
{
	swap(c->ip + (c->v6 ? 8 : 12), c->ip + (c->v6 ? 24 : 16), c->v6 ? 16 : 4);
	if (dice_one_in(c->d, 2))
		swap(c->transport, c->transport + 2, 2);
}

/* From where it goes to. */
static void land(const struct cut *c)
{
	memcpy(c->ip + (c->v6 ? 8 : 12), c->ip + (c->v6 ? 24 : 16), c->v6 ? 16 : 4);
	if (dice_one_in(c->d, 2))
		memcpy(c->transport, c->transport + 2, 2);
}

static void set_port(const struct cut *c)
{
	put16(c->transport + 2 * dice_roll(c->d, 2), dice_roll(c->d, 65536));
}

/* Somebody else's packet. */
static void estrange(const struct cut *c)
{
	__u8 *at = c->ip + (c->v6 ? 24 : 16);

	at[c->v6 ? 15 : 3] ^= 1 + dice_roll(c->d, 255);
	if (dice_one_in(c->d, 2))
		at[1] ^= 0x40;
}

static void set_udp_length(const struct cut *c)
{
	put16(c->transport + 4, dice_roll(c->d, 65536));
}

static void map_address(const struct cut *c)
{
	if (!c->v6)
		return;
	memset(c->ip + 24, 0, 10);
	put16(c->ip + 34, 0xffff);
}

/* Extension headers in front of what is there: as they should be, too many,
 * too long, a route that goes on, a fragment. */
static void extend(const struct cut *c)
{
	static const __u8 some[] = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT };
	unsigned n = dice_one_in(c->d, 8) ? 1 + dice_roll(c->d, 20) : 1 + dice_roll(c->d, 3);
	__u8 *x = c->ip + 40;

	if (!c->v6 || c->p->byte + c->p->length < x)
		return;
	memmove(x + n * 8, x, c->p->byte + c->p->length - x);
	memset(x, 0, n * 8);
	c->p->length += n * 8;
	put16(c->ip + 4, get16(c->ip + 4) + n * 8);
	x[0] = c->ip[6];
	c->ip[6] = some[dice_roll(c->d, 4)];
	x[1] = n - 1;
	if (c->ip[6] == IPPROTO_ROUTING) {
		x[2] = dice_one_in(c->d, 4) ? 0 : 4;
		x[3] = dice_one_in(c->d, 4);
	} else if (c->ip[6] == IPPROTO_FRAGMENT && dice_one_in(c->d, 2)) {
		put16(x + 2, dice_roll(c->d, 65536));
	}
}

/* Where its IP header is, and what follows it. */
static void look(struct cut *c)
{
	__u16 type;

	c->ip = c->p->byte + ETH_HLEN;
	while ((type = get16(c->ip - 2)) == ETH_P_8021Q || type == ETH_P_8021AD)
		c->ip += 4;
	c->v6 = type == ETH_P_IPV6;
	c->transport = c->ip + (c->v6 ? 40 : (c->ip[0] & 15) * 4);
	if (c->v6 && c->ip[6] == IPPROTO_HOPOPTS)
		c->transport += (c->ip[41] + 1) * 8;
}

void mutate(struct dice *d, struct input *in)
{
	static void (*const ways[])(const struct cut *c) = {
		flip_bit, flip_bit, set_ttl, set_tos, cut_off, pad, set_version, set_length, set_fragment, set_protocol, set_type,
		set_offset, set_sum, set_sum, set_ip_sum, turn, land, set_port, estrange, set_udp_length, map_address,
		extend, extend, extend,
	};
	struct cut c = { .p = in->packet, .d = d };

	look(&c);
	for (unsigned n = 1 + dice_roll(d, 2); n; n--) {
		ways[dice_roll(d, sizeof(ways) / sizeof(ways[0]))](&c);
		if (!c.v6 && dice_one_in(d, 2))
			sum_ip(&c);
	}
	/* the kernel makes no skb of such (-EINVAL) */
	if (in->packet->length < ETH_HLEN + (get16(in->packet->byte + 12) == ETH_P_IPV6 ? 40u : 20u)) {
		in->hook = PERCH_HOOK_XDP;
		in->complete = false;
		in->gso_size = in->gso_segs = 0;
	}
}
