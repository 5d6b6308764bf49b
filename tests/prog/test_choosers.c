/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who is asked before the hash: pins, rules, marks. */
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "choosers.h"

static void test_pin_leads_its_client_alone(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		for (int udp = 0; udp < 2; udp++) {
			__u64 before = lab_reason(*state, mode_hook(m), PERCH_R_PINNED);

			talk_new(&t, *state, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 10 + udp);
			pin(m, &t, udp ? CANARY : PERCH_ROLE_CANARY, 0);
			assert_int_equal(slot_of_new(&t), 1);
			talk_new(&t, *state, m, udp ? IPPROTO_UDP : IPPROTO_TCP, 20 + udp);
			assert_int_equal(slot_of_new(&t), 0);
			assert_int_equal(lab_reason(*state, mode_hook(m), PERCH_R_PINNED), before + 1);
		}
	}
}

static void test_pin_of_ipv6_is_its_slash_64(void **state)
{
	struct mode m = { LAB_TC, true };
	static struct talk t;

	talk_new(&t, *state, m, IPPROTO_TCP, 1);
	pin(m, &t, CANARY, 0);
	t.client.from.word[2] = htonl(0xabcd);
	t.client.from.word[3] = htonl(77);
	assert_int_equal(slot_of_new(&t), 1);
	talk_new(&t, *state, m, IPPROTO_TCP, 2);
	assert_int_equal(slot_of_new(&t), 0);
}

static void test_pin_that_ran_out_leads_nobody(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		pin(m, &t, CANARY, lab_now() - 1);
		assert_int_equal(slot_of_new(&t), 0);
		talk_new(&t, *state, m, IPPROTO_TCP, 2);
		pin(m, &t, CANARY, lab_now() + 60 * 1000000000ull);
		assert_int_equal(slot_of_new(&t), 1);
	}
}

static void test_pin_taken_away_leads_nobody(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_address client;

		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		client = hash_client(&t.client.from);
		pin(m, &t, CANARY, 0);
		assert_int_equal(choices_unpin(choices, m.v6, &client), 0);
		assert_int_equal(choices_unpin(choices, m.v6, &client), -ENOENT);
		assert_int_equal(slot_of_new(&t), 0);
	}
}

static void test_rule_of_the_longest_prefix_leads(void **state)
{
	static struct talk t;
	char why[WHY];

	for_each_mode(m) {
		struct choice_rule r[3];

		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		for (int i = 0; i < 3; i++)
			r[i] = (struct choice_rule){ .source = t.client.from, .prefix = (m.v6 ? 32 : 112) + 8 * i,
						     .target = i == 1 ? PERCH_ROLE_CANARY : STABLE };
		/* 10.100.0.0/16, /24, and the address; fd0c::/32, /40 and /48 of another */
		if (!m.v6) {
			r[0].source.word[3] = htonl(0x0a640000);
			r[1].source.word[3] = htonl(0x0a640000);
			r[2].source.word[3] = htonl(0x0a640000 + 200);
		} else {
			for (int i = 0; i < 3; i++)
				r[i].source = (struct perch_address){ .word = { t.client.from.word[0] } };
			r[2].source.word[1] = htonl(0x00ff0000);
		}
		assert_int_equal(choices_rules(choices, m.v6, r, 3, why), 0);
		assert_int_equal(slot_of_new(&t), 1);
		if (!m.v6)
			t.client.from.word[3] = htonl(0x0a640000 + 200);
		else
			t.client.from.word[1] = htonl(0x00ff0001);
		t.client.from_port++;
		assert_int_equal(slot_of_new(&t), 0);
		assert_int_equal(choices_rules(choices, m.v6, NULL, 0, why), 0);
	}
}

static void test_rule_of_another_service_leads_nobody(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct mode other = { m.hook, !m.v6 };

		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		rule(other, &t.client.from, other.v6 ? 128 : 32, CANARY);
		mark(other, 10, CANARY);
		pin(other, &t, CANARY, 0);
		assert_int_equal(slot_of_new(&t), 0);
		choices_clear(choices, other.v6);
	}
}

static void test_mark_leads_its_dscp_alone(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		mark(m, 34, PERCH_ROLE_CANARY);
		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		t.client.tos = 34 << 2 | 1;
		assert_int_equal(slot_of_new(&t), 1);
		talk_new(&t, *state, m, IPPROTO_TCP, 2);
		t.client.tos = 33 << 2;
		assert_int_equal(slot_of_new(&t), 0);
	}
}

static void test_pin_comes_before_rule_before_mark_before_hash(void **state)
{
	static struct talk t;

	assert_int_equal(lab_step(*state, 10000), 0);
	for_each_mode(m) {
		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(slot_of_new(&t), 1);	/* the hash: all to the canary */
		mark(m, 10, PERCH_ROLE_STABLE);
		t.client.from_port++;
		assert_int_equal(slot_of_new(&t), 0);
		rule(m, &t.client.from, m.v6 ? 64 : 24, CANARY);
		t.client.from_port++;
		assert_int_equal(slot_of_new(&t), 1);
		pin(m, &t, STABLE, 0);
		t.client.from_port++;
		assert_int_equal(slot_of_new(&t), 0);
		mark(m, 10, 0);
		rule(m, &t.client.from, 0, 0);
	}
}

static void test_flow_that_is_there_beats_a_pin(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		pin(m, &t, CANARY, 0);
		assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 0);
		t.client.from_port++;
		assert_int_equal(slot_of_new(&t), 1);
	}
}

static void test_door_asks_nobody(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		talk_new(&t, *state, m, IPPROTO_TCP, 1);
		pin(m, &t, STABLE, 0);
		rule(m, &t.client.from, m.v6 ? 64 : 24, STABLE);
		mark(m, 10, STABLE);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(slot_of_new(&t), 1);
	}
}

static void test_chosen_connection_never_votes(void **state)
{
	static struct talk t;
	struct perch_votes votes;
	struct flow_copy f;

	for_each_mode(m) {
		for (int by = 0; by < 4; by++) {
			talk_new(&t, *state, m, IPPROTO_TCP, by + 1);
			if (by == 0)
				pin(m, &t, CANARY, 0);
			if (by == 1)
				rule(m, &t.client.from, m.v6 ? 64 : 32, CANARY);
			mark(m, 10, by == 2 ? CANARY : 0);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			assert_int_equal(talk_flow(&t, &f), 0);
			assert_int_equal(!!(f.flow.flags & PERCH_FLOW_VOTES), by == 3);
			assert_int_equal(talk_slot(&t), by != 3);
		}
		rule(m, &t.client.from, 0, 0);
	}
	for (unsigned v6 = 0; v6 < 2; v6++) {
		lab_votes(*state, v6, 1, &votes);
		assert_int_equal(votes.connects, 0);
		lab_votes(*state, v6, 0, &votes);
		assert_int_equal(votes.connects, 2);	/* by the hash, once by each hook */
	}
}

/* After the OR not one that pins, rules or marks led there reaches the canary,
 * by role or by name. */
static void test_rollback_takes_the_canary_from_all_of_them(void **state)
{
	static struct talk t;
	struct lab *lab = *state;
	__u64 before;

	assert_int_equal(lab_step(lab, 100), 0);
	for_each_mode(m) {
		talk_new(&t, lab, m, IPPROTO_TCP, 999);
		rule(m, &t.client.from, m.v6 ? 16 : 9, PERCH_ROLE_CANARY);
		mark(m, 10, CANARY);
		for (__u32 n = 0; n < 100; n++) {
			talk_new(&t, lab, m, IPPROTO_TCP, n);
			if (n % 2)
				pin(m, &t, n % 4 == 1 ? CANARY : PERCH_ROLE_CANARY, 0);
			assert_int_equal(slot_of_new(&t), 1);
		}
	}
	for (unsigned v6 = 0; v6 < 2; v6++)
		split_rollback(lab_split(lab, v6), PERCH_BY_DIRECT);
	before = lab_reasons(lab, PERCH_R_TARGET_VOID);
	for_each_mode(m) {
		for (__u32 n = 0; n < 100; n++) {
			talk_new(&t, lab, m, IPPROTO_TCP, n);
			t.client.from_port += 5000;
			assert_int_equal(slot_of_new(&t), 0);
		}
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_TARGET_VOID), before + 400);
}

static void test_void_target_leaves_it_to_the_hash(void **state)
{
	static const __u8 nowhere[] = { CHOICE_VOID, PERCH_TARGET_SLOT | 5, PERCH_ROLE_BASELINE, PERCH_ROLE_RETIRING };
	static struct talk t;
	struct explain e;

	assert_int_equal(lab_step(*state, 5000), 0);
	for_each_mode(m) {
		for (__u32 n = 0; n < 40; n++) {
			struct hash_tuple tuple;
			unsigned slot;

			talk_new(&t, *state, m, IPPROTO_TCP, n);
			pin(m, &t, nowhere[n % 4], 0);
			tuple = tuple_of(&t);
			explain_choice(&((struct lab *)*state)->datapath.maps, &tuple, 10, lab_now(), &e);
			slot = slot_of_new(&t);
			assert_int_equal(e.by, EXPLAIN_HASH);
			assert_int_equal(e.asked, EXPLAIN_PIN);
			assert_int_equal(slot, e.value < 5000);
		}
	}
}

static void test_slot_made_void_leads_nowhere(void **state)
{
	struct mode m = { LAB_XDP, false };
	static struct talk t;

	talk_new(&t, *state, m, IPPROTO_TCP, 1);
	pin(m, &t, CANARY, 0);
	mark(m, 10, CANARY);
	talk_new(&t, *state, m, IPPROTO_TCP, 2);
	rule(m, &t.client.from, 32, CANARY);
	assert_int_equal(choices_pins_to(choices, 0, CANARY), 1);
	assert_int_equal(choices_void_slot(choices, 0, 1), 0);
	assert_int_equal(choices_pins_to(choices, 0, CANARY), 0);
	assert_int_equal(choices_pins_to(choices, 0, CHOICE_VOID), 1);
	assert_int_equal(slot_of_new(&t), 0);
	for (__u32 n = 1; n < 4; n++) {
		talk_new(&t, *state, m, IPPROTO_TCP, n);
		t.client.from_port += 100;
		assert_int_equal(slot_of_new(&t), 0);
	}
}

static void test_choosers_are_asked_only_when_there_are_some(void **state)
{
	struct lab *lab = *state;
	struct mode m = { LAB_TC, false };
	const __u8 *bits = &lab->datapath.maps.services[0].choosers;
	static struct talk t;

	talk_new(&t, lab, m, IPPROTO_TCP, 1);
	assert_int_equal(*bits, 0);
	pin(m, &t, CANARY, 0);
	rule(m, &t.client.from, 32, CANARY);
	mark(m, 10, CANARY);
	assert_int_equal(*bits, PERCH_CHOOSE_PINS | PERCH_CHOOSE_RULES | PERCH_CHOOSE_MARKS);
	/* another process finds them */
	choices_close(choices);
	assert_int_equal(choices_open(&choices, &lab->datapath.maps), 0);
	assert_int_equal(choices_pins_count(choices, 0), 1);
	assert_int_equal(choices_rules_count(choices, 0), 1);
	assert_int_equal(slot_of_new(&t), 1);
	choices_clear(choices, 0);
	assert_int_equal(*bits, 0);
	t.client.from_port++;
	assert_int_equal(slot_of_new(&t), 0);
}

static void test_rules_are_replaced_by_their_difference(void **state)
{
	struct lab *lab = *state;
	struct choice_rule *r = calloc(20000, sizeof(*r));
	char why[WHY];
	__u32 target;

	for (int round = 0; round < 3; round++) {
		/* half of those before stay, some of them lead elsewhere */
		for (__u32 i = 0; i < 10000; i++)
			r[i] = (struct choice_rule){
				.source = { .word = { 0, 0, htonl(0xffff), htonl((round * 5000 + i) << 8) } },
				.prefix = 120, .target = (i + round) % 3 ? CANARY : STABLE,
			};
		assert_int_equal(choices_rules(choices, 0, r, 10000, why), 0);
		assert_int_equal(choices_rules_count(choices, 0), 10000);
		for (__u32 i = 0; i < 20000; i++) {
			struct perch_rule_key key = {
				.prefix = 160, .source = { .word = { 0, 0, htonl(0xffff), htonl(i << 8 | 7) } },
			};
			bool wanted = i >= round * 5000u && i < round * 5000u + 10000;
			int err = bpf_map_lookup_elem(lab->datapath.maps.rules_fd, &key, &target);

			assert_int_equal(!err, wanted);
			if (wanted)
				assert_int_equal(target, (i - round * 5000 + round) % 3 ? CANARY : STABLE);
		}
	}
	/* what can't be leaves all as it was */
	r[10000] = r[9999];
	assert_int_equal(choices_rules(choices, 0, r, 10001, why), -EINVAL);
	assert_int_equal(choices_rules_count(choices, 0), 10000);
	free(r);
}

static void test_pins_table_that_is_full_says_so(void **state)
{
	const struct perch_pin pin = { .target = CANARY };
	size_t room = choices_pins_room(choices);
	struct perch_address client = { .word = { 0, 0, htonl(0xffff) } };

	assert_true(room <= 65536);
	for (__u32 i = 0; i < room; i++) {
		client.word[3] = i;
		assert_int_equal(choices_pin(choices, 0, &client, &pin), 0);
	}
	client.word[3] = room;
	assert_int_equal(choices_pin(choices, 0, &client, &pin), -ENOSPC);
	assert_int_equal(choices_pins_count(choices, 0), room);
	choices_clear(choices, 0);
	assert_int_equal(choices_pins_count(choices, 0), 0);
	assert_int_equal(choices_pin(choices, 0, &client, &pin), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		chooser_test(test_pin_leads_its_client_alone),
		chooser_test(test_pin_of_ipv6_is_its_slash_64),
		chooser_test(test_pin_that_ran_out_leads_nobody),
		chooser_test(test_pin_taken_away_leads_nobody),
		chooser_test(test_rule_of_the_longest_prefix_leads),
		chooser_test(test_rule_of_another_service_leads_nobody),
		chooser_test(test_mark_leads_its_dscp_alone),
		chooser_test(test_pin_comes_before_rule_before_mark_before_hash),
		chooser_test(test_flow_that_is_there_beats_a_pin),
		chooser_test(test_door_asks_nobody),
		chooser_test(test_chosen_connection_never_votes),
		chooser_test(test_rollback_takes_the_canary_from_all_of_them),
		chooser_test(test_void_target_leaves_it_to_the_hash),
		chooser_test(test_slot_made_void_leads_nowhere),
		chooser_test(test_choosers_are_asked_only_when_there_are_some),
		chooser_test(test_rules_are_replaced_by_their_difference),
		chooser_test(test_pins_table_that_is_full_says_so),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
