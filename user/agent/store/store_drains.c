// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The store's table of backends that a person drains. */
#include "store_drains.h"

#include "store_sql.h"

int store_drain(struct store *s, const char *service, const char *address, __u64 since)
{
	if (!s)
		return 0;
	return store_write(s, "INSERT OR REPLACE INTO drains VALUES(?, ?, ?)", "ssi", service, address, (sqlite3_int64)since);
}

int store_resume(struct store *s, const char *service, const char *address)
{
	return s ? store_write(s, "DELETE FROM drains WHERE service = ? AND address = ?", "ss", service, address) : 0;
}

int store_resume_all(struct store *s, const char *service)
{
	return s ? store_write(s, "DELETE FROM drains WHERE service = ?", "s", service) : 0;
}

int store_drains(struct store *s, const char *service, void (*fn)(void *arg, const char *address, __u64 since), void *arg)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT address, since FROM drains WHERE service = ? ORDER BY address", "s", service);
	if (r)
		return r;
	while (sqlite3_step(st) == SQLITE_ROW)
		fn(arg, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
	sqlite3_finalize(st);
	return 0;
}
