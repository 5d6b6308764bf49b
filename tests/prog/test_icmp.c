/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about a service's connections, byte by byte: from the client's
 * side, from the backend's side, from this host, with a flow and without. */
#include "prog.h"

#include <errno.h>

#include <arpa/inet.h>
#include <linux/pkt_cls.h>

#include "icmp.h"

/* A connection, and an error about it as it comes in and has to come out. */
struct case_icmp {
	struct talk *t;
	struct mode mode;
	bool reply;		/* from the backend's side */
	struct icmp_spec in, out;
	struct lab_run how;
};

static struct perch_address router(bool v6)
{
	struct perch_address a = lab_backend(v6, 77);

	if (v6)
		a.word[1] = htonl(0x77);
	else
		a.word[3] = htonl(0xc6336401);
	return a;
}

/* What the backend or the client sent last, as the other end got it. */
static struct packet_spec quoted(const struct packet_spec *from, unsigned payload)
{
	struct packet_spec s = *from;

	s.flags = s.protocol == IPPROTO_TCP ? TCP_ACK : 0;
	s.payload = payload;
	return s;
}

static void set_macs(struct case_icmp *c, const struct lab_port *in, const __u8 *from, const struct lab_port *out,
		     const __u8 *to)
{
	memcpy(c->in.outer.from_mac, from, 6);
	memcpy(c->in.outer.to_mac, in->mac, 6);
	memcpy(c->out.outer.from_mac, out->mac, 6);
	memcpy(c->out.outer.to_mac, to, 6);
	c->how = (struct lab_run){ .hook = c->mode.hook, .ifindex = in->ifindex };
}

/* The client's side has trouble with what the service sent: the error is for
 * the listener, and has to get to the backend. */
static void from_client_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from)
{
	struct lab *lab = t->lab;
	__u8 mac[6];

	memset(c, 0, sizeof(*c));
	c->t = t;
	c->mode = m;
	c->in.quoted = quoted(&t->backend, 100);
	c->out = c->in;
	c->in.quoted.from = t->client.to;
	c->in.quoted.from_port = t->client.to_port;
	c->in.quoted.to_port = t->client.from_port;
	c->in.outer = (struct packet_spec){ .from = *from, .to = t->client.to, .ttl = 60, .tos = 0xc0 };
	c->out.outer = c->in.outer;
	c->out.outer.to = t->backend.from;
	c->out.outer.ttl--;
	lab_backend_mac(t->host, mac);
	set_macs(c, &lab->client, lab_gateway_mac(), &lab->backend, mac);
}

/* And the other way round; the backend's own error comes from the listener,
 * a router's from the router. */
static void from_backend_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from)
{
	struct lab *lab = t->lab;
	__u8 mac[6];

	memset(c, 0, sizeof(*c));
	c->t = t;
	c->mode = m;
	c->reply = true;
	c->out.quoted = quoted(&t->client, 100);
	c->in = c->out;
	c->in.quoted.from_port = t->backend.to_port;
	c->in.quoted.to = t->backend.from;
	c->in.quoted.to_port = t->backend.from_port;
	c->in.outer = (struct packet_spec){ .from = *from, .to = t->client.from, .ttl = 60, .tos = 0xc0 };
	c->out.outer = c->in.outer;
	if (!memcmp(from, &t->backend.from, sizeof(*from)))
		c->out.outer.from = t->client.to;
	c->out.outer.ttl--;
	lab_backend_mac(t->host, mac);
	set_macs(c, &lab->backend, mac, &lab->client, lab_gateway_mac());
}

static void set_type(struct case_icmp *c, __u8 type, __u8 code, __u32 rest)
{
	c->in.type = c->out.type = type;
	c->in.code = c->out.code = code;
	c->in.rest = c->out.rest = rest;
}

static void set_cut(struct case_icmp *c, __u16 cut, __u8 padding)
{
	c->in.cut = c->out.cut = cut;
	c->in.padding = c->out.padding = padding;
}

static void assert_same(const struct packet *got, const struct packet *want, const struct packet *in)
{
	if (packet_same(got, want, stderr))
		return;
	fprintf(stderr, "from:\n");
	packet_print(in, NULL, stderr);
	fail();
}

static enum perch_hook hook_of(const struct case_icmp *c)
{
	return c->how.hook == LAB_XDP ? PERCH_HOOK_XDP : c->how.egress ? PERCH_HOOK_TC_OUT : PERCH_HOOK_TC_IN;
}

static void run_with(struct case_icmp *c, int verdict)
{
	__u64 before = lab_reason(c->t->lab, hook_of(c), PERCH_R_ICMP);
	static struct packet in, out, want;
	int got;

	icmp_build(&in, &c->in);
	icmp_build(&want, &c->out);
	got = lab_run(c->t->lab, &c->how, &in, &out);
	if (c->how.complete && got == -EINVAL)
		return;		/* Linux before 6.17 */
	assert_int_equal(got, verdict);
	assert_same(&out, &want, &in);
	assert_int_equal(lab_reason(c->t->lab, hook_of(c), PERCH_R_ICMP), before + 1);
}

/* The error must come out as it has to; at TC with a complete checksum, too,
 * but for tags, which the kernel takes out of the sum as on ingress alone. */
static void run(struct case_icmp *c)
{
	c->how.complete = false;
	run_with(c, lab_forward(c->mode.hook));
	if (c->mode.hook != LAB_TC || c->in.outer.vlans)
		return;
	c->how.complete = true;
	run_with(c, lab_forward(c->mode.hook));
}

static const struct { __u8 type, code; __u32 rest; } errors[2][6] = {
	{ { 3, 0, 0 }, { 3, 1, 0 }, { 3, 3, 0 }, { 3, 4, 1300 }, { 11, 0, 0 }, { 12, 0, 20 << 24 } },
	{ { 1, 0, 0 }, { 1, 3, 0 }, { 1, 4, 0 }, { 2, 0, 1280 }, { 3, 0, 0 }, { 4, 1, 40 } },
};
/* With and without the checksums of UDP (6, 8 bytes) and of TCP (16, 18). */
static const __u16 cuts[] = { 8, 13, 16, 18, 20, 0 };

static void run_all(struct case_icmp *c)
{
	for (unsigned e = 0; e < 6; e++) {
		set_type(c, errors[c->mode.v6][e].type, errors[c->mode.v6][e].code, errors[c->mode.v6][e].rest);
		for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			set_cut(c, cuts[i], 0);
			run(c);
		}
	}
	/* RFC 4884: what is shorter is filled up */
	set_cut(c, 8, 100);
	run(c);
	set_cut(c, 0, 0);
	c->in.quoted.ip_options = c->out.quoted.ip_options = c->mode.v6 ? 0 : 12;
	run(c);
	c->in.quoted.fragment = c->out.quoted.fragment = c->mode.v6 ? 0 : 0x2000;	/* the first of several */
	run(c);
}

static void start(struct talk *t, struct lab *lab, struct mode m, bool udp, __u32 n)
{
	mode_talk(t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, n);
	if (!udp) {
		assert_int_equal(talk_connect(t), TALK_FORWARDED);
		return;
	}
	assert_int_equal(talk_client(t, 0, 40), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, 0, 40), TALK_FORWARDED);
}

static void test_icmp_from_the_clients_side_gets_to_the_backend(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		struct case_icmp c;

		for (unsigned udp = 0; udp < 2; udp++) {
			start(&t, *state, m, udp, 10 + udp);
			from_client_side(&c, &t, m, &from);
			run_all(&c);
			from_client_side(&c, &t, m, &t.client.from);
			run_all(&c);
		}
	}
}

static void test_icmp_from_the_backends_side_gets_to_the_client(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		struct case_icmp c;

		for (unsigned udp = 0; udp < 2; udp++) {
			start(&t, *state, m, udp, 20 + udp);
			from_backend_side(&c, &t, m, &from);
			run_all(&c);
			from_backend_side(&c, &t, m, &t.backend.from);
			run_all(&c);
		}
	}
}

/* Tags come off, as from any packet that is sent off; options stay. */
static void test_icmp_takes_tags_and_options_along(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);

		start(&t, *state, m, false, 25);
		for (unsigned i = 0; i < 8; i++) {
			struct case_icmp c;

			if (i & 1)
				from_backend_side(&c, &t, m, &from);
			else
				from_client_side(&c, &t, m, &from);
			c.in.outer.vlans = i / 2 % 3;
			c.in.outer.ip_options = c.out.outer.ip_options = m.v6 || i < 4 ? 0 : 40;
			set_type(&c, errors[m.v6][3].type, errors[m.v6][3].code, 1300);
			run(&c);
			set_cut(&c, 8, 0);
			run(&c);
		}
	}
}

/* UDP without a checksum stays without. */
static void test_icmp_leaves_a_missing_checksum_alone(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct case_icmp c;

		start(&t, *state, m, true, 30);
		from_backend_side(&c, &t, m, &t.backend.from);
		c.in.quoted.unsummed = c.out.quoted.unsummed = true;
		set_type(&c, m.v6 ? 1 : 3, m.v6 ? 4 : 3, 0);
		run(&c);
		from_client_side(&c, &t, m, &t.client.from);
		c.in.quoted.unsummed = c.out.quoted.unsummed = true;
		set_type(&c, m.v6 ? 1 : 3, m.v6 ? 4 : 3, 0);
		run(&c);
	}
}

/* The client's port is another one towards the backend. */
static void test_icmp_knows_translated_ports(void **state)
{
	static struct perch_endpoint listen[2][2];
	static struct talk first, second;
	struct lab *lab = *state;

	lab_backends(lab, 0, 2, 1);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned i = 0; i < 2; i++)
			listen[v6][i] = (struct perch_endpoint){ lab_listener(v6), htons(1000 + i), IPPROTO_TCP, 0 };
		lab->web[v6].placed.listen = listen[v6];
	}
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		struct case_icmp c;

		mode_talk(&first, lab, m, IPPROTO_TCP, 40);
		mode_talk(&second, lab, m, IPPROTO_TCP, 40);
		first.client.to_port = 1000;
		second.client.to_port = 1001;
		second.translates = true;
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_not_equal(second.backend.to_port, first.backend.to_port);
		from_client_side(&c, &second, m, &from);
		run_all(&c);
		from_backend_side(&c, &second, m, &from);
		run_all(&c);
		from_backend_side(&c, &second, m, &second.backend.from);
		run_all(&c);
		from_backend_side(&c, &first, m, &first.backend.from);
		run_all(&c);
	}
}

/* It must pass untouched, for this reason. */
static void passes(struct case_icmp *c, const struct packet *in, enum perch_reason reason)
{
	__u64 before = lab_reason(c->t->lab, hook_of(c), reason);
	static struct packet out;

	assert_int_equal(lab_run(c->t->lab, &c->how, in, &out), lab_pass(c->how.hook));
	assert_same(&out, in, in);
	assert_int_equal(lab_reason(c->t->lab, hook_of(c), reason), before + 1);
}

static void passes_built(struct case_icmp *c, enum perch_reason reason)
{
	static struct packet in;

	icmp_build(&in, &c->in);
	passes(c, &in, reason);
}

/* The same backend that the connection's next packet gets; nothing stays. */
static void test_icmp_without_a_flow_goes_by_the_hash(void **state)
{
	struct lab *lab = *state;
	static struct talk t, asked;

	for (unsigned n = 0; n < 8; n++) {
		for_each_mode(m) {
			struct perch_address from = router(m.v6);
			size_t entries = flows_count(&lab->datapath.maps, NULL);
			struct case_icmp c;
			static struct packet in, out, want;

			mode_talk(&t, lab, m, IPPROTO_TCP, 50 + n);
			asked = t;
			assert_int_equal(talk_client(&asked, TCP_ACK, 10), TALK_FORWARDED);
			from_client_side(&c, &asked, m, &from);
			set_type(&c, errors[m.v6][3].type, errors[m.v6][3].code, 1300);
			set_cut(&c, 8, 0);
			icmp_build(&want, &c.out);
			/* the entry is gone again */
			lab_age(lab, 100);
			icmp_build(&in, &c.in);
			assert_int_equal(lab_run(lab, &c.how, &in, &out), lab_forward(m.hook));
			assert_same(&out, &want, &in);
			assert_int_equal(flows_count(&lab->datapath.maps, NULL), entries + 1);
			assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
			/* nobody knows whose this is */
			from_backend_side(&c, &asked, m, &from);
			set_type(&c, errors[m.v6][3].type, errors[m.v6][3].code, 1300);
			passes_built(&c, PERCH_R_NOT_OUR_REPLY);
		}
	}
}

static void test_icmp_enters_nothing(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		static struct packet in, out;
		struct case_icmp c;

		mode_talk(&t, lab, m, IPPROTO_UDP, 60);
		t.backend = t.client;
		t.backend.to = t.client.from;
		t.host = 2;
		from_client_side(&c, &t, m, &from);
		set_type(&c, errors[m.v6][0].type, errors[m.v6][0].code, 0);
		icmp_build(&in, &c.in);
		assert_int_equal(lab_run(lab, &c.how, &in, &out), lab_forward(m.hook));
		assert_int_equal(flows_count(&lab->datapath.maps, NULL), 0);
		assert_int_equal(lab_active(lab), 0);
		assert_int_equal(lab_reasons(lab, PERCH_R_NEW) + lab_reasons(lab, PERCH_R_UNLEARNED), 0);
	}
}

/* What this host's stack says of a packet that it got rewritten. */
static void test_icmp_of_this_host_is_turned_on_its_way_out(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		struct case_icmp c;

		for (unsigned own = 0; own < 2; own++) {
			start(&t, *state, m, own, 70 + own);
			from_backend_side(&c, &t, m, own ? &t.backend.from : &from);
			c.out.outer.ttl = c.in.outer.ttl;
			memcpy(c.out.outer.from_mac, c.in.outer.from_mac, 6);
			memcpy(c.out.outer.to_mac, c.in.outer.to_mac, 6);
			c.how = (struct lab_run){ .hook = LAB_TC, .egress = true, .ifindex = t.lab->client.ifindex };
			for (unsigned e = 0; e < 6; e++) {
				set_type(&c, errors[m.v6][e].type, errors[m.v6][e].code, errors[m.v6][e].rest);
				c.how.complete = false;
				run_with(&c, TC_ACT_OK);
				c.how.complete = true;
				run_with(&c, TC_ACT_OK);
			}
		}
	}
}

/* Towards a backend on this host: no hop, no MACs. */
static void test_icmp_goes_up_where_its_connection_does(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = router(m.v6);
		struct case_icmp c;

		start(&t, lab, m, false, 80);
		from_client_side(&c, &t, m, &from);
		c.out.outer.ttl = c.in.outer.ttl;
		memcpy(c.out.outer.from_mac, c.in.outer.from_mac, 6);
		memcpy(c.out.outer.to_mac, c.in.outer.to_mac, 6);
		set_type(&c, errors[m.v6][3].type, errors[m.v6][3].code, 1300);
		for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
			lab->datapath.maps.backends[id].local = 1;
		run_with(&c, lab_pass(m.hook));
		for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
			lab->datapath.maps.backends[id].local = 0;
	}
}

static __u64 failures(struct talk *t)
{
	struct perch_counters k;
	struct flow_copy f;

	assert_int_equal(talk_flow(t, &f), 0);
	lab_counters(t->lab, f.flow.backend, &k);
	return k.connect_failures;
}

/* An error about the SYN; `off` is added to the number that it quotes. */
static void syn_fails(struct talk *t, struct mode m, unsigned error, __u32 off)
{
	struct perch_address from = router(m.v6);
	struct case_icmp c;

	from_backend_side(&c, t, m, &from);
	c.in.quoted.flags = c.out.quoted.flags = TCP_SYN;
	c.in.quoted.payload = c.out.quoted.payload = 0;
	c.in.quoted.seq = c.out.quoted.seq = t->client.seq - 1 + off;
	set_type(&c, errors[m.v6][error].type, errors[m.v6][error].code, 0);
	set_cut(&c, 8, 0);
	c.how.complete = false;
	run_with(&c, lab_forward(m.hook));
}

static void test_icmp_fails_a_connect_that_it_quotes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct lab *lab = *state;
		__u64 before, active = lab_active(lab);
		struct perch_votes was, votes;

		lab_votes(lab, m.v6, 0, &was);
		mode_talk(&t, lab, m, IPPROTO_TCP, 90);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		before = failures(&t);
		/* a guess, and what only tells of a smaller MTU or too long a way */
		syn_fails(&t, m, 0, 1);
		syn_fails(&t, m, 0, -1);
		syn_fails(&t, m, 3, 0);
		syn_fails(&t, m, 4, 0);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(failures(&t), before);
		syn_fails(&t, m, 1, 0);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
		assert_int_equal(failures(&t), before + 1);
		assert_int_equal(lab_active(lab), active);
		lab_votes(lab, m.v6, 0, &votes);
		assert_int_equal(votes.connect_failures - was.connect_failures, 1);
		assert_int_equal(votes.connects - was.connects, 1);
		syn_fails(&t, m, 1, 0);
		assert_int_equal(failures(&t), before + 1);
	}
}

static void test_icmp_fails_no_connect_that_was_answered(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		__u64 before;

		mode_talk(&t, *state, m, IPPROTO_TCP, 91);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		before = failures(&t);
		syn_fails(&t, m, 1, 0);
		assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(failures(&t), before);
		assert_int_equal(talk_class(&t), PERCH_TCP);
		syn_fails(&t, m, 1, 0);
		assert_int_equal(talk_class(&t), PERCH_TCP);
	}
}

static void test_icmp_that_is_no_error_passes(void **state)
{
	static const __u8 others[2][5] = { { 0, 5, 8, 13, 4 }, { 128, 129, 133, 135, 137 } };
	static struct talk t;

	for_each_mode(m) {
		struct case_icmp c;

		start(&t, *state, m, false, 100);
		for (unsigned i = 0; i < 5; i++) {
			struct perch_address from = router(m.v6);

			from_client_side(&c, &t, m, &t.client.from);
			set_type(&c, others[m.v6][i], 0, 0x12345678);
			passes_built(&c, PERCH_R_PROTOCOL);
			from_backend_side(&c, &t, m, &t.backend.from);
			set_type(&c, others[m.v6][i], 0, 0x12345678);
			passes_built(&c, PERCH_R_PROTOCOL);
			from_backend_side(&c, &t, m, &from);
			set_type(&c, others[m.v6][i], 0, 0x12345678);
			passes_built(&c, PERCH_R_NOT_OURS);
		}
	}
}

/* Change one byte of the quote, and the checksum with it. */
static void spoilt(struct case_icmp *c, int at, __u8 value, enum perch_reason reason)
{
	static struct packet in;

	icmp_build(&in, &c->in);
	in.byte[icmp_quote(&in) + at] = value;
	icmp_sum(&in);
	passes(c, &in, reason);
}

static void test_icmp_with_a_bad_quote_passes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct case_icmp c;

		start(&t, *state, m, false, 110);
		for (unsigned side = 0; side < 2; side++) {
			if (side)
				from_backend_side(&c, &t, m, &t.backend.from);
			else
				from_client_side(&c, &t, m, &t.client.from);
			set_type(&c, errors[m.v6][0].type, errors[m.v6][0].code, 0);
			spoilt(&c, 0, m.v6 ? 0x40 : 0x60, PERCH_R_MALFORMED);
			if (!m.v6) {
				spoilt(&c, 0, 0x44, PERCH_R_MALFORMED);
				spoilt(&c, 7, 0x01, PERCH_R_FRAGMENT);
			}
			spoilt(&c, m.v6 ? 6 : 9, IPPROTO_SCTP, PERCH_R_PROTOCOL);
			spoilt(&c, m.v6 ? 6 : 9, IPPROTO_HOPOPTS, PERCH_R_PROTOCOL);
			/* shorter than ports, by its own word */
			spoilt(&c, m.v6 ? 5 : 3, m.v6 ? 7 : 27, PERCH_R_MALFORMED);
			c.in.outer.fragment = m.v6 ? 1 : 0x2000;
			if (!m.v6)
				passes_built(&c, PERCH_R_FRAGMENT);
			c.in.outer.fragment = 0;
			/* to somebody else than who it is for: no host sends that */
			c.in.outer.to.word[3] ^= htonl(1);
			passes_built(&c, PERCH_R_NOT_OURS);
			c.in.outer.to.word[3] ^= htonl(1);
		}
	}
}

/* Every length up to the quoted ports, by the IP header's word and by the
 * frame's. */
static void test_icmp_cut_off_anywhere_passes(void **state)
{
	static struct talk t;
	static struct packet in, out;

	for_each_mode(m) {
		unsigned least = 8 + (m.v6 ? 40 : 20) + 8;

		start(&t, *state, m, false, 120);
		for (unsigned side = 0; side < 2; side++) {
			struct case_icmp c;

			if (side)
				from_backend_side(&c, &t, m, &t.backend.from);
			else
				from_client_side(&c, &t, m, &t.client.from);
			set_type(&c, errors[m.v6][0].type, errors[m.v6][0].code, 0);
			for (unsigned n = 0; n < least; n++) {
				struct packet_spec s = c.in.outer;

				icmp_build(&in, &c.in);
				s.protocol = m.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
				s.payload = n;
				packet_build(&out, &s);
				memcpy(out.byte + out.length - n, in.byte + out.length - n, n);
				passes(&c, &out, PERCH_R_MALFORMED);
			}
		}
	}
}

/* A severed connection's errors are nobody's. */
static void test_icmp_about_the_severed_passes(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned udp = 0; udp < 2; udp++) {
		for_each_mode(m) {
			struct perch_address from = router(m.v6);
			struct case_icmp c;

			start(&t, lab, m, udp, 130 + udp);
			lab_version(lab, m.v6, 0)->sever_before = lab_now();
			from_backend_side(&c, &t, m, &from);
			set_type(&c, errors[m.v6][0].type, errors[m.v6][0].code, 0);
			passes_built(&c, PERCH_R_NOT_OURS);
			assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED) + lab_reasons(lab, PERCH_R_SEVERED_DROP), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_icmp_from_the_clients_side_gets_to_the_backend),
		prog_test(test_icmp_from_the_backends_side_gets_to_the_client),
		prog_test(test_icmp_takes_tags_and_options_along),
		prog_test(test_icmp_leaves_a_missing_checksum_alone),
		prog_test_bare(test_icmp_knows_translated_ports),
		prog_test(test_icmp_without_a_flow_goes_by_the_hash),
		prog_test(test_icmp_enters_nothing),
		prog_test(test_icmp_of_this_host_is_turned_on_its_way_out),
		prog_test(test_icmp_goes_up_where_its_connection_does),
		prog_test(test_icmp_fails_a_connect_that_it_quotes),
		prog_test(test_icmp_fails_no_connect_that_was_answered),
		prog_test(test_icmp_that_is_no_error_passes),
		prog_test(test_icmp_with_a_bad_quote_passes),
		prog_test(test_icmp_cut_off_anywhere_passes),
		prog_test(test_icmp_about_the_severed_passes),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
