/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ipip and gue: every byte of the outer header and of what is inside, in each
 * combination of families.  talk.c looks at both.
 */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_cls.h>

#include "icmp.h"

static const enum perch_forward tunnels[] = { PERCH_IPIP, PERCH_GUE };

#define for_each_tunnel(f) for (const enum perch_forward *f = tunnels; f < tunnels + 2; f++)

/* Services anew, with backends of the packets' own family or of the other. */
static void begin(struct lab *lab, enum perch_forward forward, bool crossed)
{
	struct lab_options o = { 0 };

	lab_close(lab);
	assert_int_equal(lab_open(lab, &o), 0);
	lab_web(lab);
	lab_forwards(lab, forward);
	for (unsigned v6 = 0; crossed && v6 < 2; v6++)
		for (unsigned slot = 0; slot < 2; slot++)
			for (unsigned i = 0; i < lab->web[v6].placed.version[slot].n_backends; i++)
				lab->web[v6].backend[slot][i].address = lab_backend(!v6, slot ? 4 : 2 + i);
	assert_int_equal(lab_apply(lab), 0);
}

static void test_tunnel_wraps_every_size_in_every_family(void **state)
{
	static const unsigned sizes[] = { 0, 1, 2, 3, 64, 535, 1352 };
	static struct talk t;

	for_each_tunnel(f) {
		for (unsigned crossed = 0; crossed < 2; crossed++) {
			begin(*state, *f, crossed);
			for_each_mode(m) {
				for (unsigned udp = 0; udp < 2; udp++) {
					mode_talk(&t, *state, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 1 + udp);
					if (!udp)
						assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
					for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
						assert_int_equal(talk_client(&t, udp ? 0 : TCP_ACK, sizes[i]),
								 TALK_FORWARDED);
					assert_int_equal(lab_is_v6(&t.outer.to), m.v6 != crossed);
					if (!udp)
						assert_int_equal(talk_class(&t), PERCH_ONE_SIDED);
				}
			}
		}
	}
}

static void test_tunnel_takes_tags_off(void **state)
{
	static struct talk t;

	for_each_tunnel(f) {
		begin(*state, *f, true);
		for_each_mode(m) {
			for (unsigned tags = 1; tags <= 2; tags++) {
				mode_talk(&t, *state, m, IPPROTO_UDP, 4 + tags);
				t.client.vlans = tags;
				assert_int_equal(talk_client(&t, 0, 100), TALK_FORWARDED);
				assert_int_equal(t.seen.vlans, 0);
			}
		}
	}
}

static void test_tunnel_keeps_a_complete_checksum_complete(void **state)
{
	static struct talk t;
	int result;

	for_each_tunnel(f) {
		for (unsigned crossed = 0; crossed < 2; crossed++) {
			begin(*state, *f, crossed);
			for (unsigned v6 = 0; v6 < 2; v6++) {
				mode_talk(&t, *state, (struct mode){ LAB_TC, v6 }, IPPROTO_UDP, 3);
				t.complete = true;
				result = talk_client(&t, 0, 321);
				if (result == -EINVAL)
					skip();	/* Linux before 6.17 can't test it */
				assert_int_equal(result, TALK_FORWARDED);
			}
		}
	}
}

/* What is between sees one flow as one, and many as many. */
static void test_tunnel_spreads_by_its_source_port(void **state)
{
	__u16 ports[64];
	static struct talk t;
	unsigned distinct = 0;

	begin(*state, PERCH_GUE, false);
	for (unsigned i = 0; i < 64; i++) {
		mode_talk(&t, *state, (struct mode){ LAB_XDP, false }, IPPROTO_UDP, 10 + i);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		ports[i] = t.outer.from_port;
		assert_int_equal(talk_client(&t, 0, 20), TALK_FORWARDED);
		assert_int_equal(t.outer.from_port, ports[i]);
	}
	for (unsigned i = 0; i < 64; i++) {
		bool before = false;

		for (unsigned k = 0; k < i; k++)
			before |= ports[k] == ports[i];
		distinct += !before;
	}
	assert_true(distinct > 56);	/* 64 of 16384 */
}

static void test_tunnel_spreads_by_its_flow_label(void **state)
{
	static struct talk t;
	__u32 label[2];

	begin(*state, PERCH_IPIP, false);
	for (unsigned i = 0; i < 2; i++) {
		mode_talk(&t, *state, (struct mode){ LAB_XDP, true }, IPPROTO_UDP, 100 + i);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		label[i] = t.outer.label;
	}
	assert_int_not_equal(label[0], label[1]);
}

/* What fits alone may not fit with another header in front: its client is told
 * what does, by TC. */
static void assert_told(struct lab *lab, struct talk *t, unsigned payload, __u32 mtu)
{
	struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex };
	static struct packet in, out, want;

	t->client.payload = payload;
	packet_build(&in, &t->client);
	icmp_too_big(&want, &t->client, &t->client.to, mtu);
	assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
	assert_true(packet_same(&out, &want, stderr));
	assert_true(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_TOO_BIG_TOLD) > 0);
}

static void test_tunnel_tells_what_fits_with_its_header(void **state)
{
	static const unsigned outer[2][2] = { { 20, 28 }, { 40, 48 } };
	static struct talk t;

	for_each_tunnel(f) {
		for (unsigned crossed = 0; crossed < 2; crossed++) {
			begin(*state, *f, crossed);
			for_each_mode(m) {
				unsigned inner = (m.v6 ? 40 : 20) + 8;
				unsigned most = 1500 - inner - outer[m.v6 != crossed][*f == PERCH_GUE];

				mode_talk(&t, *state, m, IPPROTO_UDP, 200);
				assert_int_equal(talk_client(&t, 0, most), TALK_FORWARDED);
				if (m.hook == LAB_TC) {
					assert_told(*state, &t, most + 1, inner + most);
					continue;
				}
				assert_int_equal(talk_client(&t, 0, most + 1), TALK_PASSED);
				assert_true(lab_reason(*state, mode_hook(m), PERCH_R_TOO_BIG) > 0);
			}
		}
	}
}

static void test_tunnel_without_a_source_passes(void **state)
{
	static const struct perch_address none[PERCH_FAMILIES];
	struct lab *lab = *state;
	static struct talk t;

	begin(lab, PERCH_IPIP, false);
	for (unsigned v6 = 0; v6 < 2; v6++)
		tables_tunnel(lab->tables, v6, none);
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 201);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_NO_ROUTE), MODES);
	assert_int_equal(lab_active(lab), 0);
}

static void test_tunnel_tells_the_client_of_a_severed_version(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	begin(lab, PERCH_GUE, false);
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 202);
		assert_int_equal(talk_connect_blind(&t), TALK_FORWARDED);
		lab_sever(lab, m.v6, 0);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_ANSWERED);
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_tunnel_wraps_every_size_in_every_family),
		prog_test_bare(test_tunnel_takes_tags_off),
		prog_test_bare(test_tunnel_keeps_a_complete_checksum_complete),
		prog_test_bare(test_tunnel_spreads_by_its_source_port),
		prog_test_bare(test_tunnel_spreads_by_its_flow_label),
		prog_test_bare(test_tunnel_tells_what_fits_with_its_header),
		prog_test_bare(test_tunnel_without_a_source_passes),
		prog_test_bare(test_tunnel_tells_the_client_of_a_severed_version),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
