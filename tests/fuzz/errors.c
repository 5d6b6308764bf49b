/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about the fuzzer's connections, from either end or a router, and
 * messages that are none. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "../prog/icmp.h"
#include "../prog/outer.h"
#include "fuzz.h"

static struct perch_address somebody(bool v6)
{
	return v6 ? (struct perch_address){ { htonl(0x20010db8), htonl(0x77), 0, htonl(9) } } :
		    (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc6336407) } };
}

static void draw_type(struct dice *d, bool v6, struct icmp_spec *s)
{
	static const __u8 types[2][10][2] = {
		{ { 3, 0 }, { 3, 1 }, { 3, 3 }, { 3, 4 }, { 11, 0 }, { 12, 0 }, { 8, 0 }, { 0, 0 }, { 5, 1 }, { 4, 0 } },
		{ { 1, 0 }, { 1, 3 }, { 1, 4 }, { 2, 0 }, { 3, 0 }, { 4, 1 }, { 128, 0 }, { 129, 0 }, { 135, 0 }, { 0, 0 } },
	};
	const __u8 *t = types[v6][dice_one_in(d, 8) ? dice_roll(d, 10) : dice_roll(d, 6)];

	s->type = t[0];
	s->code = t[1];
	s->rest = t[0] == (v6 ? 2 : 3) ? 1280 + dice_roll(d, 200) : dice_roll(d, ~0u);
}

static void draw_quoted(struct dice *d, const struct conn *c, struct icmp_spec *s)
{
	static const __u16 cuts[] = { 0, 0, 0, 8, 8, 8, 4, 7, 13, 16, 18, 20 }, payloads[] = { 0, 20, 101, 300 };

	s->quoted.protocol = c->protocol;
	s->quoted.flags = c->protocol == IPPROTO_TCP ? TCP_ACK : 0;
	s->quoted.ttl = 60;
	s->quoted.payload = payloads[dice_roll(d, 4)];
	s->quoted.seed = dice_roll(d, 1000);
	s->quoted.unsummed = dice_one_in(d, 4);
	s->quoted.ip_options = dice_one_in(d, 8) ? 8 * (1 + dice_roll(d, 3)) : 0;
	s->quoted.fragment = dice_one_in(d, 16) ? 0x2000 + dice_roll(d, 2) : 0;
	s->cut = cuts[dice_roll(d, sizeof(cuts) / sizeof(cuts[0]))];
	s->padding = dice_one_in(d, 4) ? 1 + dice_roll(d, 40) : 0;
}

/* About what the client sent, or the backend. */
static void draw_ends(struct fuzz *z, const struct conn *c, bool from_backend, struct icmp_spec *s)
{
	struct dice *d = &z->dice;
	bool v6 = lab_is_v6(&c->client), end = dice_one_in(d, 2);

	if (from_backend) {
		s->quoted.from = c->seen;
		s->quoted.from_port = c->seen_port;
		s->quoted.to = c->backend;
		s->quoted.to_port = c->backend_port;
		s->quoted.seq = c->client_seq - dice_roll(d, 3);	/* the number of an unanswered SYN is one less */
		lab_backend_mac(2, s->outer.from_mac);
		memcpy(s->outer.to_mac, z->real.lab.backend.mac, 6);
	} else {
		s->quoted.from = c->listener;
		s->quoted.from_port = c->port;
		s->quoted.to = c->client;
		s->quoted.to_port = c->client_port;
		s->quoted.seq = c->backend_seq - dice_roll(d, 3);
		memcpy(s->outer.from_mac, lab_gateway_mac(), 6);
		memcpy(s->outer.to_mac, z->real.lab.client.mac, 6);
	}
	s->outer.from = end ? s->quoted.to : somebody(v6);
	s->outer.to = dice_one_in(d, 24) ? somebody(v6) : s->quoted.from;
}

/* Mostly where c goes to, if it does. */
static struct perch_address tunnel_end(struct fuzz *z, const struct conn *c)
{
	struct dice *d = &z->dice;
	struct flow_copy f = { .flow = { .backend = 0 } };

	if (dice_one_in(d, 8) || lab_flow(&z->real.lab, &c->client, c->client_port, &f))
		return lab_backend(dice_one_in(d, 2), 13 + dice_roll(d, 2));
	return z->model.t.backend[f.flow.backend % MODEL_BACKENDS].address;
}

/* What a router, or its end, says of a packet in a tunnel: of one that is on its
 * way, or might be.  All that the fuzzer sends fits what it says. */
static bool draw_tunnel(struct fuzz *z, const struct conn *c, struct icmp_spec *s, struct packet *ret)
{
	const struct placed_service *sv = &z->placed[c->service];
	struct dice *d = &z->dice;
	struct outer o = { .to = tunnel_end(z, c), .ttl = 63 };
	bool v6 = lab_is_v6(&o.to);
	static struct packet inner;

	if (!perch_tunnels(sv->forward) || dice_one_in(d, 3))
		return false;
	o.from = sv->tunnel[v6];
	draw_type(d, v6, s);
	if (s->type == (v6 ? 2 : 3))
		s->rest = !v6 && dice_one_in(d, 16) ? 0 : 1460 + dice_roll(d, 100);
	s->quoted.from = c->client;
	s->quoted.from_port = c->client_port;
	s->quoted.to = c->listener;
	s->quoted.to_port = c->port;
	s->quoted.seq = c->client_seq - dice_roll(d, 3);
	packet_build(&inner, &s->quoted);
	o.protocol = sv->forward == PERCH_GUE ? IPPROTO_UDP : lab_is_v6(&c->client) ? IPPROTO_IPV6 : IPPROTO_IPIP;
	o.from_port = 49152 + dice_roll(d, 1 << 14) - dice_one_in(d, 32) * 49152;
	o.to_port = dice_one_in(d, 32) ? 80 : OUTER_GUE;
	outer_build(ret, &o, &inner);
	s->outer.to = dice_one_in(d, 24) ? somebody(v6) : o.from;
	s->outer.from = dice_one_in(d, 2) ? o.to : somebody(v6);
	lab_backend_mac(2, s->outer.from_mac);
	memcpy(s->outer.to_mac, z->real.lab.backend.mac, 6);
	return true;
}

void errors_draw(struct fuzz *z, const struct conn *c, struct input *in)
{
	struct dice *d = &z->dice;
	bool v6 = lab_is_v6(&c->client);
	static struct packet tunnel;
	struct icmp_spec s = { 0 };
	__u32 whole;

	draw_quoted(d, c, &s);
	in->tunnel = draw_tunnel(z, c, &s, &tunnel);
	if (!in->tunnel) {
		in->from_backend = c->backend_port && dice_one_in(d, 2);
		draw_type(d, v6, &s);
		draw_ends(z, c, in->from_backend, &s);
	}
	s.outer.ttl = dice_one_in(d, 16) ? 1 : 64;
	s.outer.tos = 0xc0;
	s.outer.vlans = dice_one_in(d, 8) ? dice_roll(d, 3) : 0;
	s.outer.ip_options = !lab_is_v6(&s.outer.to) && dice_one_in(d, 8) ? 8 * (1 + dice_roll(d, 3)) : 0;
	if (!in->tunnel) {
		icmp_build(in->packet, &s);
		return;
	}
	whole = tunnel.length - ETH_HLEN;
	icmp_wrap(in->packet, &s, &tunnel, dice_one_in(d, 4) && whole > 130 ? dice_roll(d, 130) : whole);
}
