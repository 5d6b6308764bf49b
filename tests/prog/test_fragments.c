/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Fragments: all of a datagram go to one backend, in any order, and the
 * backend's to its client. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>

#define PIECES 3
#define PIECE 1200		/* bytes of a fragment */
#define BYTES 3000		/* of a datagram */

static int setup(void **state)
{
	struct lab *lab;

	prog_setup(state);
	lab = *state;
	lab->web[0].placed.fragments = lab->web[1].placed.fragments = true;
	assert_int_equal(lab_apply(lab), 0);
	return 0;
}

#define fragments_test(f) cmocka_unit_test_setup_teardown(f, setup, prog_teardown)

static const unsigned orders[6][PIECES] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

/* Fragment i of what s says. */
static void build_piece(const struct packet_spec *s, unsigned i, struct packet *ret)
{
	static struct packet whole;

	packet_build(&whole, s);
	packet_fragment(&whole, i * PIECE, PIECE, ret);
}

static void run(struct talk *t, const struct packet *in, __u32 ifindex, struct packet *out, int verdict)
{
	struct lab_run how = { .hook = t->hook, .ifindex = ifindex, .complete = t->complete };
	int got = lab_run(t->lab, &how, in, out);

	if (got == verdict)
		return;
	fprintf(stderr, "%s returned %d for\n", t->hook == LAB_XDP ? "xdp" : "tc", got);
	packet_print(in, NULL, stderr);
	fail();
}

static struct perch_address destination_of(const struct packet *p, bool v6)
{
	struct perch_address a = { { 0, 0, htonl(0xffff) } };

	memcpy(v6 ? &a.word[0] : &a.word[3], p->byte + (v6 ? 38 : 30), v6 ? 16 : 4);
	return a;
}

/* A fragmented datagram of the client must arrive at one backend, which t
 * learns from the first that comes out if it does not know it. */
static void send_pieces(struct talk *t, const unsigned order[PIECES])
{
	bool v6 = lab_is_v6(&t->client.from);
	static struct packet in, out, want;
	struct packet_spec s;

	t->client.payload = BYTES;
	for (unsigned i = 0; i < PIECES; i++) {
		build_piece(&t->client, order[i], &in);
		run(t, &in, t->lab->client.ifindex, &out, lab_forward(t->hook));
		s = t->client;
		s.to = destination_of(&out, v6);
		if (!t->known) {
			t->known = true;
			t->host = ntohl(s.to.word[3]) & 0xff;
			t->backend = t->client;
			t->backend.from = s.to;
			t->backend.from_port = LAB_BACKEND_PORT;
			t->backend.to = t->client.from;
			t->backend.to_port = t->client.from_port;
			lab_backend_mac(t->host, t->backend.from_mac);
			memcpy(t->backend.to_mac, t->lab->backend.mac, 6);
		}
		assert_memory_equal(&s.to, &t->backend.from, sizeof(s.to));
		s.to_port = LAB_BACKEND_PORT;
		s.ttl--;
		memcpy(s.from_mac, t->lab->backend.mac, 6);
		memcpy(s.to_mac, t->backend.from_mac, 6);
		build_piece(&s, order[i], &want);
		assert_true(packet_same(&out, &want, stderr));
	}
	t->client.seed++;
	t->client.seq += BYTES;
	t->backend.ack = t->client.seq;
}

static void send_pieces_back(struct talk *t, const unsigned order[PIECES])
{
	static struct packet in, out, want;
	struct packet_spec s;

	t->backend.payload = BYTES;
	for (unsigned i = 0; i < PIECES; i++) {
		build_piece(&t->backend, order[i], &in);
		run(t, &in, t->lab->backend.ifindex, &out, lab_forward(t->hook));
		s = t->backend;
		s.from = t->client.to;
		s.from_port = t->client.to_port;
		s.ttl--;
		memcpy(s.from_mac, t->lab->client.mac, 6);
		memcpy(s.to_mac, lab_gateway_mac(), 6);
		build_piece(&s, order[i], &want);
		assert_true(packet_same(&out, &want, stderr));
	}
	t->backend.seed++;
	t->backend.seq += BYTES;
	t->client.ack = t->backend.seq;
}

/* Of clients that were never here before, so that the first to come chooses. */
static void test_fragments_arrive_together_in_every_order(void **state)
{
	static struct talk t;
	unsigned hosts = 0;
	__u32 n = 0;

	for_each_mode(m) {
		for (unsigned i = 0; i < 6; i++) {
			for (unsigned again = 0; again < 4; again++) {
				mode_talk(&t, *state, m, IPPROTO_UDP, n++);
				send_pieces(&t, orders[i]);
				hosts |= 1u << t.host;
				send_pieces_back(&t, orders[5 - i]);
				send_pieces(&t, orders[again]);
			}
		}
	}
	assert_int_equal(hosts, 1 << 2 | 1 << 3);	/* both of stable's: it was a choice */
	assert_int_equal(lab_reasons(*state, PERCH_R_FRAGMENT), 0);
}

/* The request was whole: DNS is like that. */
static void test_fragments_of_a_reply_find_the_client(void **state)
{
	static struct talk t;
	__u32 n = 100;

	for_each_mode(m) {
		for (unsigned i = 0; i < 6; i++) {
			mode_talk(&t, *state, m, IPPROTO_UDP, n++);
			assert_int_equal(talk_client(&t, 0, 50), TALK_FORWARDED);
			send_pieces_back(&t, orders[i]);
			/* its entry expires, the connection does not: the first leaves another */
			assert_int_equal(talk_client(&t, 0, 50), TALK_FORWARDED);
			assert_int_equal(talk_class(&t), PERCH_UDP);
			lab_age(*state, 100);
			assert_int_equal(talk_client(&t, 0, 50), TALK_FORWARDED);
			lab_age(*state, 25);
			send_pieces_back(&t, orders[i % 2]);
		}
	}
}

static void test_fragments_of_tcp_stay_with_their_connection(void **state)
{
	static struct talk t;
	__u32 n = 200;

	for_each_mode(m) {
		for (unsigned i = 0; i < 6; i++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, n++);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			t.client.flags = t.backend.flags = TCP_ACK;
			send_pieces(&t, orders[i]);
			send_pieces_back(&t, orders[i]);
			assert_int_equal(talk_class(&t), PERCH_TCP);
		}
	}
}

static void test_fragments_keep_a_complete_checksum_complete(void **state)
{
	struct lab_run how = { .hook = LAB_TC, .complete = true };
	static struct packet in, out;
	static struct talk t;

	for_each_mode(m) {
		if (m.hook != LAB_TC)
			continue;
		mode_talk(&t, *state, m, IPPROTO_UDP, 300);
		t.client.payload = 100;
		packet_build(&in, &t.client);
		how.ifindex = t.lab->client.ifindex;
		if (lab_run(t.lab, &how, &in, &out) == -EINVAL)
			skip();		/* Linux before 6.17 can't test it */
		t.complete = true;
		send_pieces(&t, orders[0]);
		send_pieces_back(&t, orders[0]);
	}
}

/* The choice has moved on, the connection has not; neither have its fragments. */
static void test_fragments_go_with_their_connection_after_a_step(void **state)
{
	static struct talk old, new;
	__u32 n = 400;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 0), 0);
		mode_talk(&old, *state, m, IPPROTO_UDP, n++);
		assert_int_equal(talk_client(&old, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_slot(&old), 0);
		assert_int_equal(lab_step(*state, PERCH_SHARE_ALL), 0);
		for (unsigned i = 0; i < 6; i++)
			send_pieces(&old, orders[i]);
		new = old;
		new.known = false;
		new.client.from_port++;
		for (unsigned i = 0; i < 2; i++) {
			send_pieces(&new, orders[i]);
			assert_int_equal(talk_slot(&new), 1);
			send_pieces(&old, orders[i]);
			assert_int_equal(talk_slot(&old), 0);
			send_pieces_back(&old, orders[i]);
			send_pieces_back(&new, orders[i]);
		}
	}
	/* the entries that gave way to others were nobody's connections */
	assert_int_equal(lab_active(*state), 2 * MODES);
}

/* Two addresses of the service, one client, one backend: an entry for each. */
static void test_fragments_of_two_addresses_have_an_entry_each(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		lab->web[v6].listen[0] = lab->web[v6].listen[1];
		lab->web[v6].listen[0].address.word[3] ^= htonl(3);
		lab->web[v6].placed.affinity = PERCH_AFFINITY_CLIENT;
	}
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		size_t before = lab_age(lab, 0);

		mode_talk(&t, lab, m, IPPROTO_UDP, 450);
		send_pieces(&t, orders[0]);
		t.client.from_port++;
		t.client.to = lab->web[m.v6].listen[0].address;
		send_pieces(&t, orders[5]);
		assert_int_equal(lab_age(lab, 0), before + 4);
	}
}

/* All of a client's go to one backend, whatever its ports; of another client
 * perhaps to another. */
static void test_fragments_make_the_choice_one_of_addresses(void **state)
{
	static struct talk t;
	unsigned hosts = 0;

	for_each_mode(m) {
		for (__u32 n = 500; n < 520; n++) {
			unsigned host = 0;

			for (unsigned port = 0; port < 8; port++) {
				mode_talk(&t, *state, m, port & 1 ? IPPROTO_UDP : IPPROTO_TCP, n);
				t.client.from_port = 1024 + port;
				assert_int_equal(talk_client(&t, port & 1 ? 0 : TCP_SYN, 0), TALK_FORWARDED);
				if (host)
					assert_int_equal(t.host, host);
				host = t.host;
			}
			hosts |= 1u << host;
		}
	}
	assert_int_equal(hosts, 1 << 2 | 1 << 3);
}

/* What leads them is nobody's connection, and a lone one leaves nothing. */
static void test_fragments_are_no_connections(void **state)
{
	static struct packet in, out;
	static struct talk t;

	for_each_mode(m) {
		size_t before = flows_count(&((struct lab *)*state)->datapath.maps, NULL);
		__u64 active = lab_active(*state);

		mode_talk(&t, *state, m, IPPROTO_UDP, 600);
		t.client.payload = BYTES;
		build_piece(&t.client, 1, &in);
		run(&t, &in, t.lab->client.ifindex, &out, lab_forward(m.hook));
		assert_int_equal(lab_age(*state, 0), 2 * before);
		send_pieces(&t, orders[0]);
		assert_int_equal(flows_count(&t.lab->datapath.maps, NULL), before + 1);
		assert_int_equal(lab_age(*state, 0), 2 * before + 2);
		assert_int_equal(lab_active(*state), active + 1);
	}
}

static void test_fragments_leave_a_version_that_was_severed(void **state)
{
	static struct talk t;
	__u32 n = 700;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, PERCH_SHARE_ALL), 0);
		mode_talk(&t, *state, m, IPPROTO_UDP, n++);
		send_pieces(&t, orders[0]);
		assert_int_equal(talk_slot(&t), 1);
		/* anew to the same one, whose replies are no longer severed */
		lab_sever(*state, m.v6, 1);
		send_pieces(&t, orders[0]);
		send_pieces_back(&t, orders[0]);
		assert_int_equal(lab_step(*state, 0), 0);
		lab_sever(*state, m.v6, 1);
		t.known = false;
		send_pieces(&t, orders[5]);
		assert_int_equal(talk_slot(&t), 0);
		send_pieces(&t, orders[3]);
	}
}

/* To a backend on this host and back: only addresses and ports change, and what
 * comes back turns where it leaves. */
static void pieces_go_up(struct talk *t, const unsigned order[PIECES])
{
	struct lab_run out_how = { .hook = LAB_TC, .egress = true, .ifindex = t->lab->client.ifindex };
	static struct packet in, out, want;
	struct packet_spec to, from = t->client;

	t->client.payload = BYTES;
	to = t->client;
	for (unsigned i = 0; i < PIECES; i++) {
		build_piece(&t->client, order[i], &in);
		run(t, &in, t->lab->client.ifindex, &out, lab_pass(t->hook));
		to.to = destination_of(&out, lab_is_v6(&to.from));
		to.to_port = LAB_BACKEND_PORT;
		build_piece(&to, order[i], &want);
		assert_true(packet_same(&out, &want, stderr));
	}
	/* if they come in by a device first they are not turned there */
	from.payload = BYTES;
	from.from = to.to;
	from.to = t->client.from;
	build_piece(&from, 1, &in);
	run(t, &in, t->lab->backend.ifindex, &out, lab_pass(t->hook));
	assert_true(packet_same(&out, &in, stderr));
	from.from = t->client.to;
	from.from_port = t->client.to_port;
	from.to = t->client.from;
	from.to_port = t->client.from_port;
	for (unsigned i = 0; i < PIECES; i++) {
		struct packet_spec s = from;

		s.from = to.to;
		s.from_port = LAB_BACKEND_PORT;
		build_piece(&s, order[i], &in);
		assert_int_equal(lab_run(t->lab, &out_how, &in, &out), lab_pass(LAB_TC));
		build_piece(&from, order[i], &want);
		assert_true(packet_same(&out, &want, stderr));
	}
}

static void test_fragments_reach_a_backend_on_this_host(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	__u32 n = 750;

	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
		lab->datapath.maps.backends[id].local = 1;
	for_each_mode(m) {
		for (unsigned i = 0; i < 6; i++) {
			mode_talk(&t, lab, m, IPPROTO_UDP, n++);
			pieces_go_up(&t, orders[i]);
			pieces_go_up(&t, orders[5 - i]);
		}
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_TURNED_LATER), 2 * 6 * MODES);
}

static void assert_pieces_pass(struct talk *t)
{
	static struct packet in, out;

	t->client.payload = BYTES;
	for (unsigned i = 0; i < PIECES; i++) {
		build_piece(&t->client, i, &in);
		run(t, &in, t->lab->client.ifindex, &out, lab_pass(t->hook));
		assert_true(packet_same(&out, &in, stderr));
	}
}

static void test_fragments_pass_once_the_service_takes_none(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	__u64 before;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_UDP, 800);
		send_pieces(&t, orders[0]);
		lab->web[m.v6].placed.fragments = false;
		assert_int_equal(lab_apply(lab), 0);
		before = lab_reason(lab, mode_hook(m), PERCH_R_FRAGMENT);
		assert_pieces_pass(&t);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_FRAGMENT), before + PIECES);
		lab->web[m.v6].placed.fragments = true;
		assert_int_equal(lab_apply(lab), 0);
		send_pieces(&t, orders[5]);
	}
}

/* A new agent finds the entries and lets them be. */
static void test_fragments_outlive_the_agent(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		tables_close(lab->tables);
		assert_int_equal(tables_open(&lab->tables, &lab->datapath), 0);
		mode_talk(&t, lab, m, IPPROTO_UDP, 900);
		send_pieces(&t, orders[5]);
	}
}

/* Two services can't tell whose they are. */
static void test_fragments_of_one_address_are_one_services(void **state)
{
	struct lab *lab = *state;
	struct lab_service other = lab->web[0];
	struct perch_endpoint listen = other.listen[1];
	struct perch_plan plan, twin;
	char why[WHY] = "";

	listen.port = htons(LAB_UDP_PORT + 1);
	other.placed.id = 7;
	other.placed.listen = &listen;
	other.placed.n_listen = 1;
	for (size_t i = 0; i < other.placed.n_versions; i++)
		other.placed.version[i].n_doors = 0;
	lab_plan(&other, &plan, &twin);
	assert_int_equal(tables_apply(lab->tables, &other.placed, &plan, &twin, why), -EADDRINUSE);
	assert_non_null(strstr(why, "another service takes the fragments"));
	other.placed.fragments = false;
	assert_int_equal(tables_apply(lab->tables, &other.placed, &plan, &twin, why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fragments_test(test_fragments_arrive_together_in_every_order),
		fragments_test(test_fragments_of_a_reply_find_the_client),
		fragments_test(test_fragments_of_tcp_stay_with_their_connection),
		fragments_test(test_fragments_keep_a_complete_checksum_complete),
		fragments_test(test_fragments_go_with_their_connection_after_a_step),
		fragments_test(test_fragments_of_two_addresses_have_an_entry_each),
		fragments_test(test_fragments_make_the_choice_one_of_addresses),
		fragments_test(test_fragments_are_no_connections),
		fragments_test(test_fragments_leave_a_version_that_was_severed),
		fragments_test(test_fragments_reach_a_backend_on_this_host),
		fragments_test(test_fragments_pass_once_the_service_takes_none),
		fragments_test(test_fragments_outlive_the_agent),
		fragments_test(test_fragments_of_one_address_are_one_services),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
