/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who is asked before the hash: pins, rules, marks; and that what explain
 * tells is what the programs do. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "../../user/core/hash.h"
#include "../../user/datapath/choices.h"
#include "../../user/datapath/explain.h"
#include "prog.h"

#define STABLE (PERCH_TARGET_SLOT | 0)
#define CANARY (PERCH_TARGET_SLOT | 1)

static struct choices *choices;
static struct lab_options big = { .flow_entries = 65536 };

static int setup(void **state)
{
	struct lab *lab;

	prog_setup_web(state);
	lab = *state;
	assert_int_equal(choices_open(&choices, &lab->datapath.maps), 0);
	return 0;
}

static int teardown(void **state)
{
	choices_close(choices);
	return prog_teardown(state);
}

/* A client of its own: of IPv6 a /64 of its own, too. */
static void talk_new(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u32 n)
{
	mode_talk(t, lab, m, protocol, n);
	if (m.v6)
		t->client.from.word[1] = htonl(n * MODES + mode_number(m) + 1);
}

static void pin(struct mode m, const struct talk *t, __u8 target, __u64 until)
{
	const struct perch_pin pin = { .target = target, .until = until };
	const struct perch_address client = hash_client(&t->client.from);

	assert_int_equal(choices_pin(choices, m.v6, &client, &pin), 0);
}

/* One rule of a service, or none. */
static void rule(struct mode m, const struct perch_address *source, __u32 bits, __u8 target)
{
	struct choice_rule r = { .source = *source, .prefix = bits + (m.v6 ? 0 : 96), .target = target };
	char why[WHY];

	for (__u32 bit = r.prefix; bit < 128; bit++)
		((__u8 *)&r.source)[bit / 8] &= ~(0x80 >> bit % 8);
	assert_int_equal(choices_rules(choices, m.v6, &r, target ? 1 : 0, why), 0);
}

static void mark(struct mode m, __u8 dscp, __u8 target)
{
	__u8 marks[CHOICE_MARKS] = { 0 };

	marks[dscp] = target;
	choices_marks(choices, m.v6, marks);
}

static unsigned slot_of_new(struct talk *t)
{
	t->known = false;
	assert_int_equal(talk_client(t, t->client.protocol == IPPROTO_TCP ? TCP_SYN : 0, 4), TALK_FORWARDED);
	return talk_slot(t);
}

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
			tuple = (struct hash_tuple){ t.client.from, t.client.to, htons(t.client.from_port),
						     htons(t.client.to_port), IPPROTO_TCP };
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

/* xorshift64* (Vigna, 2016): the same tuples every time. */
static __u32 random_up_to(__u32 n)
{
	static __u64 x = 88172645463325252ull;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return (x * 0x2545f4914f6cdd1dull >> 33) % n;
}

static __u8 random_target(void)
{
	static const __u8 targets[] = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, STABLE, CANARY, CHOICE_VOID };

	return targets[random_up_to(5)];
}

/* Pins of some clients, rules of some networks, and marks. */
static void random_choosers(struct lab *lab, struct mode m)
{
	static struct choice_rule r[64];
	static struct talk t;
	__u8 marks[CHOICE_MARKS];
	char why[WHY];
	size_t n = 0;

	for (__u32 i = 0; i < 200; i++) {
		talk_new(&t, lab, m, IPPROTO_TCP, random_up_to(4000));
		pin(m, &t, random_target(), random_up_to(4) ? 0 : lab_now() + (random_up_to(2) ? 60000000000ull : -1ull));
	}
	for (__u32 i = 0; i < 16; i++) {
		talk_new(&t, lab, m, IPPROTO_TCP, i << 8);
		t.client.from.word[m.v6 ? 1 : 3] &= htonl(~0xffu);
		t.client.from.word[2] = m.v6 ? 0 : htonl(0xffff);
		t.client.from.word[3] = m.v6 ? 0 : t.client.from.word[3];
		if (n && !memcmp(&r[n - 1].source, &t.client.from, sizeof(r->source)))
			continue;
		r[n++] = (struct choice_rule){ t.client.from, m.v6 ? 56 : 120, random_target() };
	}
	assert_int_equal(choices_rules(choices, m.v6, r, n, why), 0);
	for (__u32 i = 0; i < CHOICE_MARKS; i++)
		marks[i] = random_up_to(3) ? 0 : random_target();
	choices_marks(choices, m.v6, marks);
}

static void compare_one(struct lab *lab, struct mode m, unsigned by[EXPLAIN_HASH + 1])
{
	const struct maps *maps = &lab->datapath.maps;
	bool udp = random_up_to(2);
	static struct talk t;
	struct hash_tuple tuple;
	struct perch_address backend;
	struct explain e;

	talk_new(&t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, random_up_to(4000));
	t.client.from_port = 1024 + random_up_to(60000);
	t.client.tos = random_up_to(256);
	t.client.seq = random_up_to(0x7fffffff);
	if (!udp && random_up_to(8) == 0)
		t.client.to_port = LAB_DOOR_PORT;
	tuple = (struct hash_tuple){ t.client.from, t.client.to, htons(t.client.from_port), htons(t.client.to_port),
				     t.client.protocol };
	explain_choice(maps, &tuple, t.client.tos >> 2, lab_now(), &e);
	assert_true(e.listener);
	assert_int_equal(e.service, m.v6);
	if (!e.backend) {
		assert_int_not_equal(talk_client(&t, udp ? 0 : TCP_SYN, 4), TALK_FORWARDED);
		return;
	}
	assert_int_equal(talk_client(&t, udp ? 0 : TCP_SYN, 4), TALK_FORWARDED);
	backend = lab_backend(m.v6, t.host);
	assert_memory_equal(&maps->backends[e.backend].address, &backend, sizeof(backend));
	assert_int_equal(maps->backends[e.backend].version, m.v6 * PERCH_SLOTS + e.slot);
	by[e.by]++;
}

static void compare_many(struct lab *lab, unsigned n, unsigned by[EXPLAIN_HASH + 1])
{
	for_each_mode(m) {
		random_choosers(lab, m);
		for (unsigned i = 0; i < n; i++)
			compare_one(lab, m, by);
	}
}

static void test_explain_tells_what_the_program_does(void **state)
{
	unsigned by[EXPLAIN_HASH + 1] = { 0 };
	struct lab *lab = *state;

	lab_backends(lab, 0, 2, 5);
	lab_backends(lab, 1, 7, 4);
	for (int affinity = 0; affinity < 2; affinity++) {
		lab->web[0].placed.affinity = lab->web[1].placed.affinity = affinity;
		assert_int_equal(lab_apply(lab), 0);
		assert_int_equal(lab_step(lab, 3300), 0);
		compare_many(lab, 300, by);
		for (unsigned v6 = 0; v6 < 2; v6++)
			split_rollback(lab_split(lab, v6), PERCH_BY_AGENT);
		compare_many(lab, 50, by);
		assert_int_equal(lab_step(lab, 5000), 0);
		compare_many(lab, 50, by);
	}
	for (int i = EXPLAIN_DOOR; i <= EXPLAIN_HASH; i++)
		assert_in_range(by[i], 50, 5000);
	print_message("compared %u by door, %u by pin, %u by rule, %u by dscp, %u by hash\n", by[EXPLAIN_DOOR],
		      by[EXPLAIN_PIN], by[EXPLAIN_RULE], by[EXPLAIN_MARK], by[EXPLAIN_HASH]);
}

/* The canary's backends die, then stable's too; with and without leave for the
 * canary to take over. */
static void test_explain_tells_who_takes_over(void **state)
{
	unsigned by[EXPLAIN_HASH + 1] = { 0 };
	struct lab *lab = *state;

	assert_int_equal(lab_step(lab, 5000), 0);
	lab_backends(lab, 1, 4, 0);
	assert_int_equal(lab_apply(lab), 0);
	compare_many(lab, 50, by);
	lab_backends(lab, 1, 4, 2);
	lab_backends(lab, 0, 2, 0);
	for (int down = 0; down < 2; down++) {
		lab->web[0].placed.stable_down = lab->web[1].placed.stable_down = down;
		assert_int_equal(lab_apply(lab), 0);
		compare_many(lab, 50, by);
	}
}

static void test_explain_finds_the_flow_and_its_end(void **state)
{
	struct lab *lab = *state;
	const struct maps *maps = &lab->datapath.maps;
	static struct talk t;
	struct flow_copy f;

	for_each_mode(m) {
		struct hash_tuple tuple;

		talk_new(&t, lab, m, IPPROTO_TCP, 1);
		tuple = (struct hash_tuple){ t.client.from, t.client.to, htons(t.client.from_port),
					     htons(t.client.to_port), IPPROTO_TCP };
		assert_int_equal(explain_flow(maps, &tuple, &f), -ENOENT);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(explain_flow(maps, &tuple, &f), 0);
		assert_int_equal(f.class, PERCH_TCP);
		assert_null(explain_flow_ends(maps, &f, lab_now()));
		version_sever(lab_version(lab, m.v6, 0), lab_now());
		assert_string_equal(explain_flow_ends(maps, &f, lab_now()), "its version was severed");
	}
}

#define chooser_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		cmocka_unit_test_prestate_setup_teardown(test_explain_tells_what_the_program_does, setup, teardown, &big),
		chooser_test(test_explain_tells_who_takes_over),
		chooser_test(test_explain_finds_the_flow_and_its_end),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
