// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What was counted over time, as rows in the order in which they came. */
#include "store_sql.h"

#define TRIM_SLICE 2000		/* rows deleted at once */

int store_samples_add(struct store *s, const struct stored_sample *sample, size_t n)
{
	int r;

	if (!s || !n)
		return 0;
	r = store_begin_loose(s);	/* nothing hangs on the last minute */
	if (r)
		return r;
	for (size_t i = 0; i < n && !r; i++)
		r = store_write(s, "INSERT INTO samples(time, service, version, json) VALUES(?, ?, ?, ?)", "isss",
				(sqlite3_int64)sample[i].time, sample[i].service, sample[i].version, sample[i].json);
	return store_end_loose(s, r);
}

int store_samples(struct store *s, const char *service, __u64 since, __u64 limit,
		  void (*fn)(void *arg, const struct stored_sample *sample), void *arg)
{
	sqlite3_stmt *st;
	int r, code;

	if (!s)
		return 0;
	r = service ? store_prepare(s, &st,
				    "SELECT time, service, version, json FROM (SELECT * FROM samples WHERE service = ? AND "
				    "time >= ? ORDER BY time DESC, id DESC LIMIT ?) ORDER BY id", "sii", service,
				    (sqlite3_int64)since, (sqlite3_int64)limit) :
		      store_prepare(s, &st,
				    "SELECT time, service, version, json FROM (SELECT * FROM samples WHERE time >= ? ORDER BY "
				    "id DESC LIMIT ?) ORDER BY id", "ii", (sqlite3_int64)since, (sqlite3_int64)limit);
	if (r)
		return r;
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, &(struct stored_sample){ .time = sqlite3_column_int64(st, 0),
						 .service = (const char *)sqlite3_column_text(st, 1),
						 .version = (const char *)sqlite3_column_text(st, 2),
						 .json = (const char *)sqlite3_column_text(st, 3) });
	return store_read_end(s, st, code);
}

/* The oldest have the lowest ids: a slice is looked at, not the table. */
int store_samples_trim(struct store *s, __u64 before)
{
	if (!s)
		return 0;
	return store_write(s, "DELETE FROM samples WHERE id IN (SELECT id FROM samples ORDER BY id LIMIT ?) AND "
			   "(time < ? OR id <= (SELECT max(id) FROM samples) - ?)", "iii", (sqlite3_int64)TRIM_SLICE,
			   (sqlite3_int64)before, (sqlite3_int64)SAMPLES_MOST);
}
