/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about the fuzzer's connections, from either end or a router, and
 * messages that are none. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "../prog/icmp.h"
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
		s->quoted.from = c->client;
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

void errors_draw(struct fuzz *z, const struct conn *c, struct input *in)
{
	struct dice *d = &z->dice;
	bool v6 = lab_is_v6(&c->client);
	struct icmp_spec s = { 0 };

	in->from_backend = c->backend_port && dice_one_in(d, 2);
	draw_type(d, v6, &s);
	draw_quoted(d, c, &s);
	draw_ends(z, c, in->from_backend, &s);
	s.outer.ttl = dice_one_in(d, 16) ? 1 : 64;
	s.outer.tos = 0xc0;
	s.outer.vlans = dice_one_in(d, 8) ? dice_roll(d, 3) : 0;
	s.outer.ip_options = !v6 && dice_one_in(d, 8) ? 8 * (1 + dice_roll(d, 3)) : 0;
	icmp_build(in->packet, &s);
}
