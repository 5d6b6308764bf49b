/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about a service's connections, byte by byte: from the client's
 * side, from the backend's side, from this host, with a flow and without. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "icmp_case.h"

/* With and without the checksums of UDP (6, 8 bytes) and of TCP (16, 18). */
static const __u16 cuts[] = { 8, 13, 16, 18, 20, 0 };

static void run_all(struct case_icmp *c)
{
	for (unsigned e = 0; e < 6; e++) {
		icmp_error_type(c, e);
		for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			icmp_cut(c, cuts[i], 0);
			icmp_run(c);
		}
	}
	/* RFC 4884: what is shorter is filled up */
	icmp_cut(c, 8, 100);
	icmp_run(c);
	icmp_cut(c, 0, 0);
	c->in.quoted.ip_options = c->out.quoted.ip_options = c->mode.v6 ? 0 : 12;
	icmp_run(c);
	c->in.quoted.fragment = c->out.quoted.fragment = c->mode.v6 ? 0 : 0x2000;	/* the first of several */
	icmp_run(c);
}

static void test_icmp_from_the_clients_side_gets_to_the_backend(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		for (unsigned udp = 0; udp < 2; udp++) {
			icmp_start(&t, *state, m, udp, 10 + udp);
			icmp_from_client_side(&c, &t, m, &from);
			run_all(&c);
			icmp_from_client_side(&c, &t, m, &t.client.from);
			run_all(&c);
		}
	}
}

static void test_icmp_from_the_backends_side_gets_to_the_client(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		for (unsigned udp = 0; udp < 2; udp++) {
			icmp_start(&t, *state, m, udp, 20 + udp);
			icmp_from_backend_side(&c, &t, m, &from);
			run_all(&c);
			icmp_from_backend_side(&c, &t, m, &t.backend.from);
			run_all(&c);
		}
	}
}

/* Tags come off, as from any packet that is sent off; options stay. */
static void test_icmp_takes_tags_and_options_along(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = icmp_router(m.v6);

		icmp_start(&t, *state, m, false, 25);
		for (unsigned i = 0; i < 8; i++) {
			struct case_icmp c;

			if (i & 1)
				icmp_from_backend_side(&c, &t, m, &from);
			else
				icmp_from_client_side(&c, &t, m, &from);
			c.in.outer.vlans = i / 2 % 3;
			c.in.outer.ip_options = c.out.outer.ip_options = m.v6 || i < 4 ? 0 : 40;
			icmp_error_type(&c, 3);
			icmp_run(&c);
			icmp_cut(&c, 8, 0);
			icmp_run(&c);
		}
	}
}

/* UDP without a checksum stays without. */
static void test_icmp_leaves_a_missing_checksum_alone(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct case_icmp c;

		icmp_start(&t, *state, m, true, 30);
		icmp_from_backend_side(&c, &t, m, &t.backend.from);
		c.in.quoted.unsummed = c.out.quoted.unsummed = true;
		icmp_type(&c, m.v6 ? 1 : 3, m.v6 ? 4 : 3, 0);
		icmp_run(&c);
		icmp_from_client_side(&c, &t, m, &t.client.from);
		c.in.quoted.unsummed = c.out.quoted.unsummed = true;
		icmp_type(&c, m.v6 ? 1 : 3, m.v6 ? 4 : 3, 0);
		icmp_run(&c);
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
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		mode_talk(&first, lab, m, IPPROTO_TCP, 40);
		mode_talk(&second, lab, m, IPPROTO_TCP, 40);
		first.client.to_port = 1000;
		second.client.to_port = 1001;
		second.translates = true;
		assert_int_equal(talk_connect(&first), TALK_FORWARDED);
		assert_int_equal(talk_connect(&second), TALK_FORWARDED);
		assert_int_not_equal(second.backend.to_port, first.backend.to_port);
		icmp_from_client_side(&c, &second, m, &from);
		run_all(&c);
		icmp_from_backend_side(&c, &second, m, &from);
		run_all(&c);
		icmp_from_backend_side(&c, &second, m, &second.backend.from);
		run_all(&c);
		icmp_from_backend_side(&c, &first, m, &first.backend.from);
		run_all(&c);
	}
}

/* The same backend that the connection's next packet gets; nothing stays. */
static void test_icmp_without_a_flow_goes_by_the_hash(void **state)
{
	struct lab *lab = *state;
	static struct talk t, asked;

	for (unsigned n = 0; n < 8; n++) {
		for_each_mode(m) {
			struct perch_address from = icmp_router(m.v6);
			size_t entries = flows_count(&lab->datapath.maps, NULL);
			struct case_icmp c;
			static struct packet in, out, want;

			mode_talk(&t, lab, m, IPPROTO_TCP, 50 + n);
			asked = t;
			assert_int_equal(talk_client(&asked, TCP_ACK, 10), TALK_FORWARDED);
			icmp_from_client_side(&c, &asked, m, &from);
			icmp_error_type(&c, 3);
			icmp_cut(&c, 8, 0);
			icmp_build(&want, &c.out);
			/* the entry is gone again */
			lab_age(lab, 100);
			icmp_build(&in, &c.in);
			assert_int_equal(lab_run(lab, &c.how, &in, &out), lab_forward(m.hook));
			assert_true(packet_same(&out, &want, stderr));
			assert_int_equal(flows_count(&lab->datapath.maps, NULL), entries + 1);
			assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
			/* nobody knows whose this is */
			icmp_from_backend_side(&c, &asked, m, &from);
			icmp_error_type(&c, 3);
			icmp_passes_built(&c, PERCH_R_NOT_OUR_REPLY);
		}
	}
}

static void test_icmp_enters_nothing(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_address from = icmp_router(m.v6);
		static struct packet in, out;
		struct case_icmp c;

		mode_talk(&t, lab, m, IPPROTO_UDP, 60);
		t.backend = t.client;
		t.backend.to = t.client.from;
		t.host = 2;
		icmp_from_client_side(&c, &t, m, &from);
		icmp_error_type(&c, 0);
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
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		for (unsigned own = 0; own < 2; own++) {
			icmp_start(&t, *state, m, own, 70 + own);
			icmp_from_backend_side(&c, &t, m, own ? &t.backend.from : &from);
			c.out.outer.ttl = c.in.outer.ttl;
			memcpy(c.out.outer.from_mac, c.in.outer.from_mac, 6);
			memcpy(c.out.outer.to_mac, c.in.outer.to_mac, 6);
			c.how = (struct lab_run){ .hook = LAB_TC, .egress = true, .ifindex = t.lab->client.ifindex };
			for (unsigned e = 0; e < 6; e++) {
				icmp_error_type(&c, e);
				c.how.complete = false;
				icmp_run_with(&c, TC_ACT_OK);
				c.how.complete = true;
				icmp_run_with(&c, TC_ACT_OK);
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
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		icmp_start(&t, lab, m, false, 80);
		icmp_from_client_side(&c, &t, m, &from);
		c.out.outer.ttl = c.in.outer.ttl;
		memcpy(c.out.outer.from_mac, c.in.outer.from_mac, 6);
		memcpy(c.out.outer.to_mac, c.in.outer.to_mac, 6);
		icmp_error_type(&c, 3);
		for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
			lab->datapath.maps.backends[id].local = 1;
		icmp_run_with(&c, lab_pass(m.hook));
		for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
			lab->datapath.maps.backends[id].local = 0;
	}
}

/* dsr: the backend sent what is quoted, and gets it as it came. */
static void test_icmp_goes_unturned_where_nothing_is_turned(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	lab_forwards(lab, PERCH_DSR);
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		struct perch_address from = icmp_router(m.v6);
		struct case_icmp c;

		mode_talk(&t, lab, m, IPPROTO_TCP, 95);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		icmp_from_client_side(&c, &t, m, &from);
		c.out.quoted = c.in.quoted;
		c.out.outer.to = c.in.outer.to;
		run_all(&c);
	}
}

static struct lab *lab_of_fullnat(void **state)
{
	struct lab *lab = *state;

	lab_fullnat(lab, 2, 61000, 65000);
	assert_int_equal(lab_apply(lab), 0);
	return lab;
}

/* fullnat: both ends are turned back, and a backend hears of everything from
 * the one address that it knows. */
static void test_icmp_turns_both_ends_of_fullnat(void **state)
{
	struct lab *lab = lab_of_fullnat(state);
	static struct talk t;

	for_each_mode(m) {
		struct perch_address router = icmp_router(m.v6);
		struct case_icmp c;

		for (unsigned udp = 0; udp < 2; udp++) {
			icmp_start(&t, lab, m, udp, 100 + udp);
			icmp_from_client_side(&c, &t, m, &router);
			run_all(&c);
			icmp_from_client_side(&c, &t, m, &t.client.from);
			run_all(&c);
			icmp_from_backend_side(&c, &t, m, &router);
			run_all(&c);
			icmp_from_backend_side(&c, &t, m, &t.backend.from);
			run_all(&c);
		}
	}
}

/* Which source its backend knows the client by, its flow alone could say. */
static void test_icmp_of_a_fullnat_flow_that_nobody_knows_passes(void **state)
{
	struct lab *lab = lab_of_fullnat(state);
	static struct talk t;

	for_each_mode(m) {
		struct perch_address router = icmp_router(m.v6);
		struct case_icmp c;

		icmp_start(&t, lab, m, false, 110);
		icmp_from_client_side(&c, &t, m, &router);
		icmp_error_type(&c, ICMP_TOO_BIG);
		c.in.quoted.to_port++;
		icmp_passes_built(&c, PERCH_R_PROTOCOL);
		icmp_from_backend_side(&c, &t, m, &router);
		icmp_error_type(&c, ICMP_TOO_BIG);
		c.in.quoted.from_port++;
		icmp_passes_built(&c, PERCH_R_NOT_OUR_REPLY);
	}
}

/* Inside a tunnel's header it is what it was, but for the hop count. */
static void assert_wrapped(struct case_icmp *c, unsigned overhead)
{
	static struct packet in, out, want, inside;

	c->out.quoted = c->in.quoted;
	c->out.outer.to = c->in.outer.to;
	icmp_build(&in, &c->in);
	icmp_build(&want, &c->out);
	assert_int_equal(lab_run(c->t->lab, &c->how, &in, &out), lab_forward(c->mode.hook));
	assert_int_equal(out.length, in.length + overhead);
	inside = want;
	memcpy(inside.byte + ETH_HLEN, out.byte + ETH_HLEN + overhead, in.length - ETH_HLEN);
	assert_true(packet_same(&inside, &want, stderr));
	assert_memory_equal(out.byte, want.byte, ETH_HLEN);
}

static void test_icmp_is_wrapped_as_its_connection_is(void **state)
{
	static const enum perch_forward tunnels[] = { PERCH_IPIP, PERCH_GUE };
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned i = 0; i < 2; i++) {
		lab_close(lab);
		assert_int_equal(lab_open(lab, NULL), 0);
		lab_web(lab);
		lab_forwards(lab, tunnels[i]);
		assert_int_equal(lab_apply(lab), 0);
		for_each_mode(m) {
			struct perch_address from = icmp_router(m.v6);
			struct case_icmp c;

			mode_talk(&t, lab, m, IPPROTO_UDP, 96);
			assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
			icmp_from_client_side(&c, &t, m, &from);
			icmp_error_type(&c, ICMP_TOO_BIG);
			assert_wrapped(&c, (m.v6 ? 40 : 20) + (i ? 8 : 0));
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
		prog_test_bare(test_icmp_goes_unturned_where_nothing_is_turned),
		prog_test_bare(test_icmp_turns_both_ends_of_fullnat),
		prog_test_bare(test_icmp_of_a_fullnat_flow_that_nobody_knows_passes),
		prog_test_bare(test_icmp_is_wrapped_as_its_connection_is),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
