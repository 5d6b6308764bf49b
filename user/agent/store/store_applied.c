// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services that the API owns: their texts, and the end of all that is kept of
 * one. */
#include <errno.h>

#include "store_sql.h"

int store_applied_put(struct store *s, const char *service, const char *text, __u64 since)
{
	if (!s)
		return -EROFS;
	return store_write(s, "INSERT OR REPLACE INTO applied VALUES(?, ?, ?)", "ssi", service, text, (sqlite3_int64)since);
}

int store_applied_each(struct store *s, int (*fn)(void *arg, const char *service, const char *text, __u64 since), void *arg)
{
	sqlite3_stmt *st;
	int r, code = SQLITE_DONE;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT service, text, since FROM applied ORDER BY since, service", "");
	if (r)
		return r;
	while (!r && (code = sqlite3_step(st)) == SQLITE_ROW)
		r = fn(arg, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1),
		       sqlite3_column_int64(st, 2));
	return store_read_end(s, st, code) ?: r;
}

int store_applied_delete(struct store *s, const char *service)
{
	return s ? store_write(s, "DELETE FROM applied WHERE service = ?", "s", service) : -EROFS;
}

/* Rejections stay: a name that comes back is still rejected. */
int store_forget(struct store *s, const char *service)
{
	static const char *const statements[] = {
		"DELETE FROM applied WHERE service = ?", "DELETE FROM services WHERE name = ?",
		"DELETE FROM versions WHERE service = ?", "DELETE FROM rollouts WHERE service = ?",
		"DELETE FROM pins WHERE service = ?", "DELETE FROM drains WHERE service = ?",
		"DELETE FROM votes WHERE service = ?",
	};
	int r;

	if (!s)
		return -EROFS;
	r = store_begin(s);
	if (r)
		return r;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]) && !r; i++)
		r = store_write(s, statements[i], "s", service);
	return store_end(s, r);
}
