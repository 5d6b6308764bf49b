// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The life of a version: what a file may add and take, and who follows whom. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/agent/rollout/lifecycle.h"
#include "../../user/core/address.h"

#define NOW 1000

/* A file with up to four versions, each with one backend. */
struct file {
	struct model_service service;
	struct model_version version[4];
	struct model_backend backend[4];
};

static void file_make(struct file *f, size_t n, const char *const names[], const enum perch_role roles[])
{
	memset(f, 0, sizeof(*f));
	snprintf(f->service.name, sizeof(f->service.name), "web");
	f->service.file = f->service.origin = "perch.yaml";
	snprintf(f->service.at, sizeof(f->service.at), "services[0].");
	f->service.line = 7;
	f->service.versions = f->version;
	f->service.n_versions = n;
	for (size_t i = 0; i < n; i++) {
		struct model_version *v = &f->version[i];

		snprintf(v->name, sizeof(v->name), "%s", names[i]);
		v->role = roles ? roles[i] : PERCH_ROLE_NONE;
		v->line = 10 + i;
		f->backend[i] = (struct model_backend){ .port = 80 + i, .weight = 1 };
		v->backends = &f->backend[i];
		v->n_backends = 1;
	}
}

#define FILE_OF(f, ...)                                                                          \
	do {                                                                                     \
		const char *const names[] = { __VA_ARGS__ };                                     \
		file_make((f), sizeof(names) / sizeof(names[0]), names, NULL);                   \
	} while (0)

static const char *rejected_name;

static struct perch_rejection *is_rejected(void *arg, const char *service, const char *version)
{
	static struct perch_rejection r = { .reason = "bad" };

	assert_string_equal(service, "web");
	return rejected_name && !strcmp(rejected_name, version) ? &r : NULL;
}

static int merge(struct service *s, const struct file *f, bool strict, __u64 now, char why[LIFECYCLE_WHY])
{
	const struct lifecycle l = { .service = s, .model = &f->service, .strict = strict, .now = now,
				     .rejected = is_rejected };
	struct version slot[PERCH_SLOTS];
	int r = lifecycle_merge(&l, slot, why);

	if (r)
		return r;
	slots_swap(s->slot, slot);
	slots_clear(slot);
	return 0;
}

/* v1 stable, v2 canary, known. */
static struct service *service_make(struct file *f)
{
	static const char *const names[] = { "v1", "v2" };
	static const enum perch_role roles[] = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY };
	struct service *s = service_new("web");
	struct version slot[PERCH_SLOTS];
	char why[LIFECYCLE_WHY];
	struct lifecycle l = { .service = s, .fresh = true, .strict = true, .now = NOW };

	rejected_name = NULL;
	file_make(f, 2, names, roles);
	l.model = &f->service;
	assert_int_equal(lifecycle_merge(&l, slot, why), 0);
	slots_swap(s->slot, slot);
	slots_clear(slot);
	return s;
}

static enum perch_role role_of(const struct service *s, const char *name)
{
	int slot = slot_of_name(s->slot, name);

	assert_true(slot >= 0);
	return s->slot[slot].role;
}

static void test_fresh_service_takes_roles_from_the_file(void **state)
{
	struct file f;
	struct service *s = service_make(&f);

	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_CANARY);
	assert_int_equal(s->slot[1].n_backends, 1);
	assert_ptr_not_equal(s->slot[1].backends, f.version[1].backends);
	service_delete(s);
}

static void test_fresh_version_without_role_enters_as_canary(void **state)
{
	static const char *const names[] = { "v1", "v2" };
	static const enum perch_role roles[] = { PERCH_ROLE_STABLE, PERCH_ROLE_NONE };
	struct service *s = service_new("web");
	struct version slot[PERCH_SLOTS];
	char why[LIFECYCLE_WHY];
	struct file f;
	const struct lifecycle l = { .service = s, .model = &f.service, .fresh = true, .strict = true, .now = NOW };

	file_make(&f, 2, names, roles);
	assert_int_equal(lifecycle_merge(&l, slot, why), 0);
	assert_int_equal(slot[slot_of_name(slot, "v2")].role, PERCH_ROLE_CANARY);
	slots_clear(slot);
	service_delete(s);
}

static void test_roles_in_the_file_of_a_known_service_do_not_count(void **state)
{
	static const char *const names[] = { "v1", "v2" };
	static const enum perch_role roles[] = { PERCH_ROLE_CANARY, PERCH_ROLE_STABLE };
	char why[LIFECYCLE_WHY];
	struct file f, other;
	struct service *s = service_make(&f);

	file_make(&other, 2, names, roles);
	assert_int_equal(merge(s, &other, true, NOW, why), 0);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_CANARY);
	service_delete(s);
}

static void test_new_name_takes_the_canary_role_from_an_idle_one(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);
	int v1 = slot_of_name(s->slot, "v1");

	FILE_OF(&f, "v1", "v2", "v3");
	assert_int_equal(merge(s, &f, true, NOW + 1, why), 0);
	assert_int_equal(role_of(s, "v3"), PERCH_ROLE_CANARY);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_NONE);
	assert_int_equal(slot_of_name(s->slot, "v1"), v1);
	service_delete(s);
}

static void test_new_name_waits_while_the_canary_has_traffic(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	s->canary_share = 500;
	FILE_OF(&f, "v1", "v2", "v3");
	assert_int_equal(merge(s, &f, true, NOW + 1, why), 0);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_CANARY);
	assert_int_equal(role_of(s, "v3"), PERCH_ROLE_NONE);
	lifecycle_promote(s->slot, true, NOW + 2);
	lifecycle_fill_canary(s->slot, false, NOW + 2);
	assert_int_equal(role_of(s, "v3"), PERCH_ROLE_CANARY);
	service_delete(s);
}

static void test_newest_of_several_new_names_is_the_canary_and_no_older_one_follows(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	FILE_OF(&f, "v1", "v3", "v4");
	assert_int_equal(merge(s, &f, true, NOW + 1, why), 0);
	assert_int_equal(role_of(s, "v4"), PERCH_ROLE_CANARY);
	lifecycle_promote(s->slot, true, NOW + 2);
	lifecycle_fill_canary(s->slot, false, NOW + 2);
	assert_int_equal(slot_of_role(s->slot, PERCH_ROLE_CANARY), -1);
	service_delete(s);
}

static void test_stable_cannot_be_taken_out(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	FILE_OF(&f, "v2");
	assert_int_equal(merge(s, &f, true, NOW, why), -EBUSY);
	assert_non_null(strstr(why, "perch.yaml:7: services[0].versions: 'v1'"));
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	/* at start there is nobody to refuse: it stays from state */
	assert_int_equal(merge(s, &f, false, NOW, why), 0);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	assert_int_equal(s->slot[slot_of_name(s->slot, "v1")].n_backends, 1);
	service_delete(s);
}

static void test_version_in_a_rollout_cannot_be_taken_out(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	FILE_OF(&f, "v1");
	s->keep.rollout.phase = ROLLOUT_HOLDING;
	assert_int_equal(merge(s, &f, true, NOW, why), -EBUSY);
	s->keep.rollout.phase = ROLLOUT_IDLE;
	s->canary_share = 1;
	assert_int_equal(merge(s, &f, true, NOW, why), -EBUSY);
	s->canary_share = 0;
	assert_int_equal(merge(s, &f, true, NOW, why), 0);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_RETIRING);
	service_delete(s);
}

static void test_three_releases_need_only_a_name_each(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	lifecycle_promote(s->slot, true, NOW + 1);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_PREVIOUS);
	FILE_OF(&f, "v2", "v3");
	assert_int_equal(merge(s, &f, true, NOW + 2, why), 0);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_PREVIOUS);	/* stays from state */
	assert_int_equal(s->slot[slot_of_name(s->slot, "v1")].n_backends, 1);
	lifecycle_promote(s->slot, true, NOW + 3);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_RETIRING);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_PREVIOUS);
	FILE_OF(&f, "v3", "v4");
	assert_int_equal(merge(s, &f, true, NOW + 4, why), 0);
	lifecycle_promote(s->slot, true, NOW + 5);
	assert_int_equal(role_of(s, "v4"), PERCH_ROLE_STABLE);
	assert_int_equal(role_of(s, "v3"), PERCH_ROLE_PREVIOUS);
	service_delete(s);
}

/* v1 is previous, left the file and knows IPv4; the file then listens on both. */
static void test_previous_must_serve_every_family_that_is_listened_on(void **state)
{
	struct perch_endpoint listen[2] = { 0 };
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	assert_int_equal(endpoint_parse("192.0.2.10:80/tcp", &listen[0]), 0);
	assert_int_equal(endpoint_parse("[2001:db8::10]:80/tcp", &listen[1]), 0);
	assert_int_equal(address_parse("10.0.1.2", &s->slot[slot_of_name(s->slot, "v1")].backends[0].address), 0);
	lifecycle_promote(s->slot, true, NOW + 1);
	FILE_OF(&f, "v2");
	f.service.listen = listen;
	f.service.n_listen = 1;
	f.service.rollout.keep_previous = 3600;
	assert_int_equal(merge(s, &f, true, NOW + 2, why), 0);
	f.service.n_listen = 2;
	assert_int_equal(merge(s, &f, true, NOW + 3, why), -EBUSY);
	assert_non_null(strstr(why, "perch.yaml:7: services[0].listen[1]: [2001:db8::10]:80/tcp would find no backend"));
	assert_non_null(strstr(why, "'v1'"));
	/* at start it is served as far as it goes; with keepPrevious 0 it leaves */
	assert_int_equal(merge(s, &f, false, NOW + 4, why), 0);
	f.service.rollout.keep_previous = 0;
	assert_int_equal(merge(s, &f, true, NOW + 5, why), 0);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_PREVIOUS);
	service_delete(s);
}

static void test_back_to_previous_makes_stable_the_canary(void **state)
{
	struct file f;
	struct service *s = service_make(&f);

	lifecycle_promote(s->slot, true, NOW + 1);
	lifecycle_back(s->slot, NOW + 2);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_CANARY);
	assert_int_equal(slot_of_role(s->slot, PERCH_ROLE_PREVIOUS), -1);
	service_delete(s);
}

static void test_back_to_previous_leaves_a_new_canary_its_role(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	lifecycle_promote(s->slot, true, NOW + 1);
	FILE_OF(&f, "v1", "v2", "v3");
	assert_int_equal(merge(s, &f, true, NOW + 2, why), 0);
	lifecycle_back(s->slot, NOW + 3);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_STABLE);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_NONE);
	assert_int_equal(role_of(s, "v3"), PERCH_ROLE_CANARY);
	service_delete(s);
}

static void test_rejected_name_never_becomes_the_canary_by_itself(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	FILE_OF(&f, "v1");
	assert_int_equal(merge(s, &f, true, NOW + 1, why), 0);
	version_clear(&s->slot[slot_of_name(s->slot, "v2")]);
	rejected_name = "v2";
	FILE_OF(&f, "v1", "v2");
	assert_int_equal(merge(s, &f, true, NOW + 2, why), 0);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_NONE);
	assert_true(s->slot[slot_of_name(s->slot, "v2")].rejected);
	service_delete(s);
}

static void test_previous_expires_to_what_the_file_says(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);

	lifecycle_promote(s->slot, true, NOW + 1);
	lifecycle_expire(s->slot, NOW + 2);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_NONE);
	lifecycle_fill_canary(s->slot, false, NOW + 2);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_NONE);	/* off duty does not wait */
	FILE_OF(&f, "v2");
	assert_int_equal(merge(s, &f, true, NOW + 3, why), 0);
	assert_int_equal(role_of(s, "v1"), PERCH_ROLE_RETIRING);
	service_delete(s);
}

static void test_ninth_version_is_refused_with_its_line(void **state)
{
	char why[LIFECYCLE_WHY], name[8];
	struct file f;
	struct service *s = service_make(&f);
	int r = 0, i;

	for (i = 3; i < 12 && !r; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		FILE_OF(&f, "v1", name);
		r = merge(s, &f, true, NOW + i, why);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(i - 1, 9);	/* v1 to v8 fill the slots */
	assert_non_null(strstr(why, "perch.yaml:11:"));
	service_delete(s);
}

static void test_version_put_back_while_it_retires_is_a_canary_again(void **state)
{
	char why[LIFECYCLE_WHY];
	struct file f;
	struct service *s = service_make(&f);
	int slot = slot_of_name(s->slot, "v2");

	FILE_OF(&f, "v1");
	assert_int_equal(merge(s, &f, true, NOW + 1, why), 0);
	FILE_OF(&f, "v1", "v2");
	assert_int_equal(merge(s, &f, true, NOW + 2, why), 0);
	assert_int_equal(role_of(s, "v2"), PERCH_ROLE_CANARY);
	assert_int_equal(slot_of_name(s->slot, "v2"), slot);
	service_delete(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_service_takes_roles_from_the_file),
		cmocka_unit_test(test_fresh_version_without_role_enters_as_canary),
		cmocka_unit_test(test_roles_in_the_file_of_a_known_service_do_not_count),
		cmocka_unit_test(test_new_name_takes_the_canary_role_from_an_idle_one),
		cmocka_unit_test(test_new_name_waits_while_the_canary_has_traffic),
		cmocka_unit_test(test_newest_of_several_new_names_is_the_canary_and_no_older_one_follows),
		cmocka_unit_test(test_stable_cannot_be_taken_out),
		cmocka_unit_test(test_version_in_a_rollout_cannot_be_taken_out),
		cmocka_unit_test(test_three_releases_need_only_a_name_each),
		cmocka_unit_test(test_previous_must_serve_every_family_that_is_listened_on),
		cmocka_unit_test(test_back_to_previous_makes_stable_the_canary),
		cmocka_unit_test(test_back_to_previous_leaves_a_new_canary_its_role),
		cmocka_unit_test(test_rejected_name_never_becomes_the_canary_by_itself),
		cmocka_unit_test(test_previous_expires_to_what_the_file_says),
		cmocka_unit_test(test_ninth_version_is_refused_with_its_line),
		cmocka_unit_test(test_version_put_back_while_it_retires_is_a_canary_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
