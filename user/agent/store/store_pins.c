// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The table of pins.  One statement is used for all of a bulk, because there
 * may be a million of them. */
#include "store_pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_sql.h"

/* Carry out a statement n times, each with its own values, or not at all. */
static int store_bulk(struct store *s, const char *sql, size_t n,
		      void (*bind)(sqlite3_stmt *st, const void *arg, size_t i), const char *service, const void *arg)
{
	sqlite3_stmt *st = NULL;
	int r;

	if (!s || !n)
		return 0;
	r = store_begin(s);
	if (r)
		return r;
	r = store_prepare(s, &st, sql, "s", service);
	for (size_t i = 0; i < n && !r; i++) {
		int code;

		bind(st, arg, i);
		code = sqlite3_step(st);
		if (code != SQLITE_DONE)
			r = store_fail(s, code);
		sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	return store_end(s, r);
}

static void bind_client(sqlite3_stmt *st, const struct perch_address *client)
{
	sqlite3_bind_blob(st, 2, client, sizeof(*client), SQLITE_STATIC);
}

static void bind_pin(sqlite3_stmt *st, const void *arg, size_t i)
{
	const struct stored_pin *pin = (const struct stored_pin *)arg + i;

	bind_client(st, &pin->client);
	sqlite3_bind_text(st, 3, pin->target, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, pin->until);
}

int store_pins_set(struct store *s, const char *service, const struct stored_pin *pin, size_t n)
{
	return store_bulk(s, "INSERT OR REPLACE INTO pins VALUES(?, ?, ?, ?)", n, bind_pin, service, pin);
}

static void bind_delete(sqlite3_stmt *st, const void *arg, size_t i)
{
	bind_client(st, (const struct perch_address *)arg + i);
}

int store_pins_delete(struct store *s, const char *service, const struct perch_address *client, size_t n)
{
	return store_bulk(s, "DELETE FROM pins WHERE service = ? AND client = ?", n, bind_delete, service, client);
}

int store_pins_delete_some(struct store *s, const char *service, int most)
{
	int r = s ? store_write(s,
				"DELETE FROM pins WHERE service = ?1 AND client IN"
				" (SELECT client FROM pins WHERE service = ?1 LIMIT ?2)",
				"si", service, (sqlite3_int64)most) : 0;

	return r || !s ? r : sqlite3_changes(s->db);
}

/* Rows of client, target and until, until fn had enough. */
static int each_pin(struct store *s, sqlite3_stmt *st, bool (*fn)(void *arg, const struct stored_pin *pin), void *arg)
{
	int code;

	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		struct stored_pin pin = { .target = (const char *)sqlite3_column_text(st, 1),
					  .until = sqlite3_column_int64(st, 2) };

		if (sqlite3_column_bytes(st, 0) != sizeof(pin.client) || !pin.target)
			continue;	/* nothing of ours */
		memcpy(&pin.client, sqlite3_column_blob(st, 0), sizeof(pin.client));
		if (!fn(arg, &pin))
			break;
	}
	return store_read_end(s, st, code);
}

#define SELECT_PINS "SELECT client, target, until FROM pins WHERE service = ?"

int store_pins_each(struct store *s, const char *service, const char *target,
		    bool (*fn)(void *arg, const struct stored_pin *pin), void *arg)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return 0;
	r = store_prepare(s, &st, target ? SELECT_PINS " AND target = ?" : SELECT_PINS, target ? "ss" : "s", service, target);
	return r ? r : each_pin(s, st, fn, arg);
}

int store_pins_next(struct store *s, const char *service, const struct perch_address *after, size_t n,
		    bool (*fn)(void *arg, const struct stored_pin *pin), void *arg)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return 0;
	/* an empty blob is before all others */
	r = store_prepare(s, &st, SELECT_PINS " AND client > ? ORDER BY client LIMIT ?", "sbi", service,
			  after ? (const void *)after : "", after ? (int)sizeof(*after) : 0, (sqlite3_int64)n);
	return r ? r : each_pin(s, st, fn, arg);
}

int store_pin_target(struct store *s, const char *service, const struct perch_address *client, char ret[PERCH_NAME_LEN])
{
	sqlite3_stmt *st;
	int r, code;

	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT target FROM pins WHERE service = ? AND client = ?", "sb", service, client,
			  (int)sizeof(*client));
	if (r)
		return r;
	code = sqlite3_step(st);
	r = code == SQLITE_ROW && sqlite3_column_text(st, 0) ? 0 : -ENOENT;
	if (!r)
		snprintf(ret, PERCH_NAME_LEN, "%s", (const char *)sqlite3_column_text(st, 0));
	return store_read_end(s, st, code) ?: r;
}
