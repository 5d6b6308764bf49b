/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Packets that are ours and yet not plain: tags, options, extension headers,
 * padding, more than one buffer, lengths that contradict each other. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

/* Both ways of a conversation, every byte: a handshake and data, or datagrams. */
static void converse(struct talk *t)
{
	bool tcp = t->client.protocol == IPPROTO_TCP;

	assert_int_equal(talk_client(t, tcp ? TCP_SYN : 0, tcp ? 0 : 31), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, tcp ? TCP_SYN | TCP_ACK : 0, tcp ? 0 : 32), TALK_FORWARDED);
	assert_int_equal(talk_client(t, tcp ? TCP_ACK : 0, 0), TALK_FORWARDED);
	assert_int_equal(talk_client(t, tcp ? TCP_ACK : 0, 333), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, tcp ? TCP_ACK : 0, 1001), TALK_FORWARDED);
}

/* The same with a complete checksum, at TC and where the kernel can test it:
 * not with tags, which it takes out of the sum as on ingress alone. */
static void converse_complete(struct talk *t)
{
	int result;

	if (t->hook != LAB_TC || t->client.vlans)
		return;
	t->complete = true;
	result = talk_client(t, t->client.protocol == IPPROTO_TCP ? TCP_ACK : 0, 77);
	if (result == -EINVAL)
		return;		/* Linux before 6.17 */
	assert_int_equal(result, TALK_FORWARDED);
	assert_int_equal(talk_backend(t, t->client.protocol == IPPROTO_TCP ? TCP_ACK : 0, 78), TALK_FORWARDED);
}

#define for_each_talk(t, m, n)                                                 \
	for (unsigned n = 0; n < 2; n++)                                       \
		for_each_mode(m)                                               \
			for (bool _once = (mode_talk(&(t), *state, m, protocols[n], n + 1), true); _once; _once = false)

static void test_edges_tags_are_looked_through_and_taken_off(void **state)
{
	static struct talk t;

	for (__u8 vlans = 1; vlans <= 2; vlans++) {
		for_each_talk(t, m, n) {
			t.client.from_port += vlans;
			t.client.vlans = vlans;
			converse(&t);
		}
	}
}

static void test_edges_ip_options_are_carried_along(void **state)
{
	static struct talk t;

	for (unsigned options = 4; options <= 40; options += 4) {
		for_each_talk(t, m, n) {
			if (m.v6)
				continue;
			t.client.from_port += options;
			t.client.ip_options = options;
			t.client.vlans = options / 4 % 3;
			converse(&t);
			converse_complete(&t);
		}
	}
}

/* Up the stack they lead to their VLAN's device. */
static void test_edges_tags_stay_on_the_way_up(void **state)
{
	struct lab *lab = *state;
	static struct packet in, out, want;
	static struct talk t;

	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
		lab->datapath.maps.backends[id].local = 1;
	for_each_talk(t, m, n) {
		struct lab_run how = { .hook = m.hook, .ifindex = lab->client.ifindex };

		t.client.vlans = 2;
		t.client.flags = protocols[n] == IPPROTO_TCP ? TCP_SYN : 0;
		packet_build(&in, &t.client);
		assert_int_equal(lab_run(lab, &how, &in, &out), lab_pass(m.hook));
		assert_null(packet_read(&out, &t.seen));
		t.client.to = t.seen.to;
		t.client.to_port = LAB_BACKEND_PORT;
		packet_build(&want, &t.client);
		assert_true(packet_same(&out, &want, stderr));
		assert_memory_not_equal(&t.seen.to, &(struct perch_address[]){ lab_listener(m.v6) }, 16);
	}
}

static void shape_hop_by_hop(struct packet *p)
{
	packet_extend(p, IPPROTO_HOPOPTS, 8, 0, 0);
}

static void shape_longest(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 192, 0, 0);
}

static void shape_four(struct packet *p)
{
	packet_extend(p, IPPROTO_DSTOPTS, 16, 0, 0);
	packet_extend(p, IPPROTO_ROUTING, 24, 4, 0);
	packet_extend(p, IPPROTO_DSTOPTS, 8, 0, 0);
	packet_extend(p, IPPROTO_HOPOPTS, 32, 0, 0);
}

static void shape_atomic_fragment(struct packet *p)
{
	packet_extend(p, IPPROTO_FRAGMENT, 8, 0, 0);
	memset(p->byte + ETH_HLEN + 41, 0, 3);	/* neither an offset nor more */
}

static void test_edges_extension_headers_are_carried_along(void **state)
{
	static void (*const shapes[])(struct packet *) = { shape_hop_by_hop, shape_longest, shape_four };
	static struct talk t;

	for (unsigned i = 0; i < 3; i++) {
		for_each_talk(t, m, n) {
			if (!m.v6)
				continue;
			t.client.from_port += i;
			t.client.vlans = i;
			t.shape = shapes[i];
			converse(&t);
			converse_complete(&t);
		}
	}
}

/* Whole in spite of its fragment header (RFC 6946). */
static void test_edges_atomic_fragments_are_whole(void **state)
{
	static struct packet p, out;
	static struct talk t;

	for_each_talk(t, m, n) {
		struct lab_run how = { .hook = m.hook, .ifindex = t.lab->client.ifindex };

		if (!m.v6)
			continue;
		t.client.flags = protocols[n] == IPPROTO_TCP ? TCP_SYN : 0;
		packet_build(&p, &t.client);
		shape_atomic_fragment(&p);
		assert_int_equal(lab_run(t.lab, &how, &p, &out), lab_forward(m.hook));
		assert_int_equal(out.length, p.length);
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_FRAGMENT), 0);
}

static void shape_padding(struct packet *p)
{
	while (p->length < 1500)
		p->byte[p->length++] = 0xa5;
}

static void test_edges_padding_stays_and_is_no_payload(void **state)
{
	struct perch_flow_key key;
	static struct talk t;
	struct flow_copy f;

	for_each_talk(t, m, n) {
		t.shape = shape_padding;
		converse(&t);
		converse_complete(&t);
		assert_int_equal(talk_flow(&t, &f), 0);
		key = f.flow.key;
		assert_int_equal(key.protocol, protocols[n]);
		if (protocols[n] == IPPROTO_TCP)
			assert_int_equal(f.flow.client_next, t.client.seq);
	}
}

/* A packet that must pass untouched, counted under this reason and no other. */
static void assert_passes(struct lab *lab, struct mode m, const struct packet *p, enum perch_reason reason)
{
	struct lab_run how = { .hook = m.hook, .ifindex = lab->client.ifindex };
	__u64 before = lab_reason(lab, mode_hook(m), reason);
	static struct packet out;
	int verdict = lab_run(lab, &how, p, &out);

	if (verdict == lab_pass(m.hook) && packet_same(&out, p, stderr) &&
	    lab_reason(lab, mode_hook(m), reason) == before + 1)
		return;
	fprintf(stderr, "%s returned %d, not a pass for reason %d:\n", m.hook == LAB_XDP ? "xdp" : "tc", verdict, reason);
	packet_print(p, NULL, stderr);
	fail();
}

static void test_edges_what_goes_beyond_the_bounds_passes(void **state)
{
	static struct packet p;
	static struct talk t;

	for_each_talk(t, m, n) {
		if (!m.v6)
			continue;
		packet_build(&p, &t.client);
		packet_extend(&p, IPPROTO_DSTOPTS, 200, 0, 0);
		assert_passes(*state, m, &p, PERCH_R_IP_OPTIONS);
		packet_build(&p, &t.client);
		shape_four(&p);
		packet_extend(&p, IPPROTO_DSTOPTS, 8, 0, 0);
		assert_passes(*state, m, &p, PERCH_R_IP_OPTIONS);
		packet_build(&p, &t.client);
		packet_extend(&p, IPPROTO_ROUTING, 24, 4, 1);
		assert_passes(*state, m, &p, PERCH_R_IP_OPTIONS);
		packet_build(&p, &t.client);
		packet_extend(&p, IPPROTO_ROUTING, 24, 0, 0);
		assert_passes(*state, m, &p, PERCH_R_IP_OPTIONS);
		packet_build(&p, &t.client);
		packet_extend(&p, IPPROTO_DSTOPTS, 8, 0, 0);
		p.byte[ETH_HLEN + 6] = IPPROTO_AH;
		assert_passes(*state, m, &p, PERCH_R_PROTOCOL);
		packet_build(&p, &t.client);
		shape_hop_by_hop(&p);
		p.byte[ETH_HLEN + 41] = 20;	/* longer than the packet */
		assert_passes(*state, m, &p, PERCH_R_MALFORMED);
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_NEW), 0);
}

struct spoilt {
	__u8 protocol;
	unsigned at;		/* from the transport header; IP: from 100 on, the IP header */
	int v6;			/* -1: either */
	__u8 value;
};

static void test_edges_lengths_that_contradict_pass_as_malformed(void **state)
{
	static const struct spoilt spoilt[] = {
		{ IPPROTO_TCP, 12, -1, 0x40 },		/* doff 4 */
		{ IPPROTO_TCP, 12, -1, 0xf0 },		/* beyond the packet */
		{ IPPROTO_UDP, 5, -1, 7 },		/* shorter than its header */
		{ IPPROTO_UDP, 5, -1, 8 + 32 + 1 },	/* longer than the packet */
		{ IPPROTO_UDP, 4, -1, 1 },
		{ IPPROTO_TCP, 100, 0, 0x44 },		/* ihl 4 */
		{ IPPROTO_TCP, 100, 0, 0x4f },		/* ihl beyond the packet's TCP header */
		{ IPPROTO_UDP, 103, 0, 27 },		/* tot_len within the UDP header */
		{ IPPROTO_UDP, 102, 0, 2 },		/* beyond the frame */
		{ IPPROTO_TCP, 103, 0, 39 },
		{ IPPROTO_UDP, 105, 1, 7 },		/* payload_len */
		{ IPPROTO_UDP, 104, 1, 2 },
		{ IPPROTO_TCP, 105, 1, 19 },
	};
	struct packet_layout l;
	static struct packet p;
	static struct talk t;

	for_each_mode(m) {
		for (unsigned i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
			const struct spoilt *s = &spoilt[i];

			if (s->v6 >= 0 && s->v6 != m.v6)
				continue;
			for (unsigned vlans = 0; vlans < 3; vlans++) {
				mode_talk(&t, *state, m, s->protocol, 7);
				t.client.payload = 32;
				t.client.flags = TCP_SYN;
				t.client.vlans = vlans;
				packet_build(&p, &t.client);
				assert_null(packet_lay_out(&p, &l));
				p.byte[s->at < 100 ? l.transport + s->at : l.ip + s->at - 100] = s->value;
				assert_passes(*state, m, &p, PERCH_R_MALFORMED);
			}
		}
	}
	assert_int_equal(lab_reasons(*state, PERCH_R_NEW), 0);
}

static void test_edges_land_passes(void **state)
{
	static struct packet p;
	static struct talk t;

	for_each_talk(t, m, n) {
		t.client.from = t.client.to;
		t.client.from_port = t.client.to_port;
		t.client.flags = TCP_SYN;
		packet_build(&p, &t.client);
		assert_passes(*state, m, &p, PERCH_R_LAND);
	}
}

static void test_edges_echo_requests_are_the_stacks(void **state)
{
	struct packet_layout l;
	static struct packet p;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, *state, m, m.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 9);
		t.client.payload = 64;
		packet_build(&p, &t.client);
		assert_null(packet_lay_out(&p, &l));
		p.byte[l.transport] = m.v6 ? 128 : 8;
		p.byte[l.transport + 1] = 0;
		assert_passes(*state, m, &p, PERCH_R_PROTOCOL);
	}
}

/* The stack sends the error: it knows where it is to come from. */
static void test_edges_a_last_hop_is_the_stacks(void **state)
{
	static struct packet p;
	static struct talk t;

	for_each_talk(t, m, n) {
		for (unsigned ttl = 0; ttl < 2; ttl++) {
			t.client.ttl = ttl;
			t.client.vlans = ttl;
			t.client.flags = TCP_SYN;
			packet_build(&p, &t.client);
			assert_passes(*state, m, &p, PERCH_R_TTL);
		}
	}
}

/* Larger than one buffer of XDP: the headers are in the first, the rest is not. */
static void test_edges_jumbo_frames_are_steered(void **state)
{
	struct lab *lab = *state;
	struct perch_device *d = lab->datapath.maps.devices;
	static struct talk t;

	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		d[i].mtu = d[i].in_use ? 9000 : 0;
	for_each_talk(t, m, n) {
		if (m.hook != LAB_XDP)
			continue;	/* no test run takes one */
		t.client.vlans = n;
		t.client.ip_options = n ? 8 : 0;
		converse(&t);
		assert_int_equal(talk_client(&t, protocols[n] == IPPROTO_TCP ? TCP_ACK : 0, 8900), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, protocols[n] == IPPROTO_TCP ? TCP_ACK : 0, 8900), TALK_FORWARDED);
	}
}

/* What such a frame can't be sent by is left to TC. */
static void test_edges_jumbo_frames_wait_for_tc_where_the_device_takes_none(void **state)
{
	struct lab *lab = *state;
	struct perch_device *d = lab->datapath.maps.devices;
	static struct packet p;
	static struct talk t;

	for (unsigned i = 1; i < PERCH_DEVICES; i++) {
		d[i].mtu = d[i].in_use ? 9000 : 0;
		d[i].xmit &= ~PERCH_XMIT_SCATTERED;
	}
	for_each_talk(t, m, n) {
		if (m.hook != LAB_XDP)
			continue;
		converse(&t);
		t.client.payload = 8900;
		packet_build(&p, &t.client);
		assert_passes(lab, m, &p, PERCH_R_NO_XMIT);
		assert_int_equal(talk_client(&t, protocols[n] == IPPROTO_TCP ? TCP_ACK : 0, 1400), TALK_FORWARDED);
	}
}

/* A reset goes back the way its cause came: with its tags, without the rest. */
static void assert_reset(struct talk *t, unsigned payload)
{
	assert_int_equal(talk_client(t, TCP_ACK, payload), TALK_ANSWERED);
	assert_int_equal(t->seen.flags & TCP_RST, TCP_RST);
	assert_int_equal(t->seen.vlans, t->client.vlans);
	assert_int_equal(t->seen.ip_options, 0);
	assert_int_equal(t->out.length, ETH_HLEN + 4 * t->client.vlans + (lab_is_v6(&t->client.from) ? 60 : 40));
	assert_memory_equal(&t->seen.to, &t->client.from, sizeof(t->client.from));
	assert_int_equal(t->seen.from_port, t->client.to_port);
}

static void test_edges_answers_keep_tags_and_nothing_else(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	__u32 n = 20;

	for_each_mode(m) {
		for (unsigned i = 0; i < 6; i++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, n++);
			t.client.vlans = i % 3;
			t.client.ip_options = i < 3 ? 0 : 8;
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			lab_sever(lab, m.v6, talk_slot(&t));
			assert_reset(&t, i == 5 && m.hook == LAB_XDP ? 8000 : 100 * i);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_edges_tags_are_looked_through_and_taken_off),
		prog_test(test_edges_tags_stay_on_the_way_up),
		prog_test(test_edges_ip_options_are_carried_along),
		prog_test(test_edges_extension_headers_are_carried_along),
		prog_test(test_edges_atomic_fragments_are_whole),
		prog_test(test_edges_padding_stays_and_is_no_payload),
		prog_test(test_edges_what_goes_beyond_the_bounds_passes),
		prog_test(test_edges_lengths_that_contradict_pass_as_malformed),
		prog_test(test_edges_land_passes),
		prog_test(test_edges_echo_requests_are_the_stacks),
		prog_test(test_edges_a_last_hop_is_the_stacks),
		prog_test(test_edges_jumbo_frames_are_steered),
		prog_test(test_edges_jumbo_frames_wait_for_tc_where_the_device_takes_none),
		prog_test(test_edges_answers_keep_tags_and_nothing_else),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
