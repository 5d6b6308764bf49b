/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The table of packets, continued: ICMP errors, what its service's forwarding
 * makes of a packet, fragments, what is too big, severed, or without a backend.
 */
#include "packets.h"

#include <linux/if_ether.h>

#define AT_LEAST 120

static void set_mtu(struct lab *lab, __u32 mtu)
{
	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		if (lab->datapath.maps.devices[i].in_use)
			lab->datapath.maps.devices[i].mtu = mtu;
}

static void narrow(struct lab *lab)
{
	set_mtu(lab, PACKETS_MTU);
}

static void wide(struct lab *lab)
{
	set_mtu(lab, 9000);
}

static void without_redirects(struct lab *lab)
{
	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		lab->datapath.maps.devices[i].xmit = 0;
}

static void on_this_host(struct lab *lab)
{
	packets_local(lab, true);
}

static void unpacking(struct lab *lab)
{
	routes_unpack(lab->routes, "c0", true);
}

static void with_fragments(struct lab *lab)
{
	lab->web[0].placed.fragments = lab->web[1].placed.fragments = true;
}

static void without_backends(struct lab *lab)
{
	lab_backends(lab, 0, 2, 0);
	lab_backends(lab, 1, 4, 0);
}

/* Host 18 answers nobody. */
static void without_neighbour(struct lab *lab)
{
	lab_backends(lab, 0, 18, 1);
}

static void from_one_source(struct lab *lab)
{
	lab_fullnat(lab, 1, 61000, 61000);
}

/* Backends of the other family. */
static void of_the_other_family(struct lab *lab)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned slot = 0; slot < 2; slot++)
			lab->web[v6].backend[slot][0].address = lab_backend(!v6, slot ? 4 : PACKETS_HOST);
}

#define WORLD(name, ...)                                                       \
	static int setup_##name(void **state)                                  \
	{                                                                      \
		static const struct world world = { __VA_ARGS__ };             \
									       \
		return packets_setup(state, &world);                           \
	}

WORLD(plain, .forward = PERCH_NAT)
WORLD(narrow, .after = narrow)
WORLD(wide, .after = wide)
WORLD(without_redirects, .after = without_redirects)
WORLD(on_this_host, .after = on_this_host)
WORLD(unpacking, .after = unpacking)
WORLD(with_fragments, .before = with_fragments)
WORLD(without_backends, .before = without_backends)
WORLD(without_neighbour, .before = without_neighbour)
WORLD(by_fullnat, .forward = PERCH_FULLNAT, .before = from_one_source)
WORLD(by_dsr, .forward = PERCH_DSR)
WORLD(by_ipip, .forward = PERCH_IPIP)
WORLD(by_ipip_crossed, .forward = PERCH_IPIP, .before = of_the_other_family)
WORLD(by_gue, .forward = PERCH_GUE)
WORLD(by_gue_crossed, .forward = PERCH_GUE, .before = of_the_other_family)

#define TURNED .build = error_turned, .said = FORWARDS, .reason = PERCH_R_ICMP

static void test_packets_icmp_errors_from_the_clients_side(void **state)
{
	static const struct row rows[] = {
		{ "unreachable, all quoted", .state = after_connect, .error = 0, TURNED },
		{ "unreachable, of the client", .state = after_connect, .error = 2, .own = true, TURNED },
		{ "too big, all quoted", .state = after_connect, .error = ICMP_TOO_BIG, TURNED },
		{ "too big, 8 bytes quoted", .state = after_connect, .error = ICMP_TOO_BIG, .cut = 8, TURNED },
		{ "too big, tagged", .state = after_connect, .error = ICMP_TOO_BIG, .cut = 8, .vlans = 2, TURNED },
		{ "no hop left", .state = after_connect, .error = 4, .cut = 20, TURNED },
		{ "bad header", .state = after_connect, .error = 5, .cut = 18, TURNED },
		{ "too big, UDP", .protocol = IPPROTO_UDP, .state = after_reply, .error = ICMP_TOO_BIG, TURNED },
		{ "too big, UDP, 8 bytes", .protocol = IPPROTO_UDP, .state = after_reply, .error = ICMP_TOO_BIG, .cut = 8, TURNED },
		{ "too big, no flow", .error = ICMP_TOO_BIG, TURNED },
		{ "too big, no flow, 8 bytes", .error = ICMP_TOO_BIG, .cut = 8, TURNED },
		{ "unreachable, no flow, UDP", .protocol = IPPROTO_UDP, .error = 2, .cut = 8, TURNED },
		{ "quote of 7 bytes", .state = after_connect, .cut = 7, .build = error_passed, .reason = PERCH_R_MALFORMED },
		{ "quote of a wrong version", .state = after_connect, .poke = { { QUOTE, 0, 0x50 } }, .build = error_passed,
		  .reason = PERCH_R_MALFORMED },
		{ "quote of SCTP", V4, .state = after_connect, .poke = { { QUOTE, 9, IPPROTO_SCTP } }, .build = error_passed,
		  .reason = PERCH_R_PROTOCOL },
		{ "quote of a later fragment", V4, .state = after_connect, .poke = { { QUOTE, 7, 1 } }, .build = error_passed,
		  .reason = PERCH_R_FRAGMENT },
	};

	packets_try_all(*state, rows);
}

static void test_packets_icmp_errors_from_the_backends_side(void **state)
{
	static const struct row rows[] = {
		{ "unreachable, all quoted", .reply = true, .state = after_connect, .error = 0, TURNED },
		{ "unreachable, of the backend", .reply = true, .state = after_connect, .error = 2, .own = true, TURNED },
		{ "refusal of a SYN", .reply = true, .state = after_syn, .error = 2, .own = true, .cut = 8, TURNED },
		{ "too big, 8 bytes quoted", .reply = true, .state = after_connect, .error = ICMP_TOO_BIG, .cut = 8, TURNED },
		{ "too big, tagged", .reply = true, .state = after_connect, .error = ICMP_TOO_BIG, .vlans = 1, TURNED },
		{ "port unreachable, UDP", .protocol = IPPROTO_UDP, .reply = true, .state = after_request, .error = 2, .own = true,
		  TURNED },
		{ "port unreachable, UDP, 8 bytes", .protocol = IPPROTO_UDP, .reply = true, .state = after_request, .error = 2,
		  .own = true, .cut = 8, TURNED },
		{ "no flow", .reply = true, .error = ICMP_TOO_BIG, .build = error_passed, .reason = PERCH_R_NOT_OUR_REPLY },
		{ "no flow, UDP, of the backend", .protocol = IPPROTO_UDP, .reply = true, .error = 2, .own = true, .cut = 8,
		  .build = error_passed, .reason = PERCH_R_NOT_OUR_REPLY },
	};

	packets_try_all(*state, rows);
}

#define SENT .build = turned, .said = FORWARDS

/* From here on all older connections are over. */
static void test_packets_severed(void **state)
{
	static const struct row rows[] = {
		{ "data of the client", .flags = TCP_ACK, .payload = 100, .state = after_sever, .build = reset, .said = ANSWERS,
		  .reason = PERCH_R_SEVERED },
		{ "data, tagged", .flags = TCP_ACK, .payload = 100, .vlans = 2, .state = after_sever, .build = reset, .said = ANSWERS,
		  .reason = PERCH_R_SEVERED },
		{ "FIN of the client", .flags = TCP_FIN | TCP_ACK, .state = after_sever, .build = reset, .said = ANSWERS,
		  .reason = PERCH_R_SEVERED },
		{ "data without an ACK", .flags = TCP_PSH, .payload = 10, .state = after_sever, .build = reset, .said = ANSWERS,
		  .reason = PERCH_R_SEVERED },
		{ "data of the backend", .reply = true, .flags = TCP_ACK, .payload = 999, .state = after_sever, .build = reset,
		  .said = ANSWERS, .reason = PERCH_R_SEVERED },
		{ "SYN after it", .flags = TCP_SYN, .state = after_sever, SENT, .reason = PERCH_R_NEW },
		{ "datagram after it", .protocol = IPPROTO_UDP, .payload = 9, .state = after_sever_udp, SENT, .reason = PERCH_R_NEW },
		{ "reply of UDP", .protocol = IPPROTO_UDP, .reply = true, .payload = 9, .state = after_sever_udp, .said = DROPS,
		  .reason = PERCH_R_SEVERED_DROP },
	};

	packets_try_all(*state, rows);
}

static void test_packets_without_a_backend(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, .build = reset, .said = ANSWERS, .reason = PERCH_R_STABLE_DOWN },
		{ "SYN, tagged", .flags = TCP_SYN, .vlans = 1, .build = reset, .said = ANSWERS, .reason = PERCH_R_STABLE_DOWN },
		{ "RST", .flags = TCP_RST, .said = DROPS, .reason = PERCH_R_STABLE_DOWN_DROP },
		{ "datagram", .protocol = IPPROTO_UDP, .payload = 9, .said = DROPS, .reason = PERCH_R_STABLE_DOWN_DROP },
	};

	packets_try_all(*state, rows);
}

static unsigned headers(const struct trial *t)
{
	return (t->mode.v6 ? 40 : 20) + (t->spec.protocol == IPPROTO_UDP ? 8 : 20);
}

static void as_large_as_fits(struct trial *t)
{
	t->spec.payload = PACKETS_MTU - headers(t);
}

static void one_more(struct trial *t)
{
	t->spec.payload = PACKETS_MTU + 1 - headers(t);
}

static void may_be_fragmented(struct packet *p)
{
	p->byte[ETH_HLEN + 6] = 0;
	icmp_sum_ip(p);
}

static void test_packets_too_big(void **state)
{
	static const struct row rows[] = {
		{ "what fits", .flags = TCP_ACK, .state = after_connect, .say = as_large_as_fits, SENT, .reason = PERCH_R_FORWARDED },
		{ "a reply that fits", .reply = true, .flags = TCP_ACK, .state = after_connect, .say = as_large_as_fits, SENT,
		  .reason = PERCH_R_REPLY },
		{ "left to TC", XDP, .flags = TCP_ACK, .state = after_connect, .say = one_more, .reason = PERCH_R_TOO_BIG },
		{ "left to TC, UDP", XDP, IPPROTO_UDP, .say = one_more, .reason = PERCH_R_TOO_BIG },
		{ "told", TC, .flags = TCP_ACK, .state = after_connect, .say = one_more, .build = told, .said = ANSWERS,
		  .reason = PERCH_R_TOO_BIG_TOLD },
		{ "told, UDP", TC, IPPROTO_UDP, .say = one_more, .build = told, .said = ANSWERS, .reason = PERCH_R_TOO_BIG_TOLD },
		{ "told to the backend", TC, .reply = true, .flags = TCP_ACK, .state = after_connect, .say = one_more, .build = told,
		  .said = ANSWERS, .reason = PERCH_R_TOO_BIG_TOLD },
		{ "may be fragmented", TC | V4, IPPROTO_UDP, .say = one_more, .shape = may_be_fragmented, .build = turned_up,
		  .reason = PERCH_R_NEW },
	};

	packets_try_all(*state, rows);
}

static void test_packets_jumbo(void **state)
{
	static const struct row rows[] = {
		{ "datagram", XDP, IPPROTO_UDP, .payload = 8900, SENT, .reason = PERCH_R_NEW },
		{ "reply, tagged", XDP, .reply = true, .flags = TCP_ACK, .payload = 8900, .vlans = 1, .state = after_connect, SENT,
		  .reason = PERCH_R_REPLY },
	};

	packets_try_all(*state, rows);
}

static void test_packets_left_to_tc(void **state)
{
	static const struct row rows[] = {
		{ "SYN", XDP, .flags = TCP_SYN, .reason = PERCH_R_NO_XMIT },
		{ "SYN", TC, .flags = TCP_SYN, SENT, .reason = PERCH_R_NEW },
	};

	packets_try_all(*state, rows);
}

static void test_packets_left_to_tc_without_a_neighbour(void **state)
{
	static const struct row rows[] = {
		{ "SYN", XDP, .flags = TCP_SYN, .reason = PERCH_R_NO_NEIGHBOUR },
		{ "datagram", XDP, IPPROTO_UDP, .payload = 9, .reason = PERCH_R_NO_NEIGHBOUR },
	};

	packets_try_all(*state, rows);
}

static void test_packets_to_this_host(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, .build = turned_up, .reason = PERCH_R_NEW },
		{ "tagged", .flags = TCP_SYN, .vlans = 2, .build = turned_up, .reason = PERCH_R_NEW },
		{ "datagram", .protocol = IPPROTO_UDP, .payload = 9, .build = turned_up, .reason = PERCH_R_NEW },
	};

	packets_try_all(*state, rows);
}

static void test_packets_on_their_way_out(void **state)
{
	static const struct row rows[] = {
		{ "SYN-ACK", TC, .reply = true, .flags = TCP_SYN | TCP_ACK, .state = after_syn, .build = turned_out,
		  .reason = PERCH_R_REPLY },
		{ "reply", TC, IPPROTO_UDP, .reply = true, .payload = 99, .state = after_request, .build = turned_out,
		  .reason = PERCH_R_REPLY },
	};

	packets_try_all(*state, rows);
}

static void test_packets_in_fragments(void **state)
{
	static const struct row rows[] = {
		{ "the first", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 0, 1200 }, SENT, .reason = PERCH_R_NEW },
		{ "the second", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 1200, 1200 }, .state = after_first_piece, SENT,
		  .reason = PERCH_R_FORWARDED },
		{ "the last", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 2400, 1200 }, .state = after_first_piece, SENT,
		  .reason = PERCH_R_FORWARDED },
		{ "the last alone", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 2400, 1200 }, SENT,
		  .reason = PERCH_R_UNLEARNED },
		{ "a reply's first", .protocol = IPPROTO_UDP, .reply = true, .payload = 3000, .piece = { 0, 1200 },
		  .state = after_request, SENT, .reason = PERCH_R_REPLY },
		{ "a reply's second", .protocol = IPPROTO_UDP, .reply = true, .payload = 3000, .piece = { 1200, 1200 },
		  .state = after_request, SENT, .reason = PERCH_R_REPLY },
		{ "a segment's first", .flags = TCP_ACK, .payload = 3000, .piece = { 0, 1200 }, .state = after_connect, SENT,
		  .reason = PERCH_R_FORWARDED },
	};

	packets_try_all(*state, rows);
}

static void test_packets_by_fullnat(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, SENT, .reason = PERCH_R_NEW },
		{ "SYN-ACK", .reply = true, .flags = TCP_SYN | TCP_ACK, .state = after_syn, SENT, .reason = PERCH_R_REPLY },
		{ "request", .flags = TCP_ACK, .payload = 333, .state = after_connect, SENT, .reason = PERCH_R_FORWARDED },
		{ "response", .reply = true, .flags = TCP_ACK, .payload = 1001, .state = after_connect, SENT, .reason = PERCH_R_REPLY },
		{ "datagram, tagged", .protocol = IPPROTO_UDP, .payload = 31, .vlans = 1, SENT, .reason = PERCH_R_NEW },
		{ "datagram", .protocol = IPPROTO_UDP, .payload = 31, SENT, .reason = PERCH_R_NEW },
		{ "reply", .protocol = IPPROTO_UDP, .reply = true, .payload = 32, .state = after_request, SENT, .reason = PERCH_R_REPLY },
		{ "without a checksum", .protocol = IPPROTO_UDP, .payload = 64, .unsummed = true, .exact = true, SENT,
		  .reason = PERCH_R_NEW },
		{ "reply without a checksum", .protocol = IPPROTO_UDP, .reply = true, .payload = 64, .unsummed = true, .exact = true,
		  .state = after_request, SENT, .reason = PERCH_R_REPLY },
	};

	packets_try_all(*state, rows);
}

static void test_packets_by_dsr(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, SENT, .reason = PERCH_R_NEW },
		{ "ACK", .flags = TCP_ACK, .payload = 100, .state = after_syn_and_ack, SENT, .reason = PERCH_R_FORWARDED },
		{ "datagram, tagged", .protocol = IPPROTO_UDP, .payload = 31, .vlans = 2, SENT, .reason = PERCH_R_NEW },
		{ "too big", .protocol = IPPROTO_UDP, .state = after_request, .error = ICMP_TOO_BIG, .cut = 8, TURNED },
	};

	packets_try_all(*state, rows);
}

/* Also from and to the other family; the service says by which tunnel. */
static void test_packets_by_tunnel(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, SENT, .reason = PERCH_R_NEW },
		{ "ACK", .flags = TCP_ACK, .payload = 101, .state = after_syn_and_ack, SENT, .reason = PERCH_R_FORWARDED },
		{ "datagram, tagged", .protocol = IPPROTO_UDP, .payload = 31, .vlans = 1, SENT, .reason = PERCH_R_NEW },
		{ "datagram", .protocol = IPPROTO_UDP, .payload = 31, .state = after_request, SENT, .reason = PERCH_R_FORWARDED },
		{ "too big", .protocol = IPPROTO_UDP, .state = after_request, .error = ICMP_TOO_BIG, TURNED },
	};

	packets_try_all(*state, rows);
}

static void test_packets_out_of_tunnels(void **state)
{
	static const struct row rows[] = {
		{ "ipip", .flags = TCP_ACK, .payload = 77, .build = unpacked, .reason = PERCH_R_UNPACKED },
		{ "ipip, the other family", .crossed = true, .payload = 77, .build = unpacked, .reason = PERCH_R_UNPACKED },
		{ "gue", .gue = true, .payload = 77, .build = unpacked, .reason = PERCH_R_UNPACKED },
		{ "gue, the other family", .crossed = true, .gue = true, .protocol = IPPROTO_UDP, .payload = 77, .build = unpacked,
		  .reason = PERCH_R_UNPACKED },
		{ "ipip for another", .payload = 77, .build = unpack_for_others, .reason = PERCH_R_NOT_UNPACKED },
		{ "gue for another", .gue = true, .payload = 77, .build = unpack_for_others, .reason = PERCH_R_NOT_UNPACKED },
		{ "ipip, a wrong version", .payload = 77, .poke = { { TRANSPORT, 0, 0x50 } }, .build = wrapped_as_it_came,
		  .reason = PERCH_R_NOT_UNPACKED },
		{ "ipip, cut off", .payload = 77, .keep = { TRANSPORT, 10 }, .build = wrapped_as_it_came,
		  .reason = PERCH_R_MALFORMED },
	};

	packets_try_all(*state, rows);
}

static int close_down(void **state)
{
	return packets_setup(state, NULL);
}

static void test_packets_were_enough(void **state)
{
	unsigned rows, n = packets_tried(&rows);

	(void)state;
	print_message("%u packets of %u rows\n", n, rows);
	assert_in_range(n, AT_LEAST, UINT32_MAX);
}

#define in_world(f, world) cmocka_unit_test_setup(test_packets_##f, setup_##world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(icmp_errors_from_the_clients_side, plain),
		in_world(icmp_errors_from_the_backends_side, plain),
		in_world(on_their_way_out, plain),
		in_world(too_big, narrow),
		in_world(jumbo, wide),
		in_world(left_to_tc, without_redirects),
		in_world(to_this_host, on_this_host),
		in_world(out_of_tunnels, unpacking),
		in_world(severed, plain),
		in_world(left_to_tc_without_a_neighbour, without_neighbour),
		in_world(without_a_backend, without_backends),
		in_world(in_fragments, with_fragments),
		in_world(by_fullnat, by_fullnat),
		in_world(by_dsr, by_dsr),
		{ "test_packets_by_ipip", test_packets_by_tunnel, setup_by_ipip, NULL, NULL },
		{ "test_packets_by_ipip_crossed", test_packets_by_tunnel, setup_by_ipip_crossed, NULL, NULL },
		{ "test_packets_by_gue", test_packets_by_tunnel, setup_by_gue, NULL, NULL },
		{ "test_packets_by_gue_crossed", test_packets_by_tunnel, setup_by_gue_crossed, NULL, NULL },
		cmocka_unit_test(test_packets_were_enough),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, close_down);
}
