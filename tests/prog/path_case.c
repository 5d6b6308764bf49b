/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Builds errors about tunnels and runs them. */
#include "path_case.h"

#include <linux/pkt_cls.h>

struct path_way path_way(unsigned n)
{
	return (struct path_way){ n, n & 4 ? PERCH_GUE : PERCH_IPIP, n & 2, n & 1 };
}

unsigned path_overhead(struct path_way w)
{
	return (w.v6 != w.crossed ? 40 : 20) + (w.forward == PERCH_GUE ? 8 : 0);
}

unsigned path_headers(struct path_way w, bool udp)
{
	return (w.v6 ? 40 : 20) + (udp ? 8 : 20);
}

void path_begin(struct lab *lab, struct path_way w)
{
	struct lab_options o = { 0 };

	lab_close(lab);
	assert_int_equal(lab_open(lab, &o), 0);
	lab_web(lab);
	lab_forwards(lab, w.forward);
	lab_single(lab, 0);
	for (unsigned v6 = 0; w.crossed && v6 < 2; v6++)
		for (unsigned slot = 0; slot < 2; slot++)
			lab->web[v6].backend[slot][0].address = lab_backend(!v6, slot ? 4 : 2);
	assert_int_equal(lab_apply(lab), 0);
}

static void talk_of(struct talk *t, struct lab *lab, struct path_way w, enum lab_hook hook, bool udp, __u32 n)
{
	mode_talk(t, lab, (struct mode){ hook, w.v6 }, udp ? IPPROTO_UDP : IPPROTO_TCP, n);
	if (!udp)
		assert_int_equal(talk_connect_blind(t), TALK_FORWARDED);
}

void path_start(struct path_case *c, struct lab *lab, struct path_way w, bool udp, __u32 n)
{
	struct talk *t = &c->t;
	bool v6 = w.v6 != w.crossed;

	memset(c, 0, sizeof(*c));
	c->way = w;
	talk_of(t, lab, w, LAB_TC, udp, n);
	assert_int_equal(talk_client(t, udp ? 0 : TCP_ACK, 1440 - path_headers(w, udp)), TALK_FORWARDED);
	outer_build(&c->quoted, &t->outer, &t->out);
	c->n = 512;
	c->error.type = v6 ? 2 : 3;
	c->error.code = v6 ? 0 : 4;
	c->error.rest = PATH_MTU;
	c->error.outer = (struct packet_spec){ .from = icmp_router(v6), .to = t->outer.from, .ttl = 60, .tos = 0xc0 };
	lab_backend_mac(t->host, c->error.outer.from_mac);
	memcpy(c->error.outer.to_mac, lab->backend.mac, 6);
}

struct perch_backend *path_backend(const struct path_case *c)
{
	struct flow_copy f;

	assert_int_equal(talk_flow(&c->t, &f), 0);
	return &c->t.lab->datapath.maps.backends[f.flow.backend];
}

void path_hear(const struct path_case *c, enum perch_reason reason)
{
	struct lab *lab = c->t.lab;
	__u64 before = lab_reason(lab, PERCH_HOOK_TC_IN, reason);
	static struct packet in, out;

	icmp_wrap(&in, &c->error, &c->quoted, c->n);
	for (unsigned hook = LAB_XDP; hook <= LAB_TC; hook++) {
		struct lab_run how = { .hook = hook, .ifindex = lab->backend.ifindex };

		assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, reason), before);
		assert_int_equal(lab_run(lab, &how, &in, &out), lab_pass(hook));
		assert_true(packet_same(&out, &in, stderr));
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, reason), before + 1);
}

void path_hear_nothing(const struct path_case *c, enum perch_reason reason)
{
	path_hear(c, reason);
	assert_int_equal(path_backend(c)->path, 0);
}

void path_fits(struct lab *lab, struct path_way w, bool udp, __u32 n, unsigned mtu)
{
	unsigned most = mtu - path_headers(w, udp);
	struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex };
	static struct packet in, out, want;
	static struct talk t;
	__u64 before;

	for (unsigned hook = LAB_XDP; hook <= LAB_TC; hook++) {
		talk_of(&t, lab, w, hook, udp, n);
		assert_int_equal(talk_client(&t, udp ? 0 : TCP_ACK, most), TALK_FORWARDED);
		if (hook == LAB_TC)
			break;
		before = lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_TOO_BIG);
		assert_int_equal(talk_client(&t, udp ? 0 : TCP_ACK, most + 1), TALK_PASSED);
		assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_TOO_BIG), before + 1);
	}
	t.client.payload = most + 1;
	packet_build(&in, &t.client);
	icmp_too_big(&want, &t.client, &t.client.to, mtu);
	assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
	assert_true(packet_same(&out, &want, stderr));
}
