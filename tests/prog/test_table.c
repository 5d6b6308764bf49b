/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The flow table when it fills, when entries age, and what is counted. */
#include "prog.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define ENTRIES 8192
#define MANY_ENTRIES 65536

static struct lab_options many = { .flow_entries = MANY_ENTRIES };

static void sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static __u64 unlearned(struct lab *lab)
{
	struct perch_counters c;
	__u64 n = 0;

	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++) {
		lab_counters(lab, id, &c);
		n += c.unlearned;
	}
	return n;
}

/* Live entries, as the counters mean them. */
static size_t scan(struct lab *lab, size_t by_class[16])
{
	flows_count(&lab->datapath.maps, by_class);
	return by_class[PERCH_EMBRYONIC] + by_class[PERCH_TCP] + by_class[PERCH_UDP_NEW] + by_class[PERCH_UDP];
}

static void connect_clients(struct lab *lab, struct mode m, __u32 first, __u32 n)
{
	static struct talk t;

	for (__u32 i = first; i < first + n; i++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, i);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		/* without an entry a reply is not ours: then it has no room */
		if (talk_backend(&t, TCP_SYN | TCP_ACK, 0) != TALK_FORWARDED)
			continue;
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
	}
}

static void test_table_takes_five_eighths_without_a_loss(void **state)
{
	size_t by_class[16];

	connect_clients(*state, (struct mode){ LAB_XDP, false }, 0, MANY_ENTRIES * 5 / 8);
	assert_int_equal(unlearned(*state), 0);
	assert_int_equal(scan(*state, by_class), MANY_ENTRIES * 5 / 8);
	assert_int_equal(by_class[PERCH_TCP], MANY_ENTRIES * 5 / 8);
}

/* Established flows never give way: neither to SYNs nor to each other. */
static void test_table_when_full_keeps_what_is_established(void **state)
{
	struct lab *lab = *state;
	size_t by_class[16], known;
	static struct talk t;
	__u64 lost = 0;

	connect_clients(lab, (struct mode){ LAB_XDP, false }, 0, ENTRIES * 2);
	known = scan(lab, by_class);
	assert_in_range(known, ENTRIES * 9 / 10, ENTRIES);
	assert_int_equal(unlearned(lab), ENTRIES * 2 - known);
	assert_int_equal(lab_reasons(lab, PERCH_R_TABLE_FULL), ENTRIES * 2 - known);
	sleep_ms(50);
	for (__u32 n = ENTRIES * 2; n < ENTRIES * 4; n++) {
		mode_talk(&t, lab, (struct mode){ LAB_XDP, false }, IPPROTO_TCP, n);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		/* each twice, as floods do to look alive */
		t.client.seq--;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	}
	scan(lab, by_class);
	lost = known - by_class[PERCH_TCP];
	assert_int_equal(lost, 0);
	assert_int_equal(lab_active(lab), scan(lab, by_class));
}

/* By the hash alone it still goes somewhere, and always to the same place. */
static void test_table_when_full_forwards_by_the_hash(void **state)
{
	struct lab *lab = *state;
	unsigned tried = 0;
	static struct talk t;
	struct flow_copy f;

	connect_clients(lab, (struct mode){ LAB_XDP, false }, 0, ENTRIES * 3);
	for_each_mode(m) {
		for (__u32 n = ENTRIES * 3; n < ENTRIES * 3 + 200; n++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, n);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			if (!talk_flow(&t, &f))
				continue;
			tried++;
			/* talk_client checks that it is the same backend */
			assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_client(&t, TCP_ACK, 100), TALK_FORWARDED);
		}
	}
	assert_true(tried > 100);
}

/* Embryonic entries at rest are what a flood may have. */
static void test_table_gives_embryonic_entries_to_new_flows(void **state)
{
	struct lab *lab = *state;
	size_t by_class[16];
	static struct talk t;

	for (__u32 n = 0; n < ENTRIES * 2; n++) {
		mode_talk(&t, lab, (struct mode){ LAB_XDP, false }, IPPROTO_TCP, n);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	}
	sleep_ms(50);
	connect_clients(lab, (struct mode){ LAB_XDP, false }, ENTRIES * 2, ENTRIES / 2);
	scan(lab, by_class);
	assert_int_equal(by_class[PERCH_TCP], ENTRIES / 2);
	assert_int_equal(lab_active(lab), scan(lab, by_class));
}

static void test_table_entry_past_its_time_is_a_miss(void **state)
{
	struct lab *lab = *state;
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_UDP, 1);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		lab_age(lab, 121);
		/* the sweeper may have been there first */
		assert_int_equal(talk_backend(&t, 0, 10), TALK_PASSED);
		t.known = false;
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_true(again.flow.created > first.flow.created);
		assert_int_equal(again.class, PERCH_UDP_NEW);
	}
}

static void test_table_entry_before_its_time_is_a_hit(void **state)
{
	struct lab *lab = *state;
	struct flow_copy first, again;
	static struct talk t;

	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 2);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &first), 0);
		lab_age(lab, 7000);
		assert_int_equal(talk_backend(&t, TCP_ACK, 10), TALK_FORWARDED);
		lab_age(lab, 7000);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_flow(&t, &again), 0);
		assert_int_equal(again.flow.created, first.flow.created);
		assert_true(again.idle_ms < 1000);
		/* closed below, so that the next mode's ageing finds it no more */
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
	}
}

/* Everything at once, in random order; then the books must balance. */
static void stir(struct lab *lab, unsigned *seed, unsigned operations)
{
	static struct talk t;

	for (unsigned i = 0; i < operations; i++) {
		struct mode m = { rand_r(seed) & 1, rand_r(seed) & 1 };
		bool udp = rand_r(seed) & 1;

		mode_talk(&t, lab, m, udp ? IPPROTO_UDP : IPPROTO_TCP, rand_r(seed) % 3000);
		t.client.seq += rand_r(seed) % 3 * 1000;
		assert_int_equal(talk_client(&t, udp ? 0 : TCP_SYN, 0), TALK_FORWARDED);
		if (rand_r(seed) & 1)
			continue;
		if (talk_backend(&t, udp ? 0 : TCP_SYN | TCP_ACK, 0) != TALK_FORWARDED)
			continue;
		assert_int_equal(talk_client(&t, udp ? 0 : TCP_ACK, 0), TALK_FORWARDED);
		switch (rand_r(seed) & 3) {
		case 0:
			talk_client(&t, udp ? 0 : TCP_RST, 0);
			break;
		case 1:
			talk_client(&t, udp ? 0 : TCP_FIN | TCP_ACK, 0);
			talk_backend(&t, udp ? 0 : TCP_FIN | TCP_ACK, 0);
			break;
		}
	}
}

static void test_table_active_equals_a_scan(void **state)
{
	struct lab *lab = *state;
	size_t by_class[16];
	unsigned seed = 7;

	for (unsigned round = 0; round < 6; round++) {
		stir(lab, &seed, 4000);
		assert_int_equal(lab_active(lab), scan(lab, by_class));
		if (round == 2)
			lab_sever(lab, false, 0);
		else
			lab_age(lab, 3 * round);
	}
}

static bool swept_clean(struct lab *lab)
{
	__u64 passes = lab->datapath.maps.control->sweep_passes, until = lab_now() + 60000000000ull;
	size_t by_class[16];

	while (*(volatile __u64 *)&lab->datapath.maps.control->sweep_passes < passes + 2) {
		if (lab_now() > until)
			return false;
		sleep_ms(50);
	}
	return !flows_count(&lab->datapath.maps, by_class);
}

static void test_table_sweeper_frees_what_is_over_and_counts_it(void **state)
{
	struct lab *lab = *state;
	size_t by_class[16];
	unsigned seed = 8;

	stir(lab, &seed, 4000);
	assert_true(scan(lab, by_class) > 1000);
	lab_age(lab, 7300);
	assert_true(swept_clean(lab));
	assert_int_equal(lab_active(lab), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_big(test_table_takes_five_eighths_without_a_loss, &many),
		prog_test(test_table_when_full_keeps_what_is_established),
		prog_test(test_table_when_full_forwards_by_the_hash),
		prog_test(test_table_gives_embryonic_entries_to_new_flows),
		prog_test(test_table_entry_past_its_time_is_a_miss),
		prog_test(test_table_entry_before_its_time_is_a_hit),
		prog_test(test_table_active_equals_a_scan),
		prog_test(test_table_sweeper_frees_what_is_over_and_counts_it),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
