/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Errors about tunnels that are forged, cut off or about something else: they
 * pass as they came, and nothing is learned. */
#include <arpa/inet.h>
#include <linux/if_ether.h>

#include "path_case.h"

/* Whatever a router quotes: all that there can be, to the byte that is enough. */
static void test_path_needs_the_ports_of_what_is_inside(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		/* the outer header alone does not even say that it is a tunnel */
		for (c.n = 0; c.n < path_overhead(w); c.n++)
			path_hear_nothing(&c, PERCH_R_NOT_OURS);
		for (; c.n < path_overhead(w) + path_headers(w, true); c.n++)
			path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		path_hear(&c, PERCH_R_PATH_MTU);
		assert_int_equal(perch_path_mtu(path_backend(&c)->path), PATH_MTU);
	}
}

/* RFC 792: 64 bits behind the header, filled up or not. */
static void test_path_does_not_believe_eight_bytes(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		path_begin(*state, w);
		path_start(&c, *state, w, true, 1);
		c.n = (w.v6 != w.crossed ? 40 : 20) + 8;
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		c.error.padding = 100;
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
	}
}

static void put32(__u8 *at, __u32 v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

/* Of the inner packet: its sequence number, by how much it is off the last. */
static void quote_seq(struct path_case *c, __u32 off)
{
	put32(c->quoted.byte + ETH_HLEN + path_overhead(c->way) + path_headers(c->way, true) - 8 + 4, c->t.client.seq + off);
}

static void test_path_believes_numbers_that_were_just_sent(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		quote_seq(&c, 0);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		quote_seq(&c, 1 << 20);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		quote_seq(&c, -(4 << 20) - 1);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		quote_seq(&c, -(4 << 20));
		path_hear(&c, PERCH_R_PATH_MTU);
		quote_seq(&c, -1);
		path_hear(&c, PERCH_R_PATH_MTU);
	}
}

/* Change the end of an address in the frame, of either family. */
static void other(struct path_case *c, unsigned end, unsigned length)
{
	c->quoted.byte[ETH_HLEN + end + length - 1] ^= 0x40;
}

static void test_path_does_not_believe_what_is_of_no_flow(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		bool v6 = w.v6 != w.crossed;
		unsigned length = v6 ? 16 : 4, from = v6 ? 8 : 12, inner = path_overhead(w);

		path_begin(*state, w);
		path_start(&c, *state, w, true, 1);
		/* another backend, client, listener, port */
		other(&c, from + length, length);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		other(&c, from + length, length);
		other(&c, inner + (w.v6 ? 8 : 12), w.v6 ? 16 : 4);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		other(&c, inner + (w.v6 ? 8 : 12), w.v6 ? 16 : 4);
		other(&c, inner + (w.v6 ? 24 : 16), w.v6 ? 16 : 4);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		other(&c, inner + (w.v6 ? 24 : 16), w.v6 ? 16 : 4);
		other(&c, inner + path_headers(w, true) - 8, 2);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		other(&c, inner + path_headers(w, true) - 8, 2);
		/* the tunnel of another host of this name, and its error to somebody else */
		other(&c, from, length);
		path_hear_nothing(&c, PERCH_R_NOT_OURS);
		memcpy((__u8 *)&c.error.outer.to + 16 - length, c.quoted.byte + ETH_HLEN + from, length);
		path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
		c.error.outer.to = c.t.outer.from;
		other(&c, from, length);
		path_hear(&c, PERCH_R_PATH_MTU);
		/* what is over can't be about this */
		path_backend(&c)->path = 0;
		lab_age(*state, 40);
		path_hear(&c, PERCH_R_TUNNEL_DOUBT);
	}
}

/* One byte of the quoted packet. */
static void spoilt(struct path_case *c, unsigned at, __u8 value, enum perch_reason reason)
{
	__u8 *byte = c->quoted.byte + ETH_HLEN + at, was = *byte;

	*byte = value;
	path_hear_nothing(c, reason);
	*byte = was;
}

static void test_path_is_not_learned_from_a_bad_quote(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		bool v6 = w.v6 != w.crossed, gue = w.forward == PERCH_GUE;
		unsigned inner = path_overhead(w), next = v6 ? 6 : 9, udp = v6 ? 40 : 20;

		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		spoilt(&c, 0, v6 ? 0x40 : 0x60, PERCH_R_NOT_OURS);
		spoilt(&c, next, IPPROTO_GRE, PERCH_R_NOT_OURS);
		spoilt(&c, inner, 0x50, PERCH_R_TUNNEL_DOUBT);
		spoilt(&c, inner, w.v6 ? 0x40 : 0x60, PERCH_R_TUNNEL_DOUBT);
		spoilt(&c, inner + (w.v6 ? 6 : 9), IPPROTO_SCTP, PERCH_R_TUNNEL_DOUBT);
		spoilt(&c, inner + (w.v6 ? 6 : 9), IPPROTO_UDP, PERCH_R_TUNNEL_DOUBT);
		/* shorter than its ports, by its own word */
		c.quoted.byte[ETH_HLEN + inner + (w.v6 ? 4 : 2)] = 0;
		spoilt(&c, inner + (w.v6 ? 5 : 3), w.v6 ? 7 : 27, PERCH_R_TUNNEL_DOUBT);
		if (gue) {
			spoilt(&c, udp, 0x10, PERCH_R_NOT_OURS);
			spoilt(&c, udp + 3, 0xc1, PERCH_R_NOT_OURS);
		} else {
			spoilt(&c, next, w.v6 ? IPPROTO_IPIP : IPPROTO_IPV6, PERCH_R_TUNNEL_DOUBT);
		}
		if (!w.v6) {
			spoilt(&c, inner, 0x44, PERCH_R_TUNNEL_DOUBT);
			spoilt(&c, inner + 7, 0x01, PERCH_R_TUNNEL_DOUBT);
		}
		if (!v6) {
			spoilt(&c, 7, 0x01, PERCH_R_NOT_OURS);
			spoilt(&c, 0, 0x46, PERCH_R_NOT_OURS);
		}
		path_hear(&c, PERCH_R_PATH_MTU);
	}
}

/* The end does not take it, or nobody leads there: seen, and no more. */
static void test_path_is_not_learned_from_other_errors(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		bool v6 = w.v6 != w.crossed;

		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		for (unsigned e = 0; e < ICMP_ERRORS; e++) {
			if (e == ICMP_TOO_BIG)
				continue;
			c.error.type = icmp_errors[v6][e].type;
			c.error.code = icmp_errors[v6][e].code;
			path_hear_nothing(&c, PERCH_R_TUNNEL_ERROR);
		}
		/* none is an error */
		c.error.type = v6 ? 128 : 8;
		path_hear_nothing(&c, PERCH_R_NOT_OURS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_path_needs_the_ports_of_what_is_inside),
		prog_test_bare(test_path_does_not_believe_eight_bytes),
		prog_test_bare(test_path_believes_numbers_that_were_just_sent),
		prog_test_bare(test_path_does_not_believe_what_is_of_no_flow),
		prog_test_bare(test_path_is_not_learned_from_a_bad_quote),
		prog_test_bare(test_path_is_not_learned_from_other_errors),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
