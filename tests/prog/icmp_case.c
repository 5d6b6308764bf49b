/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Builds errors about connections and runs them. */
#include "icmp_case.h"

#include <errno.h>

#include <arpa/inet.h>

const struct icmp_error icmp_errors[2][ICMP_ERRORS] = {
	{ { 3, 0, 0 }, { 3, 1, 0 }, { 3, 3, 0 }, { 3, 4, 1300 }, { 11, 0, 0 }, { 12, 0, 20 << 24 } },
	{ { 1, 0, 0 }, { 1, 3, 0 }, { 1, 4, 0 }, { 2, 0, 1280 }, { 3, 0, 0 }, { 4, 1, 40 } },
};

struct perch_address icmp_router(bool v6)
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

/* Does the backend know its client by another address? */
static bool is_full(const struct talk *t)
{
	return memcmp(&t->backend.to, &t->client.from, sizeof(t->client.from));
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

void icmp_from_client_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from)
{
	struct lab *lab = t->lab;
	__u8 mac[6];

	memset(c, 0, sizeof(*c));
	c->t = t;
	c->mode = m;
	c->in.quoted = quoted(&t->backend, 100);
	c->out = c->in;
	c->in.quoted.from = t->client.to;
	c->in.quoted.to = t->client.from;
	c->in.quoted.from_port = t->client.to_port;
	c->in.quoted.to_port = t->client.from_port;
	c->in.outer = (struct packet_spec){ .from = *from, .to = t->client.to, .ttl = 60, .tos = 0xc0 };
	c->out.outer = c->in.outer;
	c->out.outer.to = t->backend.from;
	if (is_full(t))
		c->out.outer.from = t->backend.to;
	c->out.outer.ttl--;
	lab_backend_mac(t->host, mac);
	set_macs(c, &lab->client, lab_gateway_mac(), &lab->backend, mac);
}

void icmp_from_backend_side(struct case_icmp *c, struct talk *t, struct mode m, const struct perch_address *from)
{
	struct lab *lab = t->lab;
	__u8 mac[6];

	memset(c, 0, sizeof(*c));
	c->t = t;
	c->mode = m;
	c->out.quoted = quoted(&t->client, 100);
	c->in = c->out;
	c->in.quoted.from = t->backend.to;
	c->in.quoted.from_port = t->backend.to_port;
	c->in.quoted.to = t->backend.from;
	c->in.quoted.to_port = t->backend.from_port;
	c->in.outer = (struct packet_spec){ .from = *from, .to = t->backend.to, .ttl = 60, .tos = 0xc0 };
	c->out.outer = c->in.outer;
	c->out.outer.to = t->client.from;
	if (!memcmp(from, &t->backend.from, sizeof(*from)))
		c->out.outer.from = t->client.to;
	c->out.outer.ttl--;
	lab_backend_mac(t->host, mac);
	set_macs(c, &lab->backend, mac, &lab->client, lab_gateway_mac());
}

void icmp_type(struct case_icmp *c, __u8 type, __u8 code, __u32 rest)
{
	c->in.type = c->out.type = type;
	c->in.code = c->out.code = code;
	c->in.rest = c->out.rest = rest;
}

void icmp_error_type(struct case_icmp *c, unsigned error)
{
	const struct icmp_error *e = &icmp_errors[c->mode.v6][error];

	icmp_type(c, e->type, e->code, e->rest);
}

void icmp_cut(struct case_icmp *c, __u16 cut, __u8 padding)
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

void icmp_run_with(struct case_icmp *c, int verdict)
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

void icmp_run(struct case_icmp *c)
{
	c->how.complete = false;
	icmp_run_with(c, lab_forward(c->mode.hook));
	if (c->mode.hook != LAB_TC || c->in.outer.vlans)
		return;
	c->how.complete = true;
	icmp_run_with(c, lab_forward(c->mode.hook));
}

void icmp_start(struct talk *t, struct lab *lab, struct mode m, bool udp, __u32 n)
{
	mode_talk(t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, n);
	if (!udp) {
		assert_int_equal(talk_connect(t), TALK_FORWARDED);
		return;
	}
	assert_int_equal(talk_client(t, 0, 40), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, 0, 40), TALK_FORWARDED);
}

void icmp_passes(struct case_icmp *c, const struct packet *in, enum perch_reason reason)
{
	__u64 before = lab_reason(c->t->lab, hook_of(c), reason);
	static struct packet out;

	assert_int_equal(lab_run(c->t->lab, &c->how, in, &out), lab_pass(c->how.hook));
	assert_same(&out, in, in);
	assert_int_equal(lab_reason(c->t->lab, hook_of(c), reason), before + 1);
}

void icmp_passes_built(struct case_icmp *c, enum perch_reason reason)
{
	static struct packet in;

	icmp_build(&in, &c->in);
	icmp_passes(c, &in, reason);
}
