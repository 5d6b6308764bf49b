/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The end of a tunnel: what is taken out of it, and what stays as it came. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>

#include "outer.h"

/* A tunnelled packet, whole and for this host, to change before it is sent. */
struct wrapped {
	struct packet_spec inside;
	struct outer outer;
	struct packet inner, whole, out;
};

static int setup_unpack(void **state)
{
	struct lab *lab;

	prog_setup_web(state);
	lab = *state;
	routes_unpack(lab->routes, "c0", true);
	return 0;
}

#define unpack_test(f) cmocka_unit_test_setup_teardown(f, setup_unpack, prog_teardown)

static void wrap(struct wrapped *w)
{
	packet_build(&w->inner, &w->inside);
	outer_build(&w->whole, &w->outer, &w->inner);
}

static void prepare(struct wrapped *w, const struct lab *lab, bool outer_v6, bool inner_v6, bool gue)
{
	*w = (struct wrapped){
		.inside = { .from = lab_client(inner_v6, 5), .to = lab_backend(inner_v6, 1), .protocol = IPPROTO_TCP,
			    .from_port = 4000, .to_port = 80, .ttl = 63, .flags = TCP_ACK, .payload = 77, .seq = 9 },
		.outer = { .from = lab_client(outer_v6, 6), .to = lab_backend(outer_v6, 1), .ttl = 64, .tos = 0x28,
			   .protocol = gue ? IPPROTO_UDP : inner_v6 ? IPPROTO_IPV6 : IPPROTO_IPIP },
	};
	if (gue)
		w->outer.from_port = 50000, w->outer.to_port = OUTER_GUE;
	memcpy(w->inside.from_mac, lab_gateway_mac(), 6);
	memcpy(w->inside.to_mac, lab->client.mac, 6);
	wrap(w);
}

/* As the programs left it; it always passes. */
static void run(struct lab *lab, struct wrapped *w, enum lab_hook hook, __u32 ifindex)
{
	struct lab_run how = { .hook = hook, .ifindex = ifindex };

	assert_int_equal(lab_run(lab, &how, &w->whole, &w->out), lab_pass(hook));
}

static void assert_untouched(struct lab *lab, struct wrapped *w, enum perch_reason reason)
{
	for (enum lab_hook hook = LAB_XDP; hook <= LAB_TC; hook++) {
		enum perch_hook counted = hook == LAB_XDP ? PERCH_HOOK_XDP : PERCH_HOOK_TC_IN;
		__u64 before = lab_reason(lab, counted, reason);

		run(lab, w, hook, lab->client.ifindex);
		assert_true(packet_same(&w->out, &w->whole, stderr));
		assert_int_equal(lab_reason(lab, counted, reason), before + 1);
	}
}

static void test_unpack_takes_out_every_family_of_every_kind(void **state)
{
	static struct wrapped w;
	__u64 n = 0;

	for (unsigned i = 0; i < 16; i++) {
		prepare(&w, *state, i & 1, i & 2, i & 4);
		run(*state, &w, i & 8 ? LAB_TC : LAB_XDP, ((struct lab *)*state)->client.ifindex);
		assert_true(packet_same(&w.out, &w.inner, stderr));
		assert_int_equal(lab_reasons(*state, PERCH_R_UNPACKED), ++n);
	}
}

static void test_unpack_keeps_a_complete_checksum_complete(void **state)
{
	struct lab *lab = *state;
	static struct wrapped w;

	for (unsigned i = 0; i < 8; i++) {
		struct lab_run how = { .hook = LAB_TC, .ifindex = lab->client.ifindex, .complete = true };
		int verdict;

		prepare(&w, lab, i & 1, i & 2, i & 4);
		verdict = lab_run(lab, &how, &w.whole, &w.out);
		if (verdict == -EINVAL)
			skip();	/* Linux before 6.17 can't test it */
		assert_int_equal(verdict, lab_pass(LAB_TC));
		assert_true(packet_same(&w.out, &w.inner, stderr));
	}
}

static void test_unpack_leaves_what_is_for_others(void **state)
{
	static struct wrapped w;

	for (unsigned i = 0; i < 8; i++) {
		prepare(&w, *state, i & 1, i & 2, i & 4);
		w.inside.to = lab_backend(i & 2, 2);
		wrap(&w);
		assert_untouched(*state, &w, PERCH_R_NOT_UNPACKED);
	}
}

static void test_unpack_leaves_what_is_damaged(void **state)
{
	static struct wrapped w;

	for (unsigned i = 0; i < 8; i++) {
		bool inner_v6 = i & 2, gue = i & 4;
		__u8 *inner;

		prepare(&w, *state, i & 1, inner_v6, gue);
		inner = w.whole.byte + w.whole.length - (w.inner.length - ETH_HLEN);
		/* longer than there is room for */
		inner[inner_v6 ? 5 : 3]++;
		assert_untouched(*state, &w, PERCH_R_NOT_UNPACKED);
		inner[inner_v6 ? 5 : 3]--;
		/* another version than was said; of GUE, its variant 0 */
		inner[0] = gue ? 0x05 : inner_v6 ? 0x45 : 0x60;
		assert_untouched(*state, &w, PERCH_R_NOT_UNPACKED);
	}
}

/* The outer header says that all ends before what is inside. */
static void test_unpack_leaves_what_has_no_room(void **state)
{
	static struct wrapped w;

	for (unsigned inner_v6 = 0; inner_v6 < 2; inner_v6++)
		for (unsigned length = 0; length < 20; length += 19) {
			prepare(&w, *state, false, inner_v6, false);
			w.whole.byte[ETH_HLEN + 2] = 0;
			w.whole.byte[ETH_HLEN + 3] = length;
			assert_untouched(*state, &w, PERCH_R_NOT_UNPACKED);
		}
}

static void test_unpack_leaves_fragments(void **state)
{
	static struct wrapped w;

	prepare(&w, *state, false, false, true);
	w.whole.byte[ETH_HLEN + 6] = 0x20;
	assert_untouched(*state, &w, PERCH_R_NO_LISTENER);
}

static void test_unpack_is_for_its_interface_alone(void **state)
{
	struct lab *lab = *state;
	static struct wrapped w;

	for (unsigned i = 0; i < 8; i++) {
		prepare(&w, lab, i & 1, i & 2, i & 4);
		run(lab, &w, LAB_XDP, lab->backend.ifindex);
		assert_true(packet_same(&w.out, &w.whole, stderr));
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_PROTOCOL), 4);
	assert_int_equal(lab_reasons(lab, PERCH_R_NO_LISTENER), 4);
}

/* Once nobody unpacks, the filter alone decides again. */
static void test_unpack_costs_nothing_when_it_is_off(void **state)
{
	struct lab *lab = *state;
	static struct wrapped w;

	routes_unpack(lab->routes, "c0", false);
	prepare(&w, lab, false, false, true);
	assert_untouched(lab, &w, PERCH_R_NOT_OURS);
}

/* Addresses come and go. */
static void test_unpack_follows_the_addresses_of_this_host(void **state)
{
	static const char *const commands[] = { "ip addr add 198.51.100.9/32 dev lo", "ip addr del 198.51.100.9/32 dev lo" };
	struct lab *lab = *state;
	static struct wrapped w;
	int wait_ms;

	prepare(&w, lab, false, false, true);
	w.inside.to.word[3] = htonl(0xc6336409);
	wrap(&w);
	assert_untouched(lab, &w, PERCH_R_NOT_UNPACKED);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(system(commands[i]), 0);
		assert_int_equal(routes_read(lab->routes, &wait_ms), 0);
		if (i) {
			assert_untouched(lab, &w, PERCH_R_NOT_UNPACKED);
			continue;
		}
		run(lab, &w, LAB_XDP, lab->client.ifindex);
		assert_true(packet_same(&w.out, &w.inner, stderr));
	}
}

/* Who put it in has chosen this host: it is not steered again. */
static void test_unpack_gives_to_the_stack_what_a_listener_would_have(void **state)
{
	struct lab *lab = *state;
	static struct wrapped w;
	int wait_ms;

	assert_int_equal(system("ip addr add 192.0.2.10/32 dev lo; ip addr add 2001:db8::10/128 dev lo nodad"), 0);
	assert_int_equal(routes_read(lab->routes, &wait_ms), 0);
	for (unsigned i = 0; i < 8; i++) {
		prepare(&w, lab, i & 1, i & 2, i & 4);
		w.inside.to = lab_listener(i & 2);
		wrap(&w);
		run(lab, &w, LAB_XDP, lab->client.ifindex);
		assert_true(packet_same(&w.out, &w.whole, stderr));
		run(lab, &w, LAB_TC, lab->client.ifindex);
		assert_true(packet_same(&w.out, &w.inner, stderr));
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_XDP, PERCH_R_LEFT_WRAPPED), 8);
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_UNPACKED), 8);
	assert_int_equal(lab_active(lab), 0);
	assert_int_equal(system("ip addr del 192.0.2.10/32 dev lo; ip addr del 2001:db8::10/128 dev lo"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unpack_test(test_unpack_takes_out_every_family_of_every_kind),
		unpack_test(test_unpack_keeps_a_complete_checksum_complete),
		unpack_test(test_unpack_leaves_what_is_for_others),
		unpack_test(test_unpack_leaves_what_is_damaged),
		unpack_test(test_unpack_leaves_what_has_no_room),
		unpack_test(test_unpack_leaves_fragments),
		unpack_test(test_unpack_is_for_its_interface_alone),
		unpack_test(test_unpack_costs_nothing_when_it_is_off),
		unpack_test(test_unpack_follows_the_addresses_of_this_host),
		unpack_test(test_unpack_gives_to_the_stack_what_a_listener_would_have),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
