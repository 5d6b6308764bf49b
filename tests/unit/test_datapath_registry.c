/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Names, and the rollback as one call, over maps of plain memory; rejections
 * are a real map of the kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "../../user/core/split.h"
#include "../../user/datapath/clock.h"
#include "../../user/datapath/registry.h"
#include "../../user/datapath/tables.h"

#define SERVICES 4
#define WEB 2			/* its id */
#define NOW 100000000000ull

enum slots { STABLE, CANARY, BASELINE, OTHER };

static int setup(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	struct maps *m = calloc(1, sizeof(*m));

	m->control = calloc(1, sizeof(*m->control));
	m->control->services = SERVICES;
	m->services = calloc(SERVICES, sizeof(*m->services));
	m->splits = calloc(SERVICES, sizeof(*m->splits));
	m->versions = calloc(SERVICES * PERCH_SLOTS, sizeof(*m->versions));
	m->names = calloc(SERVICES, sizeof(*m->names));
	m->version_names = calloc(SERVICES * PERCH_SLOTS, sizeof(*m->version_names));
	m->rejections_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "rejections", sizeof(struct perch_rejection_key),
					  sizeof(struct perch_rejection), 8, &options);
	*state = m;
	return m->rejections_fd < 0;
}

static int teardown(void **state)
{
	struct maps *m = *state;

	close(m->rejections_fd);
	free(m->control);
	free(m->services);
	free(m->splits);
	free(m->versions);
	free(m->names);
	free(m->version_names);
	free(m);
	return 0;
}

static void plans(const struct split_want *want, struct perch_plan *plan, struct perch_plan *twin)
{
	assert_int_equal(split_plan(want, plan, twin), 0);
}

static struct split_want rollout(void)
{
	return (struct split_want){
		.rest = STABLE, .canary = CANARY, .baseline = -1, .fallback = STABLE, .canary_share = 500, .salt = 7,
		.role = { [STABLE] = PERCH_ROLE_STABLE, [CANARY] = PERCH_ROLE_CANARY, [BASELINE] = PERCH_ROLE_BASELINE },
	};
}

/* `web` with versions v1, v2 and v3, split as wanted. */
static void web(struct maps *m, const struct split_want *want, enum perch_established established)
{
	struct perch_plan plan, twin;

	m->services[WEB] = (struct perch_service){ .in_use = 1, .established = established, .drain_ms = 30000 };
	registry_name_service(m, WEB, "web");
	registry_name_version(m, WEB, STABLE, "v1", PERCH_ROLE_STABLE, 1);
	registry_name_version(m, WEB, CANARY, "v2", PERCH_ROLE_CANARY, 1);
	registry_name_version(m, WEB, BASELINE, "v3", PERCH_ROLE_BASELINE, 1);
	plans(want, &plan, &twin);
	split_init(&m->splits[WEB], &plan, &twin, PERCH_BY_AGENT, 1);
}

static struct perch_version *version(struct maps *m, unsigned slot)
{
	return &m->versions[WEB * PERCH_SLOTS + slot];
}

static void test_names_are_found_and_freed(void **state)
{
	char longest[PERCH_NAME_LEN + 8];
	struct maps *m = *state;

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(registry_find(m, "web"), -ENOENT);
	assert_int_equal(registry_find(m, ""), -ENOENT);
	registry_name_service(m, 1, "web");
	registry_name_service(m, 3, longest);
	assert_int_equal(registry_find(m, "web"), 1);
	assert_int_equal(registry_find(m, "we"), -ENOENT);
	assert_int_equal(registry_find(m, "webb"), -ENOENT);
	assert_int_equal(strlen(m->names[3].name), PERCH_NAME_LEN - 1);
	registry_name_service(m, 1, "w");
	assert_int_equal(registry_find(m, "web"), -ENOENT);
	assert_int_equal(registry_find(m, "w"), 1);
	registry_name_service(m, 1, "");
	assert_int_equal(registry_find(m, "w"), -ENOENT);
	registry_name_version(m, 1, 5, "v9", PERCH_ROLE_PREVIOUS, 1234);
	assert_string_equal(m->version_names[PERCH_SLOTS + 5].name, "v9");
	assert_int_equal(m->version_names[PERCH_SLOTS + 5].role, PERCH_ROLE_PREVIOUS);
	assert_int_equal(m->version_names[PERCH_SLOTS + 5].since, 1234);
}

static void test_rejections_are_by_both_names(void **state)
{
	struct perch_rejection r = { .when = 5, .epoch = 6, .by = PERCH_BY_JUDGE, .reason = "gate" }, there;
	struct maps *m = *state;

	assert_int_equal(registry_reject(m, "web", "v2", &r), 0);
	assert_true(registry_rejected(m, "web", "v2", &there));
	assert_memory_equal(&there, &r, sizeof(r));
	assert_true(registry_rejected(m, "web", "v2", NULL));
	assert_false(registry_rejected(m, "web", "v3", NULL));
	assert_false(registry_rejected(m, "shop", "v2", NULL));
	assert_int_equal(registry_unreject(m, "web", "v2"), 0);
	assert_false(registry_rejected(m, "web", "v2", NULL));
	assert_int_equal(registry_unreject(m, "web", "v2"), -ENOENT);
}

static void test_rollback_turns_the_word_drains_and_rejects(void **state)
{
	const struct split_want want = rollout();
	struct maps *m = *state;
	struct perch_rejection r;
	__u64 word, before, ns = ~0ull, now, drain;
	struct perch_plan plan;

	web(m, &want, PERCH_DRAIN);
	word = split_word(&m->splits[WEB]);
	now = clock_ns();
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_DIRECT, "it smells", &before, &ns), 0);
	assert_int_equal(before, word);
	assert_true(ns < 100000000);
	word = split_word(&m->splits[WEB]);
	assert_int_equal(word & PERCH_WORD_TWIN, PERCH_WORD_TWIN);
	assert_int_equal(perch_word_flags(word), PERCH_BY_AGENT | PERCH_BY_DIRECT | PERCH_ROLLED_BACK);
	assert_int_equal(split_read(&m->splits[WEB], &word, &plan), 0);
	assert_int_equal(split_share(&plan, STABLE), PERCH_SHARE_ALL);
	assert_int_equal(m->splits[WEB].named >> 32, perch_word_epoch(word));

	drain = version(m, CANARY)->drain_at;
	assert_true(drain >= now + 30000000000ull && drain < now + 31000000000ull);
	assert_true(version(m, CANARY)->drain_before >= now);
	assert_int_equal(version(m, CANARY)->sever_before, 0);
	assert_int_equal(version(m, STABLE)->drain_before, 0);
	assert_int_equal(version(m, STABLE)->drain_at, 0);

	assert_true(registry_rejected(m, "web", "v2", &r));
	assert_int_equal(r.by, PERCH_BY_DIRECT);
	assert_int_equal(r.epoch, perch_word_epoch(before));
	assert_string_equal(r.reason, "it smells");
	assert_true(r.when + 5 > (__u64)time(NULL));
	assert_false(registry_rejected(m, "web", "v1", NULL));
	assert_false(registry_rejected(m, "web", "v3", NULL));
}

static void test_rollback_said_again_changes_nothing(void **state)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	const struct split_want want = rollout();
	struct perch_rejection first, second;
	struct maps *m = *state;
	struct perch_version v;
	__u64 before, word;

	web(m, &want, PERCH_DRAIN);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_JUDGE, "gate", &before, NULL), 0);
	v = *version(m, CANARY);
	word = split_word(&m->splits[WEB]);
	assert_true(registry_rejected(m, "web", "v2", &first));
	nanosleep(&nap, NULL);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_DIRECT, "again", &before, NULL), 0);
	assert_int_equal(before, word);
	assert_int_equal(before & 1, 1);
	assert_true(registry_rejected(m, "web", "v2", &second));
	assert_memory_equal(&first, &second, sizeof(first));
	assert_int_equal(version(m, CANARY)->drain_at, v.drain_at);
	assert_int_equal(version(m, CANARY)->sever_before, v.sever_before);
	/* a stronger word is heard */
	assert_int_equal(registry_rollback(m, WEB, PERCH_SEVER, PERCH_BY_DIRECT, NULL, NULL, NULL), 0);
	assert_true(version(m, CANARY)->sever_before > v.drain_before);
}

static void test_rollback_finishes_what_the_kernel_began(void **state)
{
	const struct split_want want = rollout();
	struct maps *m = *state;
	struct perch_rejection r;
	__u64 before;

	web(m, &want, PERCH_SEVER);
	split_rollback(&m->splits[WEB], PERCH_BY_REFLEX);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_REFLEX, "10 connects failed", &before, NULL), 0);
	assert_int_equal(before & 1, 1);
	assert_true(version(m, CANARY)->sever_before > 0);
	assert_int_equal(version(m, STABLE)->sever_before, 0);
	assert_true(registry_rejected(m, "web", "v2", &r));
	assert_int_equal(r.by, PERCH_BY_REFLEX);
	assert_int_equal(r.epoch & 1, 0);
}

static void test_mode_given_wins_over_the_service(void **state)
{
	const struct split_want want = rollout();
	struct maps *m = *state;

	web(m, &want, PERCH_SEVER);
	assert_int_equal(registry_rollback(m, WEB, PERCH_KEEP, PERCH_BY_AGENT, "", NULL, NULL), 0);
	assert_int_equal(version(m, CANARY)->sever_before, 0);
	assert_int_equal(version(m, CANARY)->drain_before, 0);
	assert_true(registry_rejected(m, "web", "v2", NULL));
}

static void test_rollback_to_previous_takes_stable_out(void **state)
{
	const struct split_want want = {
		.rest = CANARY, .canary = -1, .baseline = -1, .fallback = STABLE,
		.role = { [STABLE] = PERCH_ROLE_PREVIOUS, [CANARY] = PERCH_ROLE_STABLE },
	};
	struct maps *m = *state;

	web(m, &want, PERCH_SEVER);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_AGENT, "", NULL, NULL), 0);
	assert_true(registry_rejected(m, "web", "v2", NULL));
	assert_false(registry_rejected(m, "web", "v1", NULL));
	assert_true(version(m, CANARY)->sever_before > 0);
	assert_int_equal(version(m, STABLE)->sever_before, 0);
}

static void test_baseline_is_neither_ended_nor_rejected(void **state)
{
	struct split_want want = rollout();
	struct maps *m = *state;

	want.baseline = BASELINE;
	want.baseline_share = 500;
	web(m, &want, PERCH_SEVER);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_AGENT, "", NULL, NULL), 0);
	assert_true(registry_rejected(m, "web", "v2", NULL));
	assert_false(registry_rejected(m, "web", "v3", NULL));
	assert_int_equal(version(m, BASELINE)->sever_before, 0);
}

static void test_rollback_without_a_canary_rejects_nobody(void **state)
{
	struct split_want want = rollout();
	struct maps *m = *state;

	want.canary_share = 0;
	web(m, &want, PERCH_SEVER);
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_AGENT, "", NULL, NULL), 0);
	for (int slot = 0; slot < PERCH_SLOTS; slot++)
		assert_int_equal(version(m, slot)->sever_before, 0);
	assert_false(registry_rejected(m, "web", "v1", NULL));
	assert_false(registry_rejected(m, "web", "v2", NULL));
}

static void test_rollback_names_its_errors_and_turns_all_the_same(void **state)
{
	const struct split_want want = rollout();
	struct perch_rejection r = { 0 };
	struct maps *m = *state;
	char name[16];

	assert_int_equal(registry_rollback(m, WEB, -1, 0, "", NULL, NULL), -ENOENT);
	assert_int_equal(split_word(&m->splits[WEB]), 0);
	assert_int_equal(registry_rollback(m, SERVICES, -1, 0, "", NULL, NULL), -ENOENT);
	web(m, &want, PERCH_SEVER);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "full%d", i);
		assert_int_equal(registry_reject(m, "web", name, &r), 0);
	}
	assert_true(registry_rollback(m, WEB, -1, PERCH_BY_DIRECT, "", NULL, NULL) < 0);
	assert_int_equal(split_word(&m->splits[WEB]) & PERCH_WORD_TWIN, PERCH_WORD_TWIN);
	assert_true(version(m, CANARY)->sever_before > 0);
}

static void test_plan_overtaken_by_the_ring_is_stale(void **state)
{
	const struct split_want want = rollout();
	struct maps *m = *state;
	struct perch_split *s = &m->splits[WEB];

	web(m, &want, PERCH_SEVER);
	s->plan[perch_word_plan(s->word)].epoch += 2;
	assert_int_equal(registry_rollback(m, WEB, -1, PERCH_BY_DIRECT, "", NULL, NULL), -ESTALE);
	assert_int_equal(split_word(s) & PERCH_WORD_TWIN, PERCH_WORD_TWIN);
	assert_int_equal(version(m, CANARY)->sever_before, 0);
}

static void test_sever_only_moves_forward(void **state)
{
	struct perch_control host = { 0 };
	struct perch_version v = { 0 };

	version_sever(&host, &v, NOW);
	assert_int_equal(v.sever_before, NOW);
	version_sever(&host, &v, NOW - 1);
	assert_int_equal(v.sever_before, NOW);
	assert_int_equal(host.severed, NOW);
	version_sever(&host, &v, NOW + 1);
	assert_int_equal(v.sever_before, NOW + 1);
	assert_int_equal(host.severed, NOW + 1);
}

static void test_pending_drain_keeps_its_time(void **state)
{
	struct perch_control host = { 0 };
	struct perch_version v = { 0 };

	version_drain(&host, &v, NOW, 30000);
	assert_int_equal(v.drain_before, NOW);
	assert_int_equal(v.drain_at, NOW + 30000000000);
	version_drain(&host, &v, NOW + 10000000000, 30000);
	assert_int_equal(v.drain_before, NOW + 10000000000);
	assert_int_equal(host.severed, NOW + 10000000000);
	assert_int_equal(v.drain_at, NOW + 30000000000);
}

static void test_due_drain_stays_done_when_another_begins(void **state)
{
	struct perch_control host = { 0 };
	struct perch_version v = { 0 };

	version_drain(&host, &v, NOW, 1000);
	version_drain(&host, &v, NOW + 5000000000, 1000);
	assert_int_equal(v.sever_before, NOW);
	assert_int_equal(v.drain_before, NOW + 5000000000);
	assert_int_equal(v.drain_at, NOW + 6000000000);
}

static void test_drain_after_a_sever_has_its_own_time(void **state)
{
	struct perch_control host = { 0 };
	struct perch_version v = { 0 };

	version_drain(&host, &v, NOW, 1000);
	version_sever(&host, &v, NOW + 500000000);
	version_drain(&host, &v, NOW + 600000000, 1000);
	assert_int_equal(v.sever_before, NOW + 500000000);
	assert_int_equal(v.drain_at, NOW + 1600000000);
}

#define map_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		map_test(test_names_are_found_and_freed),
		map_test(test_rejections_are_by_both_names),
		map_test(test_rollback_turns_the_word_drains_and_rejects),
		map_test(test_rollback_said_again_changes_nothing),
		map_test(test_rollback_finishes_what_the_kernel_began),
		map_test(test_mode_given_wins_over_the_service),
		map_test(test_rollback_to_previous_takes_stable_out),
		map_test(test_baseline_is_neither_ended_nor_rejected),
		map_test(test_rollback_without_a_canary_rejects_nobody),
		map_test(test_rollback_names_its_errors_and_turns_all_the_same),
		map_test(test_plan_overtaken_by_the_ring_is_stale),
		cmocka_unit_test(test_sever_only_moves_forward),
		cmocka_unit_test(test_pending_drain_keeps_its_time),
		cmocka_unit_test(test_due_drain_stays_done_when_another_begins),
		cmocka_unit_test(test_drain_after_a_sever_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
