/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One service with IPv4 and IPv6 listeners: each client gets a backend of its
 * family, and one word moves both. */
#include "model.h"
#include "prog.h"

#define CLIENTS 400
#define REFLEX 10

static struct lab_options big = { .flow_entries = 65536 };

/* The lab's two services made one: element 0 with the listeners, doors and
 * backends of both. */
struct both {
	struct lab *lab;
	struct placed_service placed;
	struct perch_endpoint listen[4], door[2];
	struct model_backend backend[2][2 * LAB_BACKENDS];
};

static void both_backends(struct both *b, unsigned slot, size_t v4, size_t v6)
{
	const struct lab_service *web = b->lab->web;

	memcpy(b->backend[slot], web[0].backend[slot], v4 * sizeof(struct model_backend));
	memcpy(b->backend[slot] + v4, web[1].backend[slot], v6 * sizeof(struct model_backend));
	b->placed.version[slot].backends = b->backend[slot];
	b->placed.version[slot].n_backends = v4 + v6;
}

static void both_apply(struct both *b, const struct perch_plan *plan, const struct perch_plan *twin)
{
	char why[WHY] = "";

	if (tables_apply(b->lab->tables, &b->placed, plan, twin, why))
		fail_msg("tables_apply: %s", why);
}

/* Stable 10.2.0.2, .3 and fd02::2, ::3; canary 10.2.0.4 and fd02::4. */
static void both_make(struct both *b, struct lab *lab)
{
	struct perch_plan plan, twin;

	*b = (struct both){ .lab = lab, .placed = lab->web[0].placed };
	for (unsigned v6 = 0; v6 < 2; v6++) {
		memcpy(&b->listen[2 * v6], lab->web[v6].listen, sizeof(lab->web[v6].listen));
		b->door[v6] = lab->web[v6].door;
	}
	b->placed.name = "web";
	b->placed.listen = b->listen;
	b->placed.n_listen = 4;
	b->placed.version[1].doors = b->door;
	b->placed.version[1].n_doors = 2;
	b->placed.reflex_limit = REFLEX;
	both_backends(b, 0, 2, 2);
	both_backends(b, 1, 1, 1);
	lab_plan(&lab->web[0], &plan, &twin);
	both_apply(b, &plan, &twin);
}

/* One step, of the one split. */
static void both_step(struct both *b, __u32 share)
{
	struct perch_split *split = lab_split(b->lab, false);
	struct perch_plan plan, twin;
	__u64 word;

	b->lab->web[0].share = share;
	lab_plan(&b->lab->web[0], &plan, &twin);
	assert_int_equal(split_step(split, split_word(split), &plan, &twin, PERCH_BY_AGENT, lab_now() / 1000000000, &word), 0);
}

/* A client's connection, and whether the hash gives it to the canary. */
static bool talk_chosen(struct talk *t, const struct both *b, struct mode m, __u8 protocol, __u32 n)
{
	const struct lab_service *web = &b->lab->web[0];

	mode_talk(t, b->lab, m, protocol, n);
	return model_value(b->lab, &t->client, PERCH_AFFINITY_CONNECTION, web->salt) < web->share;
}

/* New connections of a mode, at the share of the last step: how many got the
 * canary.  talk_client checks every byte. */
static unsigned connect_many(struct both *b, struct mode m, __u8 protocol, __u32 from, bool back)
{
	static struct talk t;
	unsigned canaries = 0, by_host[5] = { 0 };

	for (__u32 n = from; n < from + CLIENTS; n++) {
		bool canary = talk_chosen(&t, b, m, protocol, n) && !back;

		assert_int_equal(talk_client(&t, protocol == IPPROTO_TCP ? TCP_SYN : 0, 0), TALK_FORWARDED);
		assert_int_equal(lab_is_v6(&t.seen.to), m.v6);
		assert_int_equal(talk_slot(&t), canary);
		assert_in_range(t.host, 2, 4);
		by_host[t.host]++;
		canaries += canary;
	}
	/* stable's two share its part */
	if (canaries < CLIENTS / 2)
		assert_true(by_host[2] > CLIENTS / 5 && by_host[3] > CLIENTS / 5);
	return canaries;
}

static void test_families_share_one_split_from_step_to_rollback(void **state)
{
	static const __u32 shares[] = { 0, 2500, 10000 };
	static struct both b;
	__u32 from = 0;

	both_make(&b, *state);
	for (unsigned hook = 0; hook < 2; hook++) {
		for (unsigned i = 0; i < 3; i++) {
			both_step(&b, shares[i]);
			for (unsigned v6 = 0; v6 < 2; v6++, from += 2 * CLIENTS) {
				struct mode m = { hook, v6 };
				unsigned canaries = connect_many(&b, m, IPPROTO_TCP, from, false) +
						    connect_many(&b, m, IPPROTO_UDP, from + CLIENTS, false);

				assert_in_range(canaries, 2 * CLIENTS * (__u64)shares[i] / 10000 * 3 / 4,
						2 * CLIENTS * (__u64)shares[i] / 10000 * 5 / 4);
			}
		}
		split_rollback(lab_split(*state, false), PERCH_BY_DIRECT);
		for (unsigned v6 = 0; v6 < 2; v6++, from += 2 * CLIENTS) {
			struct mode m = { hook, v6 };

			assert_int_equal(connect_many(&b, m, IPPROTO_TCP, from, true), 0);
			assert_int_equal(connect_many(&b, m, IPPROTO_UDP, from + CLIENTS, true), 0);
		}
	}
}

static void test_families_keep_their_established_flows(void **state)
{
	static struct talk t[MODES][20];
	static struct both b;

	both_make(&b, *state);
	both_step(&b, 5000);
	for_each_mode(m) {
		for (unsigned n = 0; n < 20; n++) {
			mode_talk(&t[mode_number(m)][n], *state, m, IPPROTO_TCP, n);
			assert_int_equal(talk_connect(&t[mode_number(m)][n]), TALK_FORWARDED);
		}
	}
	split_rollback(lab_split(*state, false), PERCH_BY_DIRECT);
	/* backends of one family leave and come: the other's flows don't see it */
	both_backends(&b, 0, 1, 2);
	both_apply(&b, NULL, NULL);
	both_backends(&b, 0, 2, 1);
	both_apply(&b, NULL, NULL);
	for_each_mode(m) {
		for (unsigned n = 0; n < 20; n++) {
			assert_int_equal(talk_client(&t[mode_number(m)][n], TCP_ACK, 10), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t[mode_number(m)][n], TCP_ACK, 10), TALK_FORWARDED);
		}
	}
}

static void test_families_door_leads_to_a_backend_of_the_same(void **state)
{
	static struct talk t;
	static struct both b;

	both_make(&b, *state);
	for_each_mode(m) {
		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(t.host, 4);
		assert_int_equal(lab_is_v6(&t.backend.from), m.v6);
	}
}

/* All to a canary that lives in one family: the other falls to stable. */
static void test_families_canary_without_one_leaves_it_to_stable(void **state)
{
	static struct talk t;
	static struct both b;

	both_make(&b, *state);
	both_step(&b, PERCH_SHARE_ALL);
	for (unsigned lacks = 0; lacks < 2; lacks++) {
		both_backends(&b, 1, lacks, !lacks);
		both_apply(&b, NULL, NULL);
		for_each_mode(m) {
			__u64 empty = lab_reasons(*state, PERCH_R_EMPTY_VERSION);
			bool missing = m.v6 == lacks;
			struct flow_copy f;

			mode_talk(&t, *state, m, IPPROTO_TCP, 10 + lacks);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			assert_int_equal(talk_slot(&t), !missing);
			assert_int_equal(lab_reasons(*state, PERCH_R_EMPTY_VERSION) - empty, missing);
			assert_int_equal(talk_flow(&t, &f), 0);
			assert_int_equal(!(f.flow.flags & PERCH_FLOW_VOTES), missing);
			/* a door has nowhere else to lead */
			mode_talk(&t, *state, m, IPPROTO_TCP, 20 + lacks);
			t.client.to_port = LAB_DOOR_PORT;
			assert_int_equal(talk_client(&t, TCP_SYN, 0), missing ? TALK_ANSWERED : TALK_FORWARDED);
		}
	}
}

/* The next connect of a family that the hash gives to this version. */
static void connect_one(struct both *b, struct mode m, __u32 *n, unsigned slot, bool refused)
{
	static struct talk t;

	while (talk_chosen(&t, b, m, IPPROTO_TCP, (*n)++) != slot)
		;
	assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	assert_int_equal(talk_slot(&t), slot);
	assert_int_equal(talk_backend(&t, refused ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
}

/* A streak of either family fires, as long as stable lives in any. */
static void test_families_share_one_reflex(void **state)
{
	struct perch_split *split = lab_split(*state, false);
	static struct both b;
	__u32 n = 1;

	both_make(&b, *state);
	for (int stable = -1; stable < PERCH_FAMILIES; stable++) {
		both_backends(&b, 0, 2, 2);
		both_apply(&b, NULL, NULL);
		both_step(&b, 5000);
		tables_compare(b.lab->tables, 0, &(struct comparison){ .since_epoch = perch_word_epoch(split_word(split)) });
		connect_one(&b, (struct mode){ LAB_XDP, true }, &n, 1, true);
		for (unsigned i = 0; i < 12; i++)
			connect_one(&b, (struct mode){ LAB_XDP, i & 1 }, &n, 0, false);
		for (unsigned i = 0; i < REFLEX - 2; i++)
			connect_one(&b, (struct mode){ LAB_TC, i & 1 }, &n, 1, true);
		both_backends(&b, 0, stable == PERCH_IPV4 ? 2 : 0, stable == PERCH_IPV6 ? 2 : 0);
		both_apply(&b, NULL, NULL);
		connect_one(&b, (struct mode){ LAB_TC, stable == PERCH_IPV4 }, &n, 1, true);
		assert_int_equal(perch_word_epoch(split_word(split)) & 1, stable >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(test_families_share_one_split_from_step_to_rollback, prog_setup,
							 prog_teardown, &big),
		prog_test_bare(test_families_keep_their_established_flows),
		prog_test_bare(test_families_door_leads_to_a_backend_of_the_same),
		prog_test_bare(test_families_canary_without_one_leaves_it_to_stable),
		prog_test_bare(test_families_share_one_reflex),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
