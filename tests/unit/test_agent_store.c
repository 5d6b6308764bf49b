// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The store on a real file: what is written is found again by the next agent. */
#include "test_agent_store.h"

static struct stored_service service_example(void)
{
	struct stored_service s = { .name = "web", .canary_share = 525, .baseline_share = 1, .salt = 0xfedcba9876543210ull,
				    .salt_for = "v2", .word = 0x8001000000020001ull, .n_versions = 2 };

	s.version[0] = (struct stored_version){ .name = "v1", .slot = 3, .role = PERCH_ROLE_STABLE, .since = 77,
						.backends = "[1]", .doors = "[]" };
	s.version[1] = (struct stored_version){ .name = "v2", .slot = 0, .role = PERCH_ROLE_CANARY, .since = 78,
						.backends = "[2]", .doors = "[3]" };
	return s;
}

static void test_service_is_found_again(void **state)
{
	const struct stored_service want = service_example();
	struct store *s = open_again(NULL);
	struct stored_service got;

	assert_int_equal(store_service(s, &want), 0);
	s = open_again(s);
	assert_int_equal(store_service_load(s, "web", &got), 0);
	assert_int_equal(got.canary_share, 525);
	assert_int_equal(got.baseline_share, 1);
	assert_true(got.salt == want.salt && got.word == want.word);
	assert_string_equal(got.salt_for, "v2");
	assert_int_equal(got.n_versions, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct stored_version *v = &got.version[i], *w = &want.version[v->slot == 3 ? 0 : 1];

		assert_string_equal(v->name, w->name);
		assert_int_equal(v->role, w->role);
		assert_int_equal(v->since, w->since);
		assert_string_equal(v->backends, w->backends);
		assert_string_equal(v->doors, w->doors);
	}
	store_service_free(&got);
	assert_int_equal(store_service_load(s, "other", &got), -ENOENT);
	store_close(s);
}

static void test_service_written_again_loses_versions_that_left(void **state)
{
	struct stored_service want = service_example(), got;
	struct store *s = open_again(NULL);

	assert_int_equal(store_service(s, &want), 0);
	want.n_versions = 1;
	assert_int_equal(store_service(s, &want), 0);
	assert_int_equal(store_service_load(s, "web", &got), 0);
	assert_int_equal(got.n_versions, 1);
	store_service_free(&got);
	store_close(s);
}

static void test_rejection_stays_until_it_is_taken_back(void **state)
{
	const struct perch_rejection r = { .when = 5, .epoch = 0xfffffffe, .by = PERCH_BY_REFLEX, .reason = "bad, 'quoted'" };
	struct perch_rejection got;
	struct store *s = open_again(NULL);

	assert_int_equal(store_rejected(s, "web", "v2", &got), -ENOENT);
	assert_int_equal(store_reject(s, "web", "v2", &r), 0);
	s = open_again(s);
	assert_int_equal(store_rejected(s, "web", "v2", &got), 0);
	assert_memory_equal(&got, &r, sizeof(r));
	assert_int_equal(store_rejected(s, "web", "v1", &got), -ENOENT);
	assert_int_equal(store_unreject(s, "web", "v2"), 0);
	s = open_again(s);
	assert_int_equal(store_rejected(s, "web", "v2", &got), -ENOENT);
	store_close(s);
}

static void test_rollout_bytes_come_back_whole_or_not(void **state)
{
	unsigned char bytes[900], got[1000];
	struct store *s = open_again(NULL);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7;
	assert_int_equal(store_rollout(s, "web", bytes, sizeof(bytes)), 0);
	s = open_again(s);
	assert_int_equal(store_rollout_load(s, "web", got, sizeof(got)), sizeof(bytes));
	assert_memory_equal(got, bytes, sizeof(bytes));
	assert_int_equal(store_rollout_load(s, "web", got, 899), -ENOENT);
	store_close(s);
}

static void test_events_go_on_counting_after_a_restart(void **state)
{
	struct store *s = open_again(NULL);
	struct events *e;
	json_t *last;

	assert_int_equal(events_open(&e, s), 0);
	for (int i = 0; i < 3; i++)
		events_emit(e, &(struct event){ .kind = "step", .service = i == 1 ? "api" : "web", .reason = "r" });
	events_close(e);
	s = open_again(s);
	assert_int_equal(events_open(&e, s), 0);
	events_emit(e, &(struct event){ .kind = "promote", .service = "web", .actor = &actor_judge });
	last = events_last(e, 2, "web");
	assert_int_equal(json_array_size(last), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(last, 0), "id")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(last, 1), "id")), 4);
	assert_string_equal(json_string_value(json_object_get(json_object_get(json_array_get(last, 1), "actor"), "via")),
			    "judge");
	json_decref(last);
	events_close(e);
	store_close(s);
}

static void test_file_that_is_no_database_is_set_aside(void **state)
{
	char why[STORE_WHY], path[160];
	struct store *s = open_again(NULL);
	struct stored_service got;
	bool corrupt;
	FILE *f;

	store_close(s);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 4096; i++)
		fputs("garbage", f);
	fclose(f);
	assert_int_equal(store_open(&s, dir, &corrupt, why), 0);
	assert_true(corrupt);
	/* what it held is to be written again */
	assert_non_null(store_error(s));
	assert_int_equal(store_service_load(s, "web", &got), -ENOENT);
	assert_int_equal(store_service(s, &(struct stored_service){ .name = "web" }), 0);
	store_close(s);
}

static void test_write_that_fails_is_told_until_all_was_written(void **state)
{
	struct store *s = open_again(NULL);
	char path[160];
	sqlite3 *other;

	/* somebody else in the middle of a transaction */
	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_null(store_error(s));
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_event(s, 1, "{}"), -EIO);
	assert_non_null(store_error(s));
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	/* another write may succeed, this one is still missing */
	assert_int_equal(store_event(s, 2, "{}"), 0);
	assert_non_null(store_error(s));
	store_is_whole(s);
	assert_null(store_error(s));
	sqlite3_close(other);
	store_close(s);
}

static void test_transaction_is_written_whole_or_not_at_all(void **state)
{
	const struct perch_rejection r = { .when = 5, .reason = "bad" };
	struct store *s = open_again(NULL);
	struct perch_rejection got;

	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_reject(s, "web", "v2", &r), 0);
	assert_int_equal(store_service(s, &(struct stored_service){ .name = "web" }), 0);	/* nests */
	assert_int_equal(store_end(s, -EIO), -EIO);
	s = open_again(s);
	assert_int_equal(store_rejected(s, "web", "v2", &got), -ENOENT);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_reject(s, "web", "v2", &r), 0);
	assert_int_equal(store_end(s, 0), 0);
	s = open_again(s);
	assert_int_equal(store_rejected(s, "web", "v2", &got), 0);
	store_close(s);
}

static void remove_tree(const char *path)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

static void test_directory_that_was_deleted_is_noticed_and_made_anew(void **state)
{
	const struct stored_service web = service_example();
	struct store *s = open_again(NULL);
	struct stored_service got;
	char why[STORE_WHY] = "";

	assert_int_equal(store_service(s, &web), 0);
	assert_false(store_gone(s));
	remove_tree(dir);
	assert_true(store_gone(s));
	assert_int_equal(store_reopen(s, why), 0);
	assert_false(store_gone(s));
	assert_non_null(store_error(s));
	assert_int_equal(store_service_load(s, "web", &got), -ENOENT);
	assert_int_equal(store_service(s, &web), 0);
	s = open_again(s);
	assert_int_equal(store_service_load(s, "web", &got), 0);
	store_service_free(&got);
	store_close(s);
}

/* The pages of a table, behind the back of who has the file open. */
static void overwrite_pages(const char *path, long from)
{
	FILE *f = fopen(path, "r+");
	long size;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	assert_true(size > from);
	assert_int_equal(fseek(f, from, SEEK_SET), 0);
	for (long i = from; i < size; i++)
		fputc(0xa5, f);
	fclose(f);
}

static void test_damage_found_while_running_is_set_aside(void **state)
{
	const struct stored_service web = service_example();
	struct store *s = open_again(NULL);
	char why[STORE_WHY] = "", path[160];
	struct stored_service got;

	assert_int_equal(store_service(s, &web), 0);
	store_close(s);		/* the journal goes into the file */
	snprintf(path, sizeof(path), "%s/state.db", dir);
	overwrite_pages(path, 4096);
	s = open_again(NULL);	/* its first page is right */
	assert_int_equal(store_service_load(s, "web", &got), -EIO);
	assert_true(store_damaged(s));
	assert_int_equal(store_reopen(s, why), 0);
	assert_false(store_damaged(s));
	assert_non_null(store_error(s));
	assert_int_equal(store_service(s, &web), 0);
	s = open_again(s);
	assert_int_equal(store_service_load(s, "web", &got), 0);
	store_service_free(&got);
	store_close(s);
}

static void test_file_that_cannot_grow_fails_writes_and_recovers(void **state)
{
	const struct perch_rejection r = { .when = 5, .reason = "bad" };
	struct store *s = open_again(NULL);
	struct rlimit before, none;
	struct perch_rejection got;

	assert_int_equal(store_reject(s, "web", "v1", &r), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_true(store_reject(s, "web", "v2", &r) < 0);
	assert_non_null(store_error(s));
	assert_int_equal(store_rejected(s, "web", "v1", &got), 0);	/* reading goes on */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(store_reject(s, "web", "v2", &r), 0);
	s = open_again(s);
	assert_int_equal(store_rejected(s, "web", "v2", &got), 0);
	store_close(s);
}

static void test_store_that_could_not_be_made_anew_is_tried_again(void **state)
{
	const struct stored_service web = service_example();
	struct store *s = open_again(NULL);
	struct stored_service got;
	char why[STORE_WHY] = "";
	FILE *f;

	remove_tree(dir);
	f = fopen(dir, "w");	/* in its place */
	assert_non_null(f);
	fclose(f);
	assert_true(store_gone(s));
	assert_true(store_reopen(s, why) < 0);
	assert_non_null(strstr(why, dir));
	assert_true(store_gone(s));
	assert_true(store_service(s, &web) < 0 || store_gone(s));
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(store_reopen(s, why), 0);
	assert_int_equal(store_service(s, &web), 0);
	s = open_again(s);
	assert_int_equal(store_service_load(s, "web", &got), 0);
	store_service_free(&got);
	store_close(s);
}

static void test_directory_is_made_for_nobody_else(void **state)
{
	struct store *s = open_again(NULL);
	struct stat st;

	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	store_close(s);
}

static void test_no_store_is_no_error(void **state)
{
	struct perch_rejection r;

	assert_int_equal(store_event(NULL, 1, "{}"), 0);
	assert_int_equal(store_rejected(NULL, "web", "v1", &r), -ENOENT);
	assert_null(store_error(NULL));
	assert_false(store_gone(NULL));
	assert_int_equal(store_begin(NULL), 0);
	assert_int_equal(store_end(NULL, 0), 0);
	assert_int_equal(store_samples_trim(NULL, 1), 0);
	store_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_service_is_found_again),
		TEST(test_service_written_again_loses_versions_that_left),
		TEST(test_rejection_stays_until_it_is_taken_back),
		TEST(test_rollout_bytes_come_back_whole_or_not),
		TEST(test_events_go_on_counting_after_a_restart),
		TEST(test_file_that_is_no_database_is_set_aside),
		TEST(test_write_that_fails_is_told_until_all_was_written),
		TEST(test_transaction_is_written_whole_or_not_at_all),
		TEST(test_directory_that_was_deleted_is_noticed_and_made_anew),
		TEST(test_damage_found_while_running_is_set_aside),
		TEST(test_file_that_cannot_grow_fails_writes_and_recovers),
		TEST(test_store_that_could_not_be_made_anew_is_tried_again),
		TEST(test_directory_is_made_for_nobody_else),
		TEST(test_no_store_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
