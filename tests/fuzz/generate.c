/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What comes next: mostly a packet of one of some connections whose ends the
 * fuzzer plays, few enough that clients' ports meet each other; now and then
 * strangers, floods of SYNs, and changes by user space.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "fuzz.h"

#define CLIENTS 12
#define PORTS 4

void dice_begin(struct dice *d, __u64 seed)
{
	d->state = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	for (unsigned i = 0; i < 4; i++)
		dice_roll(d, 2);
}

__u32 dice_roll(struct dice *d, __u32 n)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return ((d->state * 0x2545f4914f6cdd1dull) >> 32) % n;
}

bool dice_one_in(struct dice *d, __u32 n)
{
	return !dice_roll(d, n);
}

/* Where the fuzzer's services listen (config.c). */
static void draw_listener(struct dice *d, struct conn *c, bool v6)
{
	static const __u16 tcp[] = { 80, 80, 81, 8081 }, udp[] = { 53, 54 }, any[] = { 443, 9000, 22, 80 };
	__u32 host = 10;

	static const __u8 services[] = { 0, 0, 0, 0, 0, 2, 2, 3, 4, 5, 6, 5, 7, 7, 7, 8, 8, 8, 8 };

	c->service = services[dice_roll(d, sizeof(services))];
	c->protocol = dice_one_in(d, 3) ? IPPROTO_UDP : IPPROTO_TCP;
	if (c->service == 0) {
		c->service = v6;
		c->port = c->protocol == IPPROTO_TCP ? tcp[dice_roll(d, 4)] : udp[dice_roll(d, 2)];
		host += c->protocol == IPPROTO_TCP && c->port == 80 && dice_one_in(d, 2);
	} else {
		host = 10 * c->service + (c->service == 7 && dice_one_in(d, 2));
		c->port = c->protocol == IPPROTO_UDP ? 53 + (host == 71) : c->service == 2 ? any[dice_roll(d, 4)] :
			  80 + (c->service > 3 && c->service != 7 && dice_one_in(d, 2));
	}
	if (c->service == 3 && c->protocol == IPPROTO_TCP && dice_one_in(d, 2)) {
		c->listener = lab_backend(v6, 1);
		c->port = 82;
		return;
	}
	c->listener = v6 ? (struct perch_address){ { htonl(0x20010db8), 0, 0, htonl(host) } } :
			   (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc0000200 + host) } };
}

static struct perch_address client_of(__u32 n, bool v6)
{
	struct perch_address a = lab_client(v6, n);

	if (n == CLIENTS)	/* nobody knows the way back */
		return v6 ? (struct perch_address){ { htonl(0x20010db8), htonl(0xffff0000), 0, htonl(1) } } :
			    (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc6336401) } };
	if (v6)
		a.word[1] = htonl(n / 2 + 1);
	return a;
}

static void conn_draw(struct fuzz *z, struct conn *c)
{
	struct dice *d = &z->dice;
	bool v6 = dice_one_in(d, 2);

	memset(c, 0, sizeof(*c));
	draw_listener(d, c, v6);
	c->client = client_of(dice_one_in(d, 60) ? CLIENTS : dice_roll(d, z->crowd ? CLIENTS / 4 : CLIENTS), v6);
	c->client_port = 20000 + dice_roll(d, z->crowd ? PORTS / 2 : PORTS);
	c->client_seq = dice_roll(d, ~0u);
	c->backend_seq = dice_roll(d, ~0u);
}

void generate_begin(struct fuzz *z)
{
	for (unsigned i = 0; i < FUZZ_CONNS; i++)
		conn_draw(z, &z->conn[i]);
	/* those that look alike go to one place */
	for (unsigned i = 0; i < FUZZ_TWINS; i++) {
		struct conn *c = &z->conn[i];

		if (!twins_get(i, &c->client, &c->client_port))
			continue;
		c->service = 0;
		c->protocol = IPPROTO_TCP;
		c->listener = (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc000020a) } };
		c->port = 80;
	}
}

static __u8 draw_flags(struct dice *d, bool first)
{
	static const __u8 usual[] = {
		TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN, TCP_ACK | TCP_RST, TCP_RST, TCP_SYN,
	};

	if (dice_one_in(d, 20))
		return dice_roll(d, 256);
	if (first)
		return TCP_SYN;
	/* ends are rare, or nothing ever goes on */
	return dice_one_in(d, 3) ? usual[dice_roll(d, sizeof(usual))] : usual[dice_roll(d, 4)];
}

static __u32 draw_number(struct dice *d, __u32 right)
{
	static const __s32 off[] = { 1, -1, 1000, -1000, (1 << 20) - 1, 1 << 20, -(1 << 20), -(1 << 20) - 1, 8999, 9001 };

	return dice_one_in(d, 8) ? right + off[dice_roll(d, 10)] : right;
}

static __u16 draw_payload(struct dice *d)
{
	static const __u16 sizes[] = { 0, 0, 1, 7, 100, 537, 600, 1200 };

	return sizes[dice_roll(d, 8)];
}

/* The first, one in the middle, or the last. */
static void draw_piece(struct dice *d, bool v6, struct packet_spec *s)
{
	__u32 at = dice_one_in(d, 3) ? 0 : 1 + dice_roll(d, 100);
	bool more = !at || dice_one_in(d, 2);

	s->fragment = v6 ? at << 3 | more : at | (more ? 0x2000 : 0);
}

static void draw_common(struct dice *d, const struct conn *c, struct packet_spec *s)
{
	s->protocol = c->protocol;
	s->ttl = 64;
	s->tos = dice_one_in(d, 4) ? dice_roll(d, 64) << 2 : 0x28;
	s->window = 4096;
	s->payload = draw_payload(d);
	s->seed = dice_roll(d, 1000);
	s->unsummed = dice_one_in(d, 4);
	s->tcp_options = dice_one_in(d, 4) ? 4 * dice_roll(d, 11) : 0;
	s->vlans = dice_one_in(d, 8) ? dice_roll(d, 4) : 0;	/* three are one too many */
	s->ip_options = dice_one_in(d, 8) ? 8 * (1 + dice_roll(d, 3)) : 0;
	if (c->service == 7 && !dice_one_in(d, 3))
		draw_piece(d, lab_is_v6(&c->client), s);
	else if (!lab_is_v6(&c->client) && dice_one_in(d, 8))
		s->fragment = 0x8000;	/* none, and may be made some: without DF */
}

static void from_client(struct fuzz *z, struct conn *c, struct packet_spec *s)
{
	struct dice *d = &z->dice;

	draw_common(d, c, s);
	s->from = c->client;
	s->to = c->listener;
	s->from_port = c->client_port;
	s->to_port = c->port;
	s->flags = c->protocol == IPPROTO_TCP ? draw_flags(d, !c->open && !dice_one_in(d, 8)) : 0;
	if (s->flags == TCP_SYN && (dice_one_in(d, 8)))
		c->client_seq += 64000;
	if (s->flags == TCP_SYN && !dice_one_in(d, 8))
		s->payload = 0;
	s->seq = draw_number(d, c->client_seq - (c->open && (s->flags & TCP_SYN)));
	s->ack = draw_number(d, c->backend_seq);
	memcpy(s->from_mac, lab_gateway_mac(), 6);
	memcpy(s->to_mac, z->real.lab.client.mac, 6);
}

/* By its host (config.c). */
static bool is_canary(const struct conn *c)
{
	__u32 host = ntohl(c->backend.word[3]) & 0xff;

	return host == 4 || host == 12 || host == 8 || host == 10;
}

static void from_backend(struct fuzz *z, struct conn *c, struct packet_spec *s)
{
	struct dice *d = &z->dice;

	draw_common(d, c, s);
	s->from = c->backend;
	s->from_port = c->backend_port;
	s->to = c->seen;
	s->to_port = c->seen_port;
	s->flags = c->protocol == IPPROTO_TCP ? draw_flags(d, false) : 0;
	if (c->protocol == IPPROTO_TCP && !c->open && !dice_one_in(d, 4)) {
		bool refuses = z->sick && is_canary(c) ? true : dice_one_in(d, z->sick ? 16 : 4);

		s->flags = refuses ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK;
		s->payload = 0;
	}
	if (c == &z->conn[FUZZ_CONNS])
		s->flags = TCP_ACK;	/* all the proof there has to be */
	s->seq = draw_number(d, c->backend_seq);
	s->ack = draw_number(d, c->client_seq);
	lab_backend_mac(2, s->from_mac);
	memcpy(s->to_mac, z->real.lab.backend.mac, 6);
}

/* A client that comes once: what fills the table. */
static void from_crowd(struct fuzz *z, struct packet_spec *s)
{
	struct conn *c = &z->conn[FUZZ_CONNS];

	conn_draw(z, c);
	c->client = lab_client(lab_is_v6(&c->client), 100 + dice_roll(&z->dice, 20000));
	c->client_port = 1024 + dice_roll(&z->dice, 60000);
	from_client(z, c, s);
}

static void generate_op(struct fuzz *z, struct input *in)
{
	struct dice *d = &z->dice;

	in->is_op = true;
	in->op = dice_roll(d, OPS);
	/* the clockwork takes its time; a crowd comes at once */
	if ((in->op == OP_SWEEP || in->op == OP_DEADMAN) && !dice_one_in(d, 20))
		in->op = OP_AGE;
	if ((in->op == OP_ROLLBACK || in->op == OP_TEAR) && z->sick && !dice_one_in(d, 4))
		in->op = OP_STEP;	/* the kernel is to do it */
	if (in->op == OP_AGE && z->crowd && !dice_one_in(d, 8))
		in->op = OP_GENERATION;
	in->a = dice_roll(d, 1u << 30);
	in->b = dice_roll(d, 1u << 30);
	in->c = dice_roll(d, 1u << 30);
	if (in->op == OP_AGE && !dice_one_in(d, 6))
		in->a = dice_roll(d, 4);
}

static void draw_way(struct fuzz *z, struct input *in)
{
	struct dice *d = &z->dice;
	__u32 n = dice_roll(d, 10);

	in->hook = n < 5 ? PERCH_HOOK_XDP : PERCH_HOOK_TC_IN;
	if (in->from_backend && n > 7)
		in->hook = PERCH_HOOK_TC_OUT;
	in->complete = in->hook != PERCH_HOOK_XDP && dice_one_in(d, 2);
	if (in->hook != PERCH_HOOK_XDP && dice_one_in(d, 16)) {
		in->gso_size = 500 + dice_roll(d, 600);
		in->gso_segs = 2 + dice_roll(d, 3);
	}
}

static __u32 sum_of(const __u8 *at, unsigned n, __u32 sum)
{
	for (unsigned i = 0; i < n; i += 2)
		sum += at[i] << 8 | at[i + 1];
	return sum;
}

/* A checksum that comes to 0 when the backend stands in the listener's place:
 * as a datagram's that would mean there is none. */
static void aim_sum(struct packet *p, const struct conn *c)
{
	bool v6 = lab_is_v6(&c->listener);
	unsigned n = v6 ? 16 : 4;
	__u8 *check = p->byte + ETH_HLEN + (v6 ? 40 : 20) + 6;
	__u32 out = sum_of((const __u8 *)&c->listener + 16 - n, n, c->port);
	__u32 in = sum_of((const __u8 *)&c->backend + 16 - n, n, c->backend_port);

	out = (out & 0xffff) + (out >> 16);
	in = (in & 0xffff) + (in >> 16) + (__u16)~out;
	in = (in & 0xffff) + (in >> 16);
	check[0] = in >> 8;
	check[1] = in;
}

/* As long as the path takes, or a little less: what is in front does not count. */
static void fill_path(struct fuzz *z, struct packet_spec *s)
{
	__u32 header = (lab_is_v6(&s->from) ? 40 : 20) + s->ip_options;

	header += s->protocol == IPPROTO_TCP ? 20 + s->tcp_options : 8;
	s->payload = z->real.world.mtu - header - dice_roll(&z->dice, 20);
	if (dice_one_in(&z->dice, 3))
		s->payload += 20 + dice_roll(&z->dice, 400);	/* longer */
	s->vlans = 0;	/* the kernel's route has room for one */
}

static bool is_icmp(const struct packet *p)
{
	return p->byte[ETH_HLEN] >> 4 == 4 ? p->byte[ETH_HLEN + 9] == IPPROTO_ICMP : p->byte[ETH_HLEN + 6] == IPPROTO_ICMPV6;
}

void generate(struct fuzz *z, struct input *in)
{
	struct dice *d = &z->dice;
	struct conn *c = &z->conn[dice_roll(d, FUZZ_CONNS)];
	struct packet_spec s = { 0 };
	bool full;

	if (dice_one_in(d, 40)) {
		generate_op(z, in);
		return;
	}
	if (dice_one_in(d, 400))
		conn_draw(z, c);
	/* a proof for the last of the crowd, who is to stay */
	if (z->crowd && dice_one_in(d, 3))
		c = &z->conn[FUZZ_CONNS];
	in->from_backend = c->backend_port && (c == &z->conn[FUZZ_CONNS] || dice_one_in(d, 2));
	if (in->from_backend)
		from_backend(z, c, &s);
	else if (z->crowd ? !dice_one_in(d, 8) : dice_one_in(d, 12))
		from_crowd(z, &s);
	else
		from_client(z, c, &s);
	full = c != &z->conn[FUZZ_CONNS] && s.from_port == (in->from_backend ? c->backend_port : c->client_port) &&
	       dice_one_in(d, 64);
	if (full)
		fill_path(z, &s);
	draw_way(z, in);
	if (in->hook != PERCH_HOOK_TC_OUT && dice_one_in(d, 32)) {
		wraps_draw(z, c, in);
		in->gso_size = in->gso_segs = 0;
	} else if (c != &z->conn[FUZZ_CONNS] && dice_one_in(d, 16)) {
		errors_draw(z, c, in);
		in->gso_size = in->gso_segs = 0;
		in->hook = !in->from_backend && in->hook == PERCH_HOOK_TC_OUT ? PERCH_HOOK_TC_IN : in->hook;
	} else {
		packet_build(in->packet, &s);
	}
	if (s.protocol == IPPROTO_UDP && !s.vlans && !s.ip_options && !in->from_backend && c->backend_port && !is_icmp(in->packet) &&
	    dice_one_in(d, 16))
		aim_sum(in->packet, c);
	/* nor may a byte make it too big for a tunnel */
	if (!full && !in->tunnel && dice_one_in(d, 4))
		mutate(d, in);
	/* a test run is no ingress to the helper that takes a tag off, and it
	 * counts the Ethernet header into the sum that has to hold */
	if (in->packet->byte[12] == ETH_P_8021Q >> 8 || in->packet->byte[12] == ETH_P_8021AD >> 8)
		in->complete = false;
}

/* Numbers go on with what went through. */
static void advance(struct conn *c, const struct packet_spec *s, bool from_backend)
{
	__u32 end = s->seq + s->payload + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);

	if (from_backend) {
		c->backend_seq = end;
		c->open |= (s->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	} else {
		c->client_seq = end;
	}
	if (s->flags & TCP_RST)
		c->open = false;
}

void generate_learn(struct fuzz *z, const struct input *in, const struct model_outcome *o)
{
	struct packet_spec was, is;

	/* who is told that it is over begins anew, sooner or later */
	if (o->last == PERCH_R_SEVERED && dice_one_in(&z->dice, 3))
		for (unsigned i = 0; i < FUZZ_CONNS; i++)
			if (!packet_read(in->packet, &was) && (!memcmp(&was.from, &z->conn[i].client, sizeof(was.from)) ||
							       !memcmp(&was.to, &z->conn[i].client, sizeof(was.to))))
				z->conn[i].open = false;
	if (o->verdict == MODEL_DROP || !o->rewritten || packet_read(in->packet, &was) || packet_read(o->out, &is))
		return;
	if (o->last != PERCH_R_NEW && o->last != PERCH_R_FORWARDED && o->last != PERCH_R_REPLY)
		return;
	for (unsigned i = 0; i <= FUZZ_CONNS; i++) {
		struct conn *c = &z->conn[i];
		bool reply = o->last == PERCH_R_REPLY;
		const struct packet_spec *s = reply ? &is : &was;

		if (c->protocol != was.protocol || (reply ? s->to_port : s->from_port) != c->client_port ||
		    (reply ? s->from_port : s->to_port) != c->port ||
		    memcmp(reply ? &s->to : &s->from, &c->client, sizeof(c->client)) ||
		    memcmp(reply ? &s->from : &s->to, &c->listener, sizeof(c->listener)))
			continue;
		if (!reply) {
			c->backend = is.to;
			c->backend_port = is.to_port;
			c->seen = is.from;
			c->seen_port = is.from_port;
		}
		advance(c, &was, reply);
	}
}
