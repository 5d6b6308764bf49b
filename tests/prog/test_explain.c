/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What explain tells is what the programs do: random tuples through both. */
#include <errno.h>

#include "choosers.h"

static struct lab_options big = { .flow_entries = 65536 };

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
	tuple = tuple_of(&t);
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
	for (unsigned i = 0; i < 4; i++) {
		lab->web[0].placed.affinity = lab->web[1].placed.affinity = i % 2;
		lab->web[0].placed.fragments = lab->web[1].placed.fragments = i / 2;
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
		tuple = tuple_of(&t);
		assert_int_equal(explain_flow(maps, &tuple, &f), -ENOENT);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(explain_flow(maps, &tuple, &f), 0);
		assert_int_equal(f.class, PERCH_TCP);
		assert_null(explain_flow_ends(maps, &f, lab_now()));
		lab_sever(lab, m.v6, 0);
		assert_string_equal(explain_flow_ends(maps, &f, lab_now()), "its version was severed");
	}
}

/* Port 0 is every port but those that are left alone. */
static void test_explain_tells_of_every_port_and_its_exceptions(void **state)
{
	static const __u16 exclude[] = { 22 };
	struct lab *lab = *state;
	static struct talk t;
	struct explain e;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		lab->web[v6].listen[0].port = 0;
		lab->web[v6].placed.exclude = exclude;
		lab->web[v6].placed.n_exclude = 1;
	}
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		for (int i = 0; i < 3; i++) {
			static const __u16 port[] = { 4711, 22, LAB_DOOR_PORT };
			struct hash_tuple tuple;

			talk_new(&t, lab, m, IPPROTO_TCP, i + 1);
			t.client.to_port = port[i];
			tuple = tuple_of(&t);
			explain_choice(&lab->datapath.maps, &tuple, 0, lab_now(), &e);
			assert_int_equal(e.any_port, i == 0);
			assert_int_equal(e.excluded, i == 1);
			assert_int_equal(e.by, i == 0 ? EXPLAIN_HASH : i == 1 ? EXPLAIN_NOTHING : EXPLAIN_DOOR);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), i == 1 ? TALK_PASSED : TALK_FORWARDED);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(test_explain_tells_what_the_program_does, choosers_setup, choosers_teardown, &big),
		chooser_test(test_explain_tells_who_takes_over),
		chooser_test(test_explain_tells_of_every_port_and_its_exceptions),
		chooser_test(test_explain_finds_the_flow_and_its_end),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
