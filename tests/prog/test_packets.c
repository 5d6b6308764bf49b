/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The table of packets towards a service as most are: what is not ours, what
 * contradicts itself, what is not plain, and connections.  What depends on the
 * service, on its routes, or on what else is there, is in test_packets_modes.c.
 *
 * A tag that a device has laid beside the frame can't be told to a test run,
 * which refuses one in its context: test_frames.c sends such frames by a device.
 */
#include "packets.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>

static int setup_plain(void **state)
{
	static const struct world plain;

	return packets_setup(state, &plain);
}

#define plain_test(f) cmocka_unit_test_setup(f, setup_plain)

static void other_address(struct trial *t)
{
	t->spec.to.word[3] ^= htonl(3);
}

static void other_port(struct trial *t)
{
	t->spec.to_port++;
}

static void sctp(struct trial *t)
{
	t->spec.protocol = IPPROTO_SCTP;
}

static void esp(struct trial *t)
{
	t->spec.protocol = IPPROTO_ESP;
}

/* The tables' way to write IPv4: on the wire it is nobody's. */
static void mapped(struct packet *p)
{
	struct perch_address client = lab_client(false, 1), listener = lab_listener(false);

	memcpy(p->byte + ETH_HLEN + 8, &client, sizeof(client));
	memcpy(p->byte + ETH_HLEN + 24, &listener, sizeof(listener));
}

static void arp(struct packet *p)
{
	static const __u8 request[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 1, 0xfe, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 1, 0xfe, 10, 1, 0, 0xfe, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10,
	};

	p->length = sizeof(request);
	memcpy(p->byte, request, sizeof(request));
}

static void test_packets_not_ours(void **state)
{
	static const struct row rows[] = {
		{ "to another address", .flags = TCP_SYN, .say = other_address, .reason = PERCH_R_NOT_OURS },
		{ "to another address, UDP", .protocol = IPPROTO_UDP, .payload = 9, .say = other_address, .reason = PERCH_R_NOT_OURS },
		{ "to another address, tagged", .flags = TCP_SYN, .vlans = 2, .say = other_address, .reason = PERCH_R_NOT_OURS },
		{ "to another port", .flags = TCP_SYN, .say = other_port, .reason = PERCH_R_NO_LISTENER },
		{ "to another port, UDP", .protocol = IPPROTO_UDP, .payload = 9, .say = other_port, .reason = PERCH_R_NO_LISTENER },
		{ "SCTP", .payload = 40, .say = sctp, .reason = PERCH_R_PROTOCOL },
		{ "ESP", .payload = 40, .say = esp, .reason = PERCH_R_PROTOCOL },
		{ "mapped addresses", V6, .flags = TCP_SYN, .shape = mapped, .reason = PERCH_R_NOT_OURS },
		{ "ARP for the listener", V4, .shape = arp, .reason = PERCH_R_NOT_IP },
		{ "an unknown type", .poke = { { FRAME, 12, 0x88 }, { FRAME, 13, 0xb5 } }, .reason = PERCH_R_NOT_IP },
		{ "three tags", .flags = TCP_SYN, .vlans = 3, .reason = PERCH_R_NOT_IP },
		{ "echo request", V4, IPPROTO_ICMP, .payload = 64, .poke = { { TRANSPORT, 0, 8 } }, .reason = PERCH_R_PROTOCOL },
		{ "echo request", V6, IPPROTO_ICMPV6, .payload = 64, .poke = { { TRANSPORT, 0, 128 } }, .reason = PERCH_R_PROTOCOL },
		{ "neighbour solicitation", V6, IPPROTO_ICMPV6, .payload = 32, .poke = { { TRANSPORT, 0, 135 } },
		  .reason = PERCH_R_PROTOCOL },
		{ "a backend's own traffic", .reply = true, .flags = TCP_SYN, .reason = PERCH_R_NOT_OUR_REPLY },
		{ "a backend's own traffic, UDP", .protocol = IPPROTO_UDP, .reply = true, .payload = 9, .reason = PERCH_R_NOT_OUR_REPLY },
	};

	packets_try_all(*state, rows);
}

/* The kernel makes no skb of less than an IP header: such are XDP's alone. */
static void test_packets_cut_off(void **state)
{
	static const struct row rows[] = {
		{ "behind the Ethernet header", XDP, .keep = { FRAME, 14 }, .reason = PERCH_R_MALFORMED },
		{ "within a tag", XDP, .vlans = 1, .keep = { FRAME, 16 }, .reason = PERCH_R_NOT_IP },
		{ "behind a tag", XDP, .vlans = 1, .keep = { FRAME, 18 }, .reason = PERCH_R_MALFORMED },
		{ "within the second tag", XDP, .vlans = 2, .keep = { FRAME, 20 }, .reason = PERCH_R_NOT_IP },
		{ "within the IP header", XDP, .keep = { IP, 19 }, .reason = PERCH_R_MALFORMED },
		{ "within the IPv6 header", XDP | V6, .keep = { IP, 39 }, .reason = PERCH_R_MALFORMED },
		{ "behind the IP header", .keep = { TRANSPORT, 0 }, .reason = PERCH_R_MALFORMED },
		{ "behind the ports", .keep = { TRANSPORT, 4 }, .reason = PERCH_R_MALFORMED },
		{ "within the TCP header", .keep = { TRANSPORT, 19 }, .reason = PERCH_R_MALFORMED },
		{ "within the UDP header", .protocol = IPPROTO_UDP, .keep = { TRANSPORT, 7 }, .reason = PERCH_R_MALFORMED },
		{ "within the data", .payload = 100, .keep = { TRANSPORT, 100 }, .reason = PERCH_R_MALFORMED },
		{ "within the data, tagged", .payload = 100, .vlans = 2, .keep = { TRANSPORT, 100 }, .reason = PERCH_R_MALFORMED },
	};

	packets_try_all(*state, rows);
}

static void test_packets_lengths_that_contradict(void **state)
{
	static const struct row rows[] = {
		{ "data offset 4", .payload = 32, .poke = { { TRANSPORT, 12, 0x40 } }, .reason = PERCH_R_MALFORMED },
		{ "data offset beyond", .payload = 32, .poke = { { TRANSPORT, 12, 0xf0 } }, .reason = PERCH_R_MALFORMED },
		{ "UDP length 7", .protocol = IPPROTO_UDP, .payload = 32, .poke = { { TRANSPORT, 5, 7 } }, .reason = PERCH_R_MALFORMED },
		{ "UDP length beyond", .protocol = IPPROTO_UDP, .payload = 32, .poke = { { TRANSPORT, 5, 41 } },
		  .reason = PERCH_R_MALFORMED },
		{ "version 5", V4, .poke = { { IP, 0, 0x55 } }, .reason = PERCH_R_MALFORMED },
		{ "version 7", V6, .poke = { { IP, 0, 0x70 } }, .reason = PERCH_R_MALFORMED },
		{ "ihl 4", V4, .payload = 32, .poke = { { IP, 0, 0x44 } }, .reason = PERCH_R_MALFORMED },
		{ "ihl within the data", V4, .payload = 32, .poke = { { IP, 0, 0x4f } }, .reason = PERCH_R_MALFORMED },
		{ "tot_len within TCP", V4, .payload = 32, .poke = { { IP, 3, 39 } }, .reason = PERCH_R_MALFORMED },
		{ "tot_len within UDP", V4, IPPROTO_UDP, .payload = 32, .poke = { { IP, 3, 27 } }, .reason = PERCH_R_MALFORMED },
		{ "tot_len beyond", V4, .payload = 32, .poke = { { IP, 2, 2 } }, .reason = PERCH_R_MALFORMED },
		{ "payload_len within TCP", V6, .payload = 32, .poke = { { IP, 5, 19 } }, .reason = PERCH_R_MALFORMED },
		{ "payload_len within UDP", V6, IPPROTO_UDP, .payload = 32, .poke = { { IP, 5, 7 } }, .reason = PERCH_R_MALFORMED },
		{ "payload_len beyond, tagged", V6, .payload = 32, .vlans = 2, .poke = { { IP, 4, 2 } }, .reason = PERCH_R_MALFORMED },
	};

	packets_try_all(*state, rows);
}

static void land(struct trial *t)
{
	t->spec.from = t->spec.to;
	t->spec.from_port = t->spec.to_port;
}

static void last_hop(struct trial *t)
{
	t->spec.ttl = 1;
}

static void no_hop(struct trial *t)
{
	t->spec.ttl = 0;
}

static void two_hops(struct trial *t)
{
	t->spec.ttl = 2;
}

static void an_option(struct trial *t)
{
	t->spec.ip_options = t->mode.v6 ? 8 : 4;
}

static void many_options(struct trial *t)
{
	t->spec.ip_options = t->mode.v6 ? 64 : 40;
}

static void padding(struct packet *p)
{
	while (p->length < 600)
		p->byte[p->length++] = 0xa5;
}

static void test_packets_ip(void **state)
{
	static const struct row rows[] = {
		{ "land", .flags = TCP_SYN, .say = land, .reason = PERCH_R_LAND },
		{ "land, UDP", .protocol = IPPROTO_UDP, .payload = 9, .say = land, .reason = PERCH_R_LAND },
		{ "no hop left", .flags = TCP_SYN, .say = no_hop, .reason = PERCH_R_TTL },
		{ "its last hop", .flags = TCP_SYN, .say = last_hop, .reason = PERCH_R_TTL },
		{ "its last hop, tagged", .flags = TCP_SYN, .vlans = 1, .say = last_hop, .reason = PERCH_R_TTL },
		{ "its last hop, known", .flags = TCP_ACK, .state = after_connect, .say = last_hop, .reason = PERCH_R_TTL },
		{ "a reply's last hop", .reply = true, .flags = TCP_ACK, .state = after_connect, .say = last_hop, .reason = PERCH_R_TTL },
		{ "two hops left", .flags = TCP_SYN, .say = two_hops, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "a tag", .flags = TCP_SYN, .vlans = 1, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "two tags", .flags = TCP_SYN, .vlans = 2, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "two tags, UDP", .protocol = IPPROTO_UDP, .payload = 9, .vlans = 2, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "a reply with a tag", .reply = true, .flags = TCP_ACK, .payload = 100, .vlans = 1, .state = after_connect,
		  .build = turned, .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "an option", .flags = TCP_SYN, .say = an_option, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "many options, UDP", .protocol = IPPROTO_UDP, .payload = 9, .say = many_options, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "many options and tags", .flags = TCP_SYN, .vlans = 2, .say = many_options, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "a reply with options", .reply = true, .flags = TCP_ACK, .payload = 100, .state = after_connect,
		  .say = many_options, .build = turned, .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "padding", .flags = TCP_SYN, .shape = padding, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "padding, UDP", .protocol = IPPROTO_UDP, .payload = 9, .shape = padding, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "a first fragment", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 0, 1200 }, .reason = PERCH_R_FRAGMENT },
		{ "a later fragment", .protocol = IPPROTO_UDP, .payload = 3000, .piece = { 1200, 1200 }, .reason = PERCH_R_FRAGMENT },
		{ "a fragment of TCP", .payload = 3000, .piece = { 0, 1200 }, .reason = PERCH_R_FRAGMENT },
		{ "a reply's fragment", .protocol = IPPROTO_UDP, .reply = true, .payload = 3000, .piece = { 0, 1200 },
		  .state = after_request, .reason = PERCH_R_FRAGMENT },
	};

	packets_try_all(*state, rows);
}

static void hop_by_hop(struct packet *p)
{
	packet_extend(p, IPPROTO_HOPOPTS, 8, 0, 0);
}

static void longest(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 192, 0, 0);
}

static void too_long(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 200, 0, 0);
}

static void four(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 16, 0, 0);
	packet_extend(p, IPPROTO_ROUTING, 24, 4, 0);
	packet_extend(p, IPPROTO_DSTOPTS, 8, 0, 0);
	packet_extend(p, IPPROTO_HOPOPTS, 32, 0, 0);
}

static void five(struct packet *p)
{
	four(p);
	packet_extend(p, IPPROTO_DSTOPTS, 8, 0, 0);
}

static void routed(struct packet *p)
{
	packet_extend(p, IPPROTO_ROUTING, 24, 4, 0);
}

static void routed_on(struct packet *p)
{
	packet_extend(p, IPPROTO_ROUTING, 24, 4, 1);
}

static void routed_as_of_old(struct packet *p)
{
	packet_extend(p, IPPROTO_ROUTING, 24, 0, 0);
}

static void authenticated(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 24, 0, 0);
	p->byte[ETH_HLEN + 6] = IPPROTO_AH;
}

static void longer_than_all(struct packet *p)
{
	packet_extend(p, IPPROTO_HOPOPTS, 8, 0, 0);
	p->byte[ETH_HLEN + 41] = 20;
}

static void test_packets_extension_headers(void **state)
{
	static const struct row rows[] = {
		{ "hop by hop", V6, .flags = TCP_SYN, .shape = hop_by_hop, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "hop by hop, UDP", V6, IPPROTO_UDP, .payload = 9, .shape = hop_by_hop, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "the longest", V6, .flags = TCP_SYN, .shape = longest, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "four of them", V6, .flags = TCP_SYN, .vlans = 2, .shape = four, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "no more stops", V6, .flags = TCP_SYN, .shape = routed, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "a reply with four", V6, .reply = true, .flags = TCP_ACK, .payload = 9, .state = after_connect, .shape = four,
		  .build = turned, .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "too long", V6, .flags = TCP_SYN, .shape = too_long, .reason = PERCH_R_IP_OPTIONS },
		{ "five of them", V6, .flags = TCP_SYN, .shape = five, .reason = PERCH_R_IP_OPTIONS },
		{ "more stops", V6, .flags = TCP_SYN, .shape = routed_on, .reason = PERCH_R_IP_OPTIONS },
		{ "of type 0", V6, .flags = TCP_SYN, .shape = routed_as_of_old, .reason = PERCH_R_IP_OPTIONS },
		{ "authentication", V6, .flags = TCP_SYN, .shape = authenticated, .reason = PERCH_R_PROTOCOL },
		{ "longer than all", V6, .flags = TCP_SYN, .shape = longer_than_all, .reason = PERCH_R_MALFORMED },
	};

	packets_try_all(*state, rows);
}

static void tcp_options(struct trial *t)
{
	t->spec.tcp_options = 40;
}

/* As a SYN, which took one number. */
static void again(struct trial *t)
{
	t->spec.seq--;
}

static void test_packets_tcp(void **state)
{
	static const struct row rows[] = {
		{ "SYN", .flags = TCP_SYN, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "SYN with options", .flags = TCP_SYN, .say = tcp_options, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "SYN with data", .flags = TCP_SYN, .payload = 100, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "SYN of another connection", .flags = TCP_SYN, .state = after_syn, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "SYN again", .flags = TCP_SYN, .state = after_syn, .say = again, .build = turned, .said = FORWARDS, .reason = PERCH_R_FORWARDED },
		{ "SYN-ACK", .reply = true, .flags = TCP_SYN | TCP_ACK, .state = after_syn, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_REPLY },
		{ "refusal", .reply = true, .flags = TCP_RST | TCP_ACK, .state = after_syn, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_REPLY },
		{ "ACK of the SYN-ACK", .flags = TCP_ACK, .state = after_syn_ack, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_FORWARDED },
		{ "request", .flags = TCP_ACK | TCP_PSH, .payload = 333, .state = after_connect, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_FORWARDED },
		{ "response of odd length", .reply = true, .flags = TCP_ACK | TCP_PSH, .payload = 1001, .state = after_connect,
		  .build = turned, .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "FIN", .flags = TCP_FIN | TCP_ACK, .state = after_connect, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_FORWARDED },
		{ "FIN of the backend", .reply = true, .flags = TCP_FIN | TCP_ACK, .state = after_connect, .build = turned,
		  .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "last ACK", .flags = TCP_ACK, .state = after_close, .build = turned, .said = FORWARDS, .reason = PERCH_R_FORWARDED },
		{ "RST", .flags = TCP_RST, .state = after_connect, .build = turned, .said = FORWARDS, .reason = PERCH_R_FORWARDED },
		{ "RST of the backend", .reply = true, .flags = TCP_RST | TCP_ACK, .state = after_connect, .build = turned,
		  .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "in midstream", .flags = TCP_ACK, .payload = 100, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW,
		  .note = PERCH_R_AMBIGUOUS },
		{ "RST of nothing", .flags = TCP_RST, .build = turned, .said = FORWARDS, .reason = PERCH_R_UNLEARNED,
		  .note = PERCH_R_AMBIGUOUS },
		{ "reply to nobody", .reply = true, .flags = TCP_SYN | TCP_ACK, .reason = PERCH_R_NOT_OUR_REPLY },
		{ "checksum left to the device", XDP, .flags = TCP_SYN, .shape = packet_leave_sum, .reason = PERCH_R_NO_CHECKSUM },
	};

	packets_try_all(*state, rows);
}

/* Data with which the sum is 0 once it is turned, and so written as 0xffff. */
static void zero_sum(struct trial *t)
{
	static struct packet p;
	struct packet_layout l;

	for (t->spec.payload = 4;; t->spec.seed++) {
		struct packet_spec want = t->spec;

		want.to = lab_backend(t->mode.v6, PACKETS_HOST);
		want.to_port = LAB_BACKEND_PORT;
		packet_build(&p, &want);
		assert_null(packet_lay_out(&p, &l));
		if (p.byte[l.sum] == 0xff && p.byte[l.sum + 1] == 0xff)
			return;
	}
}

static void test_packets_udp(void **state)
{
	static const struct row rows[] = {
		{ "datagram", .protocol = IPPROTO_UDP, .payload = 31, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "empty", .protocol = IPPROTO_UDP, .build = turned, .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "the second", .protocol = IPPROTO_UDP, .payload = 1400, .state = after_request, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_FORWARDED },
		{ "after a reply", .protocol = IPPROTO_UDP, .payload = 30, .state = after_reply, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_FORWARDED },
		{ "reply", .protocol = IPPROTO_UDP, .reply = true, .payload = 32, .state = after_request, .build = turned,
		  .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "without a checksum", .protocol = IPPROTO_UDP, .payload = 64, .unsummed = true, .exact = true, .build = turned,
		  .said = FORWARDS, .reason = PERCH_R_NEW },
		{ "reply without a checksum", .protocol = IPPROTO_UDP, .reply = true, .payload = 64, .state = after_request,
		  .unsummed = true, .exact = true, .build = turned, .said = FORWARDS, .reason = PERCH_R_REPLY },
		{ "a checksum of 0", .protocol = IPPROTO_UDP, .say = zero_sum, .exact = true, .build = turned, .said = FORWARDS,
		  .reason = PERCH_R_NEW },
		{ "reply to nobody", .protocol = IPPROTO_UDP, .reply = true, .payload = 9, .reason = PERCH_R_NOT_OUR_REPLY },
		{ "checksum left to the device", XDP, IPPROTO_UDP, .payload = 9, .shape = packet_leave_sum,
		  .reason = PERCH_R_NO_CHECKSUM },
	};

	packets_try_all(*state, rows);
}

static int close_down(void **state)
{
	return packets_setup(state, NULL);
}

static void test_packets_are_at_least_120(void **state)
{
	unsigned rows, n = packets_tried(&rows);

	(void)state;
	print_message("%u packets of %u rows\n", n, rows);
	assert_in_range(n, 120, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		plain_test(test_packets_not_ours),
		plain_test(test_packets_cut_off),
		plain_test(test_packets_lengths_that_contradict),
		plain_test(test_packets_ip),
		plain_test(test_packets_extension_headers),
		plain_test(test_packets_tcp),
		plain_test(test_packets_udp),
		cmocka_unit_test(test_packets_are_at_least_120),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, close_down);
}
