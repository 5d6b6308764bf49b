// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the store keeps by the row: samples, and votes of a rollout. */
#include "test_agent_store.h"

struct seen_votes {
	size_t n;
	__u64 canary;
	__u32 last;
};

static void see_votes(void *arg, const struct ledger_row *row)
{
	struct seen_votes *seen = arg;

	assert_true(row->w == 0.05);
	assert_true(row->bet > seen->last || !seen->n || row->block == 2);
	seen->last = row->bet;
	seen->canary += row->canary;
	seen->n++;
}

static void test_votes_are_replaced_and_end_with_their_service(void **state)
{
	struct store *s = open_again(NULL);
	struct ledger_row row = { .block = 1, .epoch = 6, .bet = 3, .w = 0.05, .canary = 2, .stable = 1 };
	struct seen_votes seen = { 0 };

	assert_int_equal(store_votes_put(s, "web", &row, 1), 0);
	row.canary = 5;
	assert_int_equal(store_votes_put(s, "web", &row, 1), 0);
	row.block = 2;
	assert_int_equal(store_votes_put(s, "web", &row, 1), 0);
	row.bet = 1;
	assert_int_equal(store_votes_put(s, "web", &row, 1), 0);
	assert_int_equal(store_votes_put(s, "api", &row, 1), 0);
	s = open_again(s);
	assert_int_equal(store_votes(s, "web", see_votes, &seen), 0);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.canary, 15);
	assert_int_equal(store_votes_clear(s, "web"), 0);
	assert_int_equal(store_forget(s, "api"), 0);
	seen = (struct seen_votes){ 0 };
	assert_int_equal(store_votes(s, "web", see_votes, &seen), 0);
	assert_int_equal(store_votes(s, "api", see_votes, &seen), 0);
	assert_int_equal(seen.n, 0);
	assert_int_equal(store_votes(NULL, "web", see_votes, &seen), 0);
	store_close(s);
}

struct seen_samples {
	size_t n;
	__u64 first, last;
};

static void see_sample(void *arg, const struct stored_sample *sample)
{
	struct seen_samples *seen = arg;

	assert_string_equal(sample->json, "{\"connections\":1}");
	if (!seen->n++)
		seen->first = sample->time;
	assert_true(sample->time >= seen->last);
	seen->last = sample->time;
}

static struct seen_samples look_at_samples(struct store *s, const char *service, __u64 since, __u64 limit)
{
	struct seen_samples seen = { 0 };

	assert_int_equal(store_samples(s, service, since, limit, see_sample, &seen), 0);
	return seen;
}

static void add_samples(struct store *s, const char *service, __u64 from, size_t n)
{
	struct stored_sample *list = calloc(n, sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = (struct stored_sample){ .time = from + i, .service = service, .version = "v1",
						  .json = "{\"connections\":1}" };
	assert_int_equal(store_samples_add(s, list, n), 0);
	free(list);
}

static void test_samples_are_found_by_service_and_time(void **state)
{
	struct store *s = open_again(NULL);
	struct seen_samples seen;

	add_samples(s, "web", 1000, 100);
	add_samples(s, "api", 1050, 100);
	s = open_again(s);
	seen = look_at_samples(s, "web", 0, 1000);
	assert_true(seen.n == 100 && seen.first == 1000 && seen.last == 1099);
	seen = look_at_samples(s, "web", 1090, 1000);
	assert_true(seen.n == 10 && seen.first == 1090);
	seen = look_at_samples(s, "web", 0, 5);	/* the last ones */
	assert_true(seen.n == 5 && seen.first == 1095);
	assert_int_equal(look_at_samples(s, "other", 0, 10).n, 0);
	store_close(s);
}

static void test_old_samples_are_deleted_in_slices(void **state)
{
	struct store *s = open_again(NULL);

	add_samples(s, "web", 1000, 5000);
	assert_int_equal(store_samples_trim(s, 4000), 0);
	assert_int_equal(look_at_samples(s, NULL, 0, 10000).n, 3000);
	assert_int_equal(store_samples_trim(s, 4000), 0);
	assert_int_equal(look_at_samples(s, NULL, 0, 10000).n, 2000);
	assert_int_equal(store_samples_trim(s, 4000), 0);
	assert_int_equal(look_at_samples(s, NULL, 0, 10000).n, 2000);
	assert_int_equal(look_at_samples(s, NULL, 0, 10000).first, 4000);
	store_close(s);
}

/* Another holds the file as samples come: later ones are written whole or not
 * at all, as ever. */
static void test_a_transaction_that_could_not_begin_leaves_nothing_behind(void **state)
{
	struct store *s = open_again(NULL);
	struct ledger_row row = { .block = 1, .epoch = 6, .bet = 3, .w = 0.05, .canary = 2 };
	struct stored_sample sample = { .time = 1, .service = "web", .version = "v1", .json = "{\"connections\":1}" };
	struct seen_votes seen = { 0 };
	char path[128];
	sqlite3 *other;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_not_equal(store_samples_add(s, &sample, 1), 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_votes_put(s, "web", &row, 1), 0);
	assert_int_equal(store_end(s, -EIO), -EIO);
	assert_int_equal(store_votes(s, "web", see_votes, &seen), 0);
	assert_int_equal(seen.n, 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_samples_are_found_by_service_and_time),
		TEST(test_votes_are_replaced_and_end_with_their_service),
		TEST(test_a_transaction_that_could_not_begin_leaves_nothing_behind),
		TEST(test_old_samples_are_deleted_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
