/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a row of the tables sends, and what must come out of it. */
#include "packets.h"

#include <linux/if_ether.h>

#define TTL 64			/* of what the programs make themselves */

/* The row's piece and shape of what s says. */
static void build(const struct row *row, const struct packet_spec *s, struct packet *ret)
{
	static struct packet whole;

	packet_build(row->piece.bytes ? &whole : ret, s);
	if (row->piece.bytes)
		packet_fragment(&whole, row->piece.from, row->piece.bytes, ret);
	if (row->shape)
		row->shape(ret);
}

void as_it_came(struct trial *t)
{
	build(t->row, &t->spec, &t->in);
}

static enum perch_forward forwards(const struct trial *t)
{
	return t->talk.lab->web[t->mode.v6].placed.forward;
}

/* The ends as the receiver sees them. */
static void turn_ends(const struct trial *t, struct packet_spec *s)
{
	if (t->row->reply) {
		s->from = lab_listener(t->mode.v6);
		s->from_port = t->talk.client.to_port;
		s->to = t->talk.client.from;
		s->to_port = t->talk.client.from_port;
	} else if (!perch_one_sided(forwards(t))) {
		s->to = lab_backend(t->mode.v6, PACKETS_HOST);
		s->to_port = LAB_BACKEND_PORT;
		if (forwards(t) == PERCH_FULLNAT) {
			s->from = lab_source(t->mode.v6, 0);
			s->from_port = t->port;
		}
	}
}

/* In the family of the backend. */
static void wrap(struct trial *t, __u8 tos)
{
	bool v6 = lab_is_v6(&t->talk.lab->web[t->mode.v6].backend[0][0].address), gue = forwards(t) == PERCH_GUE;

	t->wrapped = true;
	t->outer = (struct outer){
		.from = lab_backend(v6, 1), .to = lab_backend(v6, PACKETS_HOST), .ttl = TTL,
		.tos = tos & 0xfc,
		.protocol = gue ? IPPROTO_UDP : t->mode.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP,
		.to_port = gue ? OUTER_GUE : 0,
	};
}

void turned(struct trial *t)
{
	const struct lab *lab = t->talk.lab;
	struct packet_spec want = t->spec;

	as_it_came(t);
	turn_ends(t, &want);
	want.ttl--;
	want.vlans = 0;
	memcpy(want.from_mac, t->row->reply ? lab->client.mac : lab->backend.mac, 6);
	if (t->row->reply)
		memcpy(want.to_mac, lab_gateway_mac(), 6);
	else
		lab_backend_mac(PACKETS_HOST, want.to_mac);
	build(t->row, &want, &t->want);
	if (perch_tunnels(forwards(t)))
		wrap(t, want.tos);
}

void turned_up(struct trial *t)
{
	struct packet_spec want = t->spec;

	as_it_came(t);
	turn_ends(t, &want);
	build(t->row, &want, &t->want);
}

void turned_out(struct trial *t)
{
	t->how.egress = true;
	t->how.ifindex = t->talk.lab->client.ifindex;
	turned_up(t);
}

/* As RFC 9293, 3.10.7.1, has it; made by the programs: no identification, no
 * flow label. */
void reset(struct trial *t)
{
	const struct packet_spec *s = &t->spec;
	struct packet_spec want = {
		.from = s->to, .from_port = s->to_port, .to = s->from, .to_port = s->from_port,
		.protocol = IPPROTO_TCP, .ttl = TTL, .vlans = s->vlans, .flags = TCP_RST,
	};
	struct packet_layout l;

	if (s->flags & TCP_ACK) {
		want.seq = s->ack;
	} else {
		want.flags |= TCP_ACK;
		want.ack = s->seq + s->payload + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
	}
	memcpy(want.from_mac, s->to_mac, 6);
	memcpy(want.to_mac, s->from_mac, 6);
	as_it_came(t);
	packet_build(&t->want, &want);
	assert_null(packet_lay_out(&t->want, &l));
	if (t->mode.v6) {
		memset(t->want.byte + l.ip + 1, 0, 3);
		return;
	}
	memset(t->want.byte + l.ip + 4, 0, 2);
	icmp_sum_ip(&t->want);
}

void told(struct trial *t)
{
	struct perch_address from = lab_listener(t->mode.v6);

	as_it_came(t);
	icmp_too_big(&t->want, &t->spec, &from, PACKETS_MTU);
}

static void error_build(struct trial *t, struct case_icmp *ret)
{
	struct perch_address from = icmp_router(t->mode.v6);

	if (t->row->reply)
		icmp_from_backend_side(ret, &t->talk, t->mode, t->row->own ? &t->talk.backend.from : &from);
	else
		icmp_from_client_side(ret, &t->talk, t->mode, t->row->own ? &t->talk.client.from : &from);
	if (perch_one_sided(forwards(t))) {
		ret->out.quoted = ret->in.quoted;
		ret->out.outer.to = ret->in.outer.to;
	}
	icmp_error_type(ret, t->row->error);
	icmp_cut(ret, t->row->cut, 0);
	ret->in.outer.vlans = t->spec.vlans;
	icmp_build(&t->in, &ret->in);
}

void error_passed(struct trial *t)
{
	struct case_icmp c;

	error_build(t, &c);
}

void error_turned(struct trial *t)
{
	struct case_icmp c;

	error_build(t, &c);
	icmp_build(&t->want, &c.out);
	if (perch_tunnels(forwards(t)))
		wrap(t, c.out.outer.tos);
}

static void unpack_build(struct trial *t, unsigned host)
{
	bool v6 = t->mode.v6 != t->row->crossed;
	struct packet_spec inside = t->spec;

	t->outer = (struct outer){
		.from = t->spec.from, .to = lab_backend(t->mode.v6, 1), .ttl = TTL, .tos = 0x28,
		.protocol = t->row->gue ? IPPROTO_UDP : v6 ? IPPROTO_IPV6 : IPPROTO_IPIP,
		.from_port = t->row->gue ? 50000 : 0, .to_port = t->row->gue ? OUTER_GUE : 0,
	};
	inside.from = lab_client(v6, 5);
	inside.to = lab_backend(v6, host);
	build(t->row, &inside, &t->want);
	outer_build(&t->in, &t->outer, &t->want);
}

/* Whole, with the outer one's MACs. */
void unpacked(struct trial *t)
{
	unpack_build(t, 1);
}

void wrapped_as_it_came(struct trial *t)
{
	unpack_build(t, 1);
}

void unpack_for_others(struct trial *t)
{
	unpack_build(t, PACKETS_HOST);
	t->want = t->in;
}
