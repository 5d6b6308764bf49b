// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Rollback and status without an agent, on a datapath that is really loaded
 * and pinned in a bpffs of this test's own.  Needs the right to load BPF. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/agent/state.h"
#include "../../user/cli/direct.h"
#include "../../user/cli/output.h"
#include "../../user/core/address.h"
#include "../../user/core/split.h"
#include "../../user/datapath/registry.h"
#include "../../user/datapath/tables.h"

static char folder[64], pins[96];
static struct datapath datapath;
static struct tables *tables;

static void backend_at(struct model_backend *b, const char *address)
{
	b->weight = 1;
	assert_int_equal(address_port_parse(address, &b->address, &b->port), 0);
}

/* A plan that gives `share` to slot 1, with the twin that takes it back. */
static void plans(__u32 share, struct perch_plan *plan, struct perch_plan *twin)
{
	const struct split_want want = {
		.rest = 0, .canary = 1, .baseline = -1, .fallback = 0, .canary_share = share,
		.role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY },
		.fallback_role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY },
	};

	assert_int_equal(split_plan(&want, plan, twin), 0);
}

static void service_make(unsigned id, const char *name, const char *listen, __u32 share)
{
	struct model_backend stable = {}, canary = {};
	struct perch_endpoint endpoint;
	struct placed_service s = {
		.id = id, .name = name, .listen = &endpoint, .n_listen = 1, .established = PERCH_SEVER, .drain_ms = 30000,
		.version = { { .slot = 0, .name = "v1", .role = PERCH_ROLE_STABLE, .backends = &stable, .n_backends = 1 },
			     { .slot = 1, .name = "v2", .role = PERCH_ROLE_CANARY, .backends = &canary, .n_backends = 1 } },
		.n_versions = 2,
	};
	struct perch_plan plan, twin;
	char why[WHY] = "";

	backend_at(&stable, "10.9.0.1:80");
	backend_at(&canary, "10.9.0.2:80");
	assert_int_equal(endpoint_parse(listen, &endpoint), 0);
	plans(share, &plan, &twin);
	if (tables_apply(tables, &s, &plan, &twin, why))
		fail_msg("tables_apply: %s", why);
	registry_name_service(&datapath.maps, id, name);
	registry_name_version(&datapath.maps, id, 0, "v1", PERCH_ROLE_STABLE, 1);
	registry_name_version(&datapath.maps, id, 1, "v2", PERCH_ROLE_CANARY, 1);
}

static int set_up(void **state)
{
	const struct datapath_options options = {
		.pin_path = pins, .flow_entries = 1024, .services = 8, .backends = 16, .listeners = 16, .slice_words = 256,
	};
	char why[WHY] = "";

	strcpy(folder, "/tmp/perch-direct-XXXXXX");
	assert_non_null(mkdtemp(folder));
	if (mount("bpf", folder, "bpf", 0, NULL)) {
		rmdir(folder);
		folder[0] = 0;
		return 0;
	}
	snprintf(pins, sizeof(pins), "%s/perch", folder);
	if (datapath_open(&datapath, &options, why)) {
		fprintf(stderr, "datapath_open: %s\n", why);
		umount(folder);
		rmdir(folder);
		return -1;
	}
	assert_int_equal(tables_open(&tables, &datapath), 0);
	service_make(0, "web", "192.0.2.10:80/tcp", 500);
	service_make(1, "shop", "[2001:db8::10]:443/tcp", 0);
	return 0;
}

static int tear_down(void **state)
{
	if (!folder[0])
		return 0;
	if (tables)
		tables_close(tables);
	datapath_close(&datapath);
	datapath_remove(pins, NULL);
	umount(folder);
	rmdir(folder);
	return 0;
}

static void needs_kernel(void)
{
	if (folder[0])
		return;
	fprintf(stderr, "skipped: mounting a bpffs takes root\n");
	skip();
}

static json_t *roll_back(const char *service, int mode, const char *comment)
{
	struct maps maps;
	json_t *done = NULL;

	assert_int_equal(maps_open_rollback(&maps, pins, NULL), 0);
	assert_int_equal(direct_rollback(&maps, service, mode, comment, &done), 0);
	maps_close(&maps);
	return done;
}

static void test_status_shows_names_weights_and_backends(void **state)
{
	json_t *services, *web, *canary, *shop;
	struct maps maps;

	needs_kernel();
	assert_int_equal(maps_open(&maps, pins, NULL), 0);
	services = direct_services(&maps);
	maps_close(&maps);
	assert_int_equal(json_array_size(services), 2);
	web = json_array_get(services, 0);
	assert_string_equal(field_text(web, "name"), "web");
	assert_string_equal(field_text(web, "phase"), "Idle");
	assert_false(field_true(web, "rolledBack"));
	assert_string_equal(json_string_value(json_array_get(field_list(web, "listen"), 0)), "192.0.2.10:80/tcp");
	canary = json_array_get(field_list(web, "versions"), 1);
	assert_string_equal(field_text(canary, "name"), "v2");
	assert_string_equal(field_text(canary, "role"), "canary");
	assert_true(field_number(canary, "weight") == 5);
	assert_string_equal(field_text(json_array_get(field_list(canary, "backends"), 0), "address"), "10.9.0.2:80");
	assert_string_equal(field_text(json_array_get(field_list(canary, "backends"), 0), "state"), "up");
	shop = json_array_get(services, 1);
	assert_string_equal(json_string_value(json_array_get(field_list(shop, "listen"), 0)), "[2001:db8::10]:443/tcp");
	assert_true(field_number(json_array_get(field_list(shop, "versions"), 0), "weight") == 100);
	json_decref(services);
}

/* As the agent writes it, save.c. */
static void test_status_shows_the_phase_that_the_agent_kept(void **state)
{
	const struct rollout_keep keep = { .rollout = { .phase = ROLLOUT_HOLDING } };
	struct perch_rollout_blob b = { .version = ROLLOUT_LAYOUT, .length = sizeof(keep) };
	json_t *services;
	struct maps maps;

	needs_kernel();
	memcpy(b.bytes, &keep, sizeof(keep));
	assert_int_equal(registry_rollout_put(&datapath.maps, 0, &b, false), 0);
	assert_int_equal(maps_open(&maps, pins, NULL), 0);
	services = direct_services(&maps);
	maps_close(&maps);
	assert_string_equal(field_text(json_array_get(services, 0), "phase"), "Holding");
	assert_string_equal(field_text(json_array_get(services, 1), "phase"), "Idle");
	json_decref(services);
}

static void test_nothing_to_roll_back_writes_nothing(void **state)
{
	__u64 before;
	json_t *done;

	needs_kernel();
	before = split_word(&datapath.maps.splits[1]);
	done = roll_back("shop", -1, NULL);
	assert_string_equal(field_text(done, "outcome"), "nothing");
	assert_string_equal(field_text(done, "to"), "v1");
	assert_true(json_is_null(json_object_get(done, "from")));
	assert_true(split_word(&datapath.maps.splits[1]) == before);
	json_decref(done);
}

static void test_unknown_service_is_not_there(void **state)
{
	struct maps maps;
	json_t *done;

	needs_kernel();
	assert_int_equal(maps_open_rollback(&maps, pins, NULL), 0);
	assert_int_equal(direct_rollback(&maps, "nope", -1, NULL, &done), -ENOENT);
	assert_int_equal(direct_rollback(&maps, "", -1, NULL, &done), -ENOENT);
	maps_close(&maps);
}

static void test_rollback_takes_the_canary_out_and_rejects_it(void **state)
{
	struct perch_rejection rejection;
	struct perch_plan plan;
	json_t *done;
	__u64 word;

	needs_kernel();
	done = roll_back("web", -1, "pages do not load");
	assert_string_equal(field_text(done, "outcome"), "rolledBack");
	assert_string_equal(field_text(done, "from"), "v2");
	assert_string_equal(field_text(done, "to"), "v1");
	assert_string_equal(field_text(done, "established"), "sever");
	assert_string_equal(field_text(done, "phase"), "RolledBack");
	assert_true(json_is_null(json_object_get(done, "warning")));
	json_decref(done);
	assert_int_equal(split_read(&datapath.maps.splits[0], &word, &plan), 0);
	assert_int_equal(split_share(&plan, 1), 0);
	assert_int_equal(split_share(&plan, 0), PERCH_SHARE_ALL);
	assert_true(perch_word_flags(word) & PERCH_ROLLED_BACK);
	assert_true(perch_word_flags(word) & PERCH_BY_DIRECT);
	assert_true(datapath.maps.versions[1].sever_before > 0);
	assert_true(registry_rejected(&datapath.maps, "web", "v2", &rejection));
	assert_non_null(strstr(rejection.reason, "pages do not load"));
}

static void test_rollback_again_says_so(void **state)
{
	__u64 before, drain_before;
	json_t *done;

	needs_kernel();
	before = split_word(&datapath.maps.splits[0]);
	drain_before = datapath.maps.versions[1].drain_before;
	done = roll_back("web", PERCH_DRAIN, NULL);
	assert_string_equal(field_text(done, "outcome"), "alreadyRolledBack");
	assert_string_equal(field_text(done, "to"), "v1");
	assert_string_equal(field_text(done, "established"), "drain");
	assert_true(split_word(&datapath.maps.splits[0]) == before);
	assert_true(datapath.maps.versions[1].drain_before > drain_before);
	json_decref(done);
}

static void test_status_shows_the_rejection(void **state)
{
	const json_t *web, *canary;
	json_t *services;
	struct maps maps;

	needs_kernel();
	assert_int_equal(maps_open(&maps, pins, NULL), 0);
	services = direct_services(&maps);
	maps_close(&maps);
	web = json_array_get(services, 0);
	canary = json_array_get(field_list(web, "versions"), 1);
	assert_string_equal(field_text(web, "phase"), "RolledBack");
	assert_true(field_true(web, "rolledBack"));
	assert_true(field_number(canary, "weight") == 0);
	assert_string_equal(field_text(json_object_get(canary, "rejected"), "by"), "direct");
	assert_true(json_is_null(json_object_get(json_array_get(field_list(web, "versions"), 0), "rejected")));
	json_decref(services);
}

static void test_service_in_a_rollout_is_rolled_back_at_no_share_too(void **state)
{
	json_t *done;

	needs_kernel();
	datapath.maps.services[1].sampling = 1;
	done = roll_back("shop", -1, NULL);
	assert_string_equal(field_text(done, "outcome"), "rolledBack");
	assert_true(perch_word_flags(split_word(&datapath.maps.splits[1])) & PERCH_ROLLED_BACK);
	json_decref(done);
}

int main(void)
{
	/* The order matters: each finds what the one before it left. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_shows_names_weights_and_backends),
		cmocka_unit_test(test_status_shows_the_phase_that_the_agent_kept),
		cmocka_unit_test(test_nothing_to_roll_back_writes_nothing),
		cmocka_unit_test(test_unknown_service_is_not_there),
		cmocka_unit_test(test_rollback_takes_the_canary_out_and_rejects_it),
		cmocka_unit_test(test_rollback_again_says_so),
		cmocka_unit_test(test_status_shows_the_rejection),
		cmocka_unit_test(test_service_in_a_rollout_is_rolled_back_at_no_share_too),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
