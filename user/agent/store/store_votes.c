// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The store's table of votes. */
#include "store_votes.h"

#include "store_sql.h"

int store_votes_put(struct store *s, const char *service, const struct ledger_row *rows, size_t n)
{
	int r;

	if (!s || !n)
		return 0;
	r = store_begin_loose(s);
	if (r)
		return r;
	for (size_t i = 0; i < n && !r; i++)
		r = store_write(s, "INSERT OR REPLACE INTO votes VALUES(?, ?, ?, ?, ?, ?, ?)", "siiidii", service,
				(sqlite3_int64)rows[i].bet, (sqlite3_int64)rows[i].block, (sqlite3_int64)rows[i].epoch, rows[i].w,
				(sqlite3_int64)rows[i].canary, (sqlite3_int64)rows[i].stable);
	return store_end_loose(s, r);
}

int store_votes_clear(struct store *s, const char *service)
{
	return s ? store_write(s, "DELETE FROM votes WHERE service = ?", "s", service) : 0;
}

int store_votes(struct store *s, const char *service, void (*fn)(void *arg, const struct ledger_row *row), void *arg)
{
	sqlite3_stmt *st;
	int r, code;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT bet, block, epoch, w, canary, stable FROM votes WHERE service = ? "
			  "ORDER BY bet, block, epoch", "s", service);
	if (r)
		return r;
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, &(struct ledger_row){ .bet = sqlite3_column_int(st, 0), .block = sqlite3_column_int(st, 1),
					      .epoch = sqlite3_column_int(st, 2), .w = sqlite3_column_double(st, 3),
					      .canary = sqlite3_column_int64(st, 4), .stable = sqlite3_column_int64(st, 5) });
	return store_read_end(s, st, code);
}
