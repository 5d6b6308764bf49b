/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who gets which version and which backend. */
#include "../../user/core/hash.h"
#include "model.h"
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

static struct lab_options big = { .flow_entries = 65536 };

static void test_choice_model_is_siphash(void **state)
{
	/* the authors' vector for SipHash-2-4, eight bytes of input */
	const __u64 key[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	const __u64 input = 0x0706050403020100ull;

	assert_true(hash_siphash(2, 4, key, &input, 1) == 0x93f5f5799a932462ull);
}

/* A client for each of the 10,000 places in the hash range. */
static void find_clients(struct lab *lab, struct mode m, __u32 *client)
{
	static struct talk t;
	unsigned found = 0;

	memset(client, 0xff, PERCH_SHARE_ALL * sizeof(*client));
	for (__u32 n = 0; found < PERCH_SHARE_ALL; n++) {
		__u32 value;

		mode_talk(&t, lab, m, IPPROTO_TCP, n);
		value = model_value(lab, &t.client, PERCH_AFFINITY_CONNECTION, lab->web[m.v6].salt);
		assert_in_range(value, 0, PERCH_SHARE_ALL - 1);
		found += client[value] == UINT32_MAX;
		client[value] = n;
	}
}

static void enumerate(struct lab *lab, struct mode m, const __u32 *client, __u32 share, __u32 turn)
{
	static struct talk t;
	__u32 canaries = 0;

	assert_int_equal(lab_step(lab, share), 0);
	for (__u32 value = 0; value < PERCH_SHARE_ALL; value++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, client[value]);
		/* another number: a new connection, whatever is in the table */
		t.client.seq += (turn + 1) * 0x10000000;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), value < share);
		canaries += talk_slot(&t);
	}
	assert_int_equal(canaries, share);
}

static void test_choice_of_each_slot_is_exact(void **state)
{
	static const __u32 shares[] = { 500, 1, 0, 3333, 9999, 10000 };
	static __u32 client[PERCH_SHARE_ALL];

	for_each_mode(m) {
		find_clients(*state, m, client);
		for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
			enumerate(*state, m, client, shares[i], i);
	}
}

/* The lab's services know two versions: give slot 2 to a baseline. */
static void set_baseline(struct lab *lab, __u32 canary, __u32 baseline)
{
	lab_backends(lab, 2, 5, 1);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct placed_service *p = &lab->web[v6].placed;
		struct split_want want = {
			.rest = 0, .canary = 1, .baseline = 2, .fallback = 0, .canary_share = canary,
			.baseline_share = baseline, .salt = lab->web[v6].salt,
			.role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE },
			.fallback_role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE },
		};
		struct perch_split *split = lab_split(lab, v6);
		struct perch_plan plan, twin;
		__u64 word;

		p->version[2].slot = 2;
		p->version[2].name = "v3";
		p->version[2].role = PERCH_ROLE_BASELINE;
		p->n_versions = 3;
		assert_int_equal(lab_apply(lab), 0);
		assert_int_equal(split_plan(&want, &plan, &twin), 0);
		assert_int_equal(split_step(split, split_word(split), &plan, &twin, PERCH_BY_AGENT, lab_now() / 1000000000,
					    &word), 0);
	}
}

static unsigned slot_of_client(struct lab *lab, struct mode m, __u32 client, __u32 turn)
{
	static struct talk t;

	mode_talk(&t, lab, m, IPPROTO_TCP, client);
	t.client.seq += (turn + 1) * 0x10000000;
	assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	return t.host == 5 ? 2 : talk_slot(&t);
}

/* The canary grows up from 0 and the baseline down from 10,000: neither moves a
 * client of the other, and a rollback takes both to stable. */
static void test_choice_of_canary_and_baseline_is_exact(void **state)
{
	static const struct { __u32 canary, baseline; } shares[] = { { 500, 500 }, { 2500, 500 }, { 2500, 7500 }, { 1, 1 } };
	static __u32 client[PERCH_SHARE_ALL];
	struct lab *lab = *state;

	for_each_mode(m) {
		find_clients(lab, m, client);
		for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
			set_baseline(lab, shares[i].canary, shares[i].baseline);
			for (__u32 value = 0; value < PERCH_SHARE_ALL; value++)
				assert_int_equal(slot_of_client(lab, m, client[value], i),
						 value < shares[i].canary ? 1 :
						 value >= PERCH_SHARE_ALL - shares[i].baseline ? 2 : 0);
		}
		set_baseline(lab, 5000, 5000);
		split_rollback(lab_split(lab, m.v6), PERCH_BY_DIRECT);
		for (__u32 value = 0; value < PERCH_SHARE_ALL; value++)
			assert_int_equal(slot_of_client(lab, m, client[value], 7), 0);
	}
}

static void set_affinity(struct lab *lab, enum perch_affinity affinity)
{
	lab->web[0].placed.affinity = lab->web[1].placed.affinity = affinity;
	assert_int_equal(lab_apply(lab), 0);
}

/* Version of each of 2,000 clients at this share, by a connection each. */
static void versions_at(struct lab *lab, struct mode m, __u32 share, __u16 port, __u8 *slot)
{
	static struct talk t;

	assert_int_equal(lab_step(lab, share), 0);
	for (__u32 n = 0; n < 2000; n++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, n);
		if (m.v6)
			t.client.from.word[1] = htonl(n + 1);	/* a /64 of its own */
		t.client.from_port = port;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		slot[n] = talk_slot(&t);
	}
}

static void test_choice_growing_share_takes_no_client_back(void **state)
{
	static const __u32 shares[] = { 500, 1000, 2500, 5000, 10000 };
	__u8 before[2000], now[2000];

	set_affinity(*state, PERCH_AFFINITY_CLIENT);
	for_each_mode(m) {
		unsigned canaries = 0;

		memset(before, 0, sizeof(before));
		for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
			unsigned sum = 0;

			versions_at(*state, m, shares[i], 1000 + i, now);
			for (unsigned n = 0; n < 2000; n++) {
				assert_true(now[n] >= before[n]);
				sum += now[n];
			}
			assert_true(sum > canaries);
			canaries = sum;
			memcpy(before, now, sizeof(before));
		}
		assert_int_equal(canaries, 2000);
	}
}

static void test_choice_client_affinity_keeps_version_and_backend(void **state)
{
	static struct talk t;

	set_affinity(*state, PERCH_AFFINITY_CLIENT);
	assert_int_equal(lab_step(*state, 5000), 0);
	for_each_mode(m) {
		for (__u32 n = 0; n < 50; n++) {
			unsigned host = 0;

			for (__u16 port = 5000; port < 5010; port++) {
				mode_talk(&t, *state, m, IPPROTO_TCP, n);
				t.client.from_port = port;
				if (m.v6)	/* anywhere in its /64 */
					t.client.from.word[2] = htonl(port * 77), t.client.from.word[1] = htonl(n + 1);
				assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
				host = host ? host : t.host;
				assert_int_equal(t.host, host);
			}
		}
	}
}

static void test_choice_connection_affinity_spreads_one_client(void **state)
{
	static struct talk t;
	unsigned canaries = 0;

	assert_int_equal(lab_step(*state, 5000), 0);
	for_each_mode(m) {
		for (__u16 port = 5000; port < 5400; port++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 1);
			t.client.from_port = port;
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			canaries += talk_slot(&t);
		}
	}
	assert_in_range(canaries, 700, 900);
}

/* The bits that choose the version must not choose the backend too. */
static void test_choice_spreads_a_small_share_over_all_its_backends(void **state)
{
	unsigned by_host[18] = { 0 };
	static struct talk t;

	lab_backends(*state, 1, 4, 4);
	assert_int_equal(lab_apply(*state), 0);
	assert_int_equal(lab_step(*state, 1000), 0);
	for_each_mode(m) {
		for (__u32 n = 0; n < 2000; n++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, n);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			by_host[t.host]++;
		}
	}
	for (unsigned host = 4; host < 8; host++)
		assert_in_range(by_host[host], 140, 260);
}

static void test_choice_new_salt_moves_versions_but_no_backend(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	static __u8 host[2000];
	unsigned moved = 0, stayed_stable = 0;

	lab_backends(lab, 0, 2, 2);
	for_each_mode(m) {
		for (unsigned turn = 0; turn < 2; turn++) {
			lab->web[0].salt = lab->web[1].salt = turn ? 0x0123456789abcdefull : 0x5a17;
			assert_int_equal(lab_step(lab, 2000), 0);
			for (__u32 n = 0; n < 2000; n++) {
				mode_talk(&t, lab, m, IPPROTO_TCP, n);
				t.client.seq += turn * 0x10000000;
				assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
				if (turn && host[n] < 4 && t.host < 4) {
					assert_int_equal(t.host, host[n]);
					stayed_stable++;
				} else if (turn) {
					moved += (host[n] < 4) != (t.host < 4);
				}
				host[n] = t.host;
			}
		}
	}
	/* two independent draws of 20 %: 32 % change sides */
	assert_in_range(moved, MODES * 2000 * 28 / 100, MODES * 2000 * 36 / 100);
	assert_true(stayed_stable > MODES * 1000);
}

static void test_choice_door_always_leads_to_its_version(void **state)
{
	static const __u32 shares[] = { 0, 10000 };
	struct flow_copy f;
	static struct talk t;

	for_each_mode(m) {
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(lab_step(*state, shares[i]), 0);
			for (__u32 n = 0; n < 20; n++) {
				mode_talk(&t, *state, m, IPPROTO_TCP, 100 * i + n);
				t.client.to_port = LAB_DOOR_PORT;
				assert_int_equal(talk_connect(&t), TALK_FORWARDED);
				assert_int_equal(t.host, 4);
				assert_int_equal(talk_flow(&t, &f), 0);
				assert_false(f.flow.flags & PERCH_FLOW_VOTES);
			}
		}
		split_rollback(lab_split(*state, m.v6), PERCH_BY_DIRECT);
		mode_talk(&t, *state, m, IPPROTO_TCP, 300);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(t.host, 4);
	}
}

static void test_choice_after_rollback_is_never_the_canary(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 10000), 0);
		mode_talk(&t, *state, m, IPPROTO_TCP, 5000);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_slot(&t), 1);
		split_rollback(lab_split(*state, m.v6), PERCH_BY_DIRECT);
		for (__u32 n = 0; n < 1000; n++) {
			mode_talk(&t, *state, m, n & 1 ? IPPROTO_TCP : IPPROTO_UDP, n);
			assert_int_equal(talk_client(&t, n & 1 ? TCP_SYN : 0, 0), TALK_FORWARDED);
			assert_int_equal(talk_slot(&t), 0);
		}
	}
}

/* An established connection stays where it is, whatever the weights do. */
static void test_choice_of_a_flow_outlasts_every_step(void **state)
{
	static const __u32 shares[] = { 0, 10000, 500, 0 };
	static struct talk t[40];
	unsigned moved = 0;

	for_each_mode(m) {
		assert_int_equal(lab_step(*state, 5000), 0);
		for (unsigned n = 0; n < 40; n++) {
			mode_talk(&t[n], *state, m, IPPROTO_TCP, n);
			assert_int_equal(talk_connect(&t[n]), TALK_FORWARDED);
			moved += talk_slot(&t[n]);
		}
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(lab_step(*state, shares[i]), 0);
			for (unsigned n = 0; n < 40; n++) {
				assert_int_equal(talk_client(&t[n], TCP_ACK, 10), TALK_FORWARDED);
				assert_int_equal(talk_backend(&t[n], TCP_ACK, 10), TALK_FORWARDED);
			}
		}
	}
	assert_in_range(moved, 20, MODES * 40 - 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice_model_is_siphash),
		prog_test_big(test_choice_of_each_slot_is_exact, &big),
		prog_test_big(test_choice_of_canary_and_baseline_is_exact, &big),
		prog_test_big(test_choice_growing_share_takes_no_client_back, &big),
		prog_test(test_choice_client_affinity_keeps_version_and_backend),
		prog_test(test_choice_connection_affinity_spreads_one_client),
		prog_test_big(test_choice_spreads_a_small_share_over_all_its_backends, &big),
		prog_test_big(test_choice_new_salt_moves_versions_but_no_backend, &big),
		prog_test(test_choice_door_always_leads_to_its_version),
		prog_test(test_choice_after_rollback_is_never_the_canary),
		prog_test(test_choice_of_a_flow_outlasts_every_step),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
