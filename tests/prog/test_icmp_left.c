/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What ICMP errors mean to a connect, and those that are nobody's: they pass
 * as they came. */
#include <arpa/inet.h>

#include "icmp_case.h"

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
	struct perch_address from = icmp_router(m.v6);
	struct case_icmp c;

	icmp_from_backend_side(&c, t, m, &from);
	c.in.quoted.flags = c.out.quoted.flags = TCP_SYN;
	c.in.quoted.payload = c.out.quoted.payload = 0;
	c.in.quoted.seq = c.out.quoted.seq = t->client.seq - 1 + off;
	icmp_error_type(&c, error);
	icmp_cut(&c, 8, 0);
	c.how.complete = false;
	icmp_run_with(&c, lab_forward(m.hook));
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

		icmp_start(&t, *state, m, false, 100);
		for (unsigned i = 0; i < 5; i++) {
			struct perch_address from = icmp_router(m.v6);

			icmp_from_client_side(&c, &t, m, &t.client.from);
			icmp_type(&c, others[m.v6][i], 0, 0x12345678);
			icmp_passes_built(&c, PERCH_R_PROTOCOL);
			icmp_from_backend_side(&c, &t, m, &t.backend.from);
			icmp_type(&c, others[m.v6][i], 0, 0x12345678);
			icmp_passes_built(&c, PERCH_R_PROTOCOL);
			icmp_from_backend_side(&c, &t, m, &from);
			icmp_type(&c, others[m.v6][i], 0, 0x12345678);
			icmp_passes_built(&c, PERCH_R_NOT_OURS);
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
	icmp_passes(c, &in, reason);
}

static void test_icmp_with_a_bad_quote_passes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct case_icmp c;

		icmp_start(&t, *state, m, false, 110);
		for (unsigned side = 0; side < 2; side++) {
			if (side)
				icmp_from_backend_side(&c, &t, m, &t.backend.from);
			else
				icmp_from_client_side(&c, &t, m, &t.client.from);
			icmp_error_type(&c, 0);
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
				icmp_passes_built(&c, PERCH_R_FRAGMENT);
			c.in.outer.fragment = 0;
			/* to somebody else than who it is for: no host sends that */
			c.in.outer.to.word[3] ^= htonl(1);
			icmp_passes_built(&c, PERCH_R_NOT_OURS);
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

		icmp_start(&t, *state, m, false, 120);
		for (unsigned side = 0; side < 2; side++) {
			struct case_icmp c;

			if (side)
				icmp_from_backend_side(&c, &t, m, &t.backend.from);
			else
				icmp_from_client_side(&c, &t, m, &t.client.from);
			icmp_error_type(&c, 0);
			for (unsigned n = 0; n < least; n++) {
				struct packet_spec s = c.in.outer;

				icmp_build(&in, &c.in);
				s.protocol = m.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
				s.payload = n;
				packet_build(&out, &s);
				memcpy(out.byte + out.length - n, in.byte + out.length - n, n);
				icmp_passes(&c, &out, PERCH_R_MALFORMED);
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
			struct perch_address from = icmp_router(m.v6);
			struct case_icmp c;

			icmp_start(&t, lab, m, udp, 130 + udp);
			lab_sever(lab, m.v6, 0);
			icmp_from_backend_side(&c, &t, m, &from);
			icmp_error_type(&c, 0);
			icmp_passes_built(&c, PERCH_R_NOT_OURS);
			assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED) + lab_reasons(lab, PERCH_R_SEVERED_DROP), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
