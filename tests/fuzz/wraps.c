/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Packets in tunnels that come to the fuzzer's host: for it, for others, and
 * for its listeners. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "../prog/outer.h"
#include "fuzz.h"

/* Mostly an address of this host. */
static struct perch_address draw_end(struct dice *d, bool v6, const struct perch_address *listener)
{
	__u32 n = dice_roll(d, 12);

	if (n == 0 && lab_is_v6(listener) == v6)
		return *listener;
	return lab_backend(v6, n == 1 ? 3 : 1);
}

/* The first of several, or one that ends before it begins. */
static void spoil(struct dice *d, struct packet *p)
{
	__u8 *ip = p->byte + ETH_HLEN;

	if (ip[0] >> 4 != 4 || !dice_one_in(d, 8))
		return;
	if (dice_one_in(d, 2)) {
		ip[6] = 0x20;
	} else {
		ip[2] = 0;
		ip[3] = dice_roll(d, 60);
	}
}

void wraps_draw(struct fuzz *z, const struct conn *c, struct input *in)
{
	struct dice *d = &z->dice;
	bool v6 = lab_is_v6(&c->client), outer_v6 = dice_one_in(d, 2), gue = dice_one_in(d, 2);
	struct packet_spec s = {
		.protocol = dice_one_in(d, 8) ? IPPROTO_ICMP : c->protocol, .ttl = 63, .from = c->client, .from_port = c->client_port,
		.to_port = c->port, .flags = TCP_ACK, .payload = dice_roll(d, 400), .seed = dice_roll(d, 1000),
		.ip_options = dice_one_in(d, 8) ? 8 : 0,
	};
	struct outer o = {
		.from = lab_client(outer_v6, 6), .ttl = 64, .protocol = gue ? IPPROTO_UDP : v6 ? IPPROTO_IPV6 : IPPROTO_IPIP,
	};
	static struct packet inner;

	s.to = dice_one_in(d, 3) ? c->listener : draw_end(d, v6, &c->listener);
	o.to = draw_end(d, outer_v6, &c->listener);
	if (gue) {
		o.from_port = 49152 + dice_roll(d, 1 << 14);
		o.to_port = dice_one_in(d, 16) ? 80 : OUTER_GUE;
	} else if (dice_one_in(d, 16)) {
		o.protocol = v6 ? IPPROTO_IPIP : IPPROTO_IPV6;
	}
	memcpy(s.from_mac, lab_gateway_mac(), 6);
	memcpy(s.to_mac, in->from_backend ? z->real.lab.backend.mac : z->real.lab.client.mac, 6);
	packet_build(&inner, &s);
	outer_build(in->packet, &o, &inner);
	spoil(d, in->packet);
}
