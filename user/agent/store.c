// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The database: opening it, its schema, and the statements.  Every write is on
 * the disk before it returns: a rejection must survive the power going. */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "events.h"
#include "store_sql.h"

#define STORE_VERSION 2

/* The steps from one version of the schema to the next. */
static const char *const migrations[STORE_VERSION] = {
	"BEGIN;"
	"CREATE TABLE services(name TEXT PRIMARY KEY, canary_share INTEGER NOT NULL, baseline_share INTEGER NOT NULL,"
	" salt INTEGER NOT NULL, salt_for TEXT NOT NULL, word INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE versions(service TEXT NOT NULL, slot INTEGER NOT NULL, name TEXT NOT NULL, role INTEGER NOT NULL,"
	" since INTEGER NOT NULL, backends TEXT NOT NULL, doors TEXT NOT NULL, PRIMARY KEY(service, slot)) WITHOUT ROWID;"
	"CREATE TABLE rollouts(service TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE rejections(service TEXT NOT NULL, version TEXT NOT NULL, time INTEGER NOT NULL,"
	" epoch INTEGER NOT NULL, by INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(service, version)) WITHOUT ROWID;"
	"CREATE TABLE events(id INTEGER PRIMARY KEY, json TEXT NOT NULL);"
	"PRAGMA user_version = 1;"
	"COMMIT;",

	"BEGIN;"
	"CREATE TABLE pins(service TEXT NOT NULL, client BLOB NOT NULL, target TEXT NOT NULL, until INTEGER NOT NULL,"
	" PRIMARY KEY(service, client)) WITHOUT ROWID;"
	"CREATE TABLE drains(service TEXT NOT NULL, address TEXT NOT NULL, since INTEGER NOT NULL,"
	" PRIMARY KEY(service, address)) WITHOUT ROWID;"
	"CREATE TABLE applied(service TEXT PRIMARY KEY, text TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE samples(time INTEGER NOT NULL, service TEXT NOT NULL, version TEXT NOT NULL, json TEXT NOT NULL,"
	" PRIMARY KEY(time, service, version)) WITHOUT ROWID;"
	"PRAGMA user_version = 2;"
	"COMMIT;",
};

int store_fail(struct store *s, int code)
{
	snprintf(s->error, sizeof(s->error), "%s", sqlite3_errmsg(s->db));
	return code == SQLITE_FULL ? -ENOSPC : -EIO;
}

/* See store_sql.h. */
static void statement_bind(sqlite3_stmt *st, const char *types, va_list args)
{
	const void *blob;

	for (int i = 0; types[i]; i++) {
		switch (types[i]) {
		case 's':
			sqlite3_bind_text(st, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
			break;
		case 'b':
			blob = va_arg(args, const void *);
			sqlite3_bind_blob(st, i + 1, blob, va_arg(args, int), SQLITE_TRANSIENT);
			break;
		default:
			sqlite3_bind_int64(st, i + 1, va_arg(args, sqlite3_int64));
		}
	}
}

int store_prepare(struct store *s, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
	va_list args;
	int code = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

	if (code != SQLITE_OK)
		return store_fail(s, code);
	va_start(args, types);
	statement_bind(*ret, types, args);
	va_end(args);
	return 0;
}

int store_write(struct store *s, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list args;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (code != SQLITE_OK)
		return store_fail(s, code);
	va_start(args, types);
	statement_bind(st, types, args);
	va_end(args);
	code = sqlite3_step(st);
	if (code != SQLITE_DONE) {
		int r = store_fail(s, code);

		sqlite3_finalize(st);
		return r;
	}
	sqlite3_finalize(st);
	s->error[0] = 0;
	return 0;
}

static int store_pragma_int(struct store *s, const char *sql, int *ret)
{
	sqlite3_stmt *st;
	int r = store_prepare(s, &st, sql, "");

	if (r)
		return r;
	r = sqlite3_step(st) == SQLITE_ROW ? 0 : store_fail(s, SQLITE_ERROR);
	if (!r)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return r;
}

/* 0, -EUCLEAN when the file is no database, -EPROTO for one of a newer perch. */
static int store_setup(struct store *s, const char *path)
{
	int version = 0, code;

	code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(s->db, 200);
		code = sqlite3_exec(s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL, NULL);
	}
	if (code == SQLITE_OK && store_pragma_int(s, "PRAGMA user_version", &version))
		code = sqlite3_errcode(s->db);
	if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
		return -EUCLEAN;
	if (code != SQLITE_OK)
		return store_fail(s, code);
	if (version > STORE_VERSION) {
		snprintf(s->error, sizeof(s->error), "made by a newer perch (schema %d, this one knows %d)", version,
			 STORE_VERSION);
		return -EPROTO;
	}
	for (; version < STORE_VERSION; version++) {
		code = sqlite3_exec(s->db, migrations[version], NULL, NULL, NULL);
		if (code != SQLITE_OK)
			return store_fail(s, code);
	}
	return 0;
}

/* Set the file and its journals aside. */
static void store_set_aside(const char *path)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char from[512], to[576];

	for (size_t i = 0; i < 3; i++) {
		snprintf(from, sizeof(from), "%s%s", path, parts[i]);
		snprintf(to, sizeof(to), "%s.corrupt-%lld%s", path, (long long)time(NULL), parts[i]);
		rename(from, to);
	}
}

int store_open(struct store **ret, const char *dir, bool *ret_corrupt, char why[STORE_WHY])
{
	struct store *s = calloc(1, sizeof(*s));
	char path[400];
	mode_t mask;
	int r;

	*ret_corrupt = false;
	if (!s)
		return -ENOMEM;
	if (mkdir(dir, 0750) && errno != EEXIST) {
		r = -errno;
		snprintf(why, STORE_WHY, "%s: %s", dir, strerror(-r));
		goto out;
	}
	snprintf(path, sizeof(path), "%s/state.db", dir);
	mask = umask(0027);
	r = store_setup(s, path);
	if (r == -EUCLEAN) {
		*ret_corrupt = true;
		sqlite3_close(s->db);
		s->db = NULL;
		store_set_aside(path);
		r = store_setup(s, path);
	}
	umask(mask);
	if (r)
		snprintf(why, STORE_WHY, "%.120s: %.120s", path, s->error);
out:
	if (r) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	free(s);
}

const char *store_error(const struct store *s)
{
	return s && s->error[0] ? s->error : NULL;
}

static int store_versions(struct store *s, const struct stored_service *service)
{
	int r = store_write(s, "DELETE FROM versions WHERE service = ?", "s", service->name);

	for (size_t i = 0; i < service->n_versions && !r; i++) {
		const struct stored_version *v = &service->version[i];

		r = store_write(s, "INSERT INTO versions VALUES(?, ?, ?, ?, ?, ?, ?)", "sisiiss", service->name,
				(sqlite3_int64)v->slot, v->name, (sqlite3_int64)v->role, (sqlite3_int64)v->since,
				v->backends, v->doors);
	}
	return r;
}

int store_service(struct store *s, const struct stored_service *service)
{
	int r;

	if (!s)
		return 0;
	r = store_write(s, "BEGIN IMMEDIATE", "");
	if (r)
		return r;
	r = store_write(s, "INSERT OR REPLACE INTO services VALUES(?, ?, ?, ?, ?, ?)", "siiisi", service->name,
			(sqlite3_int64)service->canary_share, (sqlite3_int64)service->baseline_share,
			(sqlite3_int64)service->salt, service->salt_for, (sqlite3_int64)service->word);
	if (!r)
		r = store_versions(s, service);
	if (!r)
		r = store_write(s, "COMMIT", "");
	if (r)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static void column_name(sqlite3_stmt *st, int column, char out[PERCH_NAME_LEN])
{
	const unsigned char *text = sqlite3_column_text(st, column);

	snprintf(out, PERCH_NAME_LEN, "%s", text ? (const char *)text : "");
}

static char *column_copy(sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	return strdup(text ? (const char *)text : "[]");
}

static int store_versions_load(struct store *s, struct stored_service *service)
{
	sqlite3_stmt *st;
	int r = store_prepare(s, &st, "SELECT slot, name, role, since, backends, doors FROM versions WHERE service = ?",
			      "s", service->name);

	if (r)
		return r;
	while (service->n_versions < PERCH_SLOTS && sqlite3_step(st) == SQLITE_ROW) {
		struct stored_version *v = &service->version[service->n_versions++];

		v->slot = sqlite3_column_int(st, 0);
		column_name(st, 1, v->name);
		v->role = sqlite3_column_int(st, 2);
		v->since = sqlite3_column_int64(st, 3);
		v->backends = column_copy(st, 4);
		v->doors = column_copy(st, 5);
	}
	sqlite3_finalize(st);
	return 0;
}

int store_service_load(struct store *s, const char *name, struct stored_service *ret)
{
	sqlite3_stmt *st;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT canary_share, baseline_share, salt, salt_for, word FROM services WHERE name = ?",
			  "s", name);
	if (r)
		return r;
	r = sqlite3_step(st) == SQLITE_ROW ? 0 : -ENOENT;
	if (!r) {
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		ret->canary_share = sqlite3_column_int(st, 0);
		ret->baseline_share = sqlite3_column_int(st, 1);
		ret->salt = sqlite3_column_int64(st, 2);
		column_name(st, 3, ret->salt_for);
		ret->word = sqlite3_column_int64(st, 4);
	}
	sqlite3_finalize(st);
	return r ? r : store_versions_load(s, ret);
}

void store_service_free(struct stored_service *service)
{
	for (size_t i = 0; i < service->n_versions; i++) {
		free((char *)service->version[i].backends);
		free((char *)service->version[i].doors);
	}
	service->n_versions = 0;
}

int store_rollout(struct store *s, const char *service, const void *bytes, size_t length)
{
	return s ? store_write(s, "INSERT OR REPLACE INTO rollouts VALUES(?, ?)", "sb", service, bytes, (int)length) : 0;
}

int store_rollout_load(struct store *s, const char *service, void *bytes, size_t size)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT bytes FROM rollouts WHERE service = ?", "s", service);
	if (r)
		return r;
	r = -ENOENT;
	if (sqlite3_step(st) == SQLITE_ROW && (size_t)sqlite3_column_bytes(st, 0) <= size) {
		r = sqlite3_column_bytes(st, 0);
		memcpy(bytes, sqlite3_column_blob(st, 0), r);
	}
	sqlite3_finalize(st);
	return r;
}

int store_reject(struct store *s, const char *service, const char *version, const struct perch_rejection *r)
{
	if (!s)
		return 0;
	return store_write(s, "INSERT OR REPLACE INTO rejections VALUES(?, ?, ?, ?, ?, ?)", "ssiiis", service, version,
			   (sqlite3_int64)r->when, (sqlite3_int64)r->epoch, (sqlite3_int64)r->by, r->reason);
}

int store_unreject(struct store *s, const char *service, const char *version)
{
	return s ? store_write(s, "DELETE FROM rejections WHERE service = ? AND version = ?", "ss", service, version) : 0;
}

int store_rejected(struct store *s, const char *service, const char *version, struct perch_rejection *ret)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT time, epoch, by, reason FROM rejections WHERE service = ? AND version = ?", "ss",
			  service, version);
	if (r)
		return r;
	memset(ret, 0, sizeof(*ret));
	r = sqlite3_step(st) == SQLITE_ROW ? 0 : -ENOENT;
	if (!r) {
		ret->when = sqlite3_column_int64(st, 0);
		ret->epoch = sqlite3_column_int64(st, 1);
		ret->by = sqlite3_column_int64(st, 2);
		snprintf(ret->reason, sizeof(ret->reason), "%s", (const char *)sqlite3_column_text(st, 3));
	}
	sqlite3_finalize(st);
	return r;
}

int store_event(struct store *s, __u64 id, const char *json)
{
	int r;

	if (!s)
		return 0;
	r = store_write(s, "INSERT OR REPLACE INTO events VALUES(?, ?)", "is", (sqlite3_int64)id, json);
	if (!r && id % 256 == 0 && id > EVENTS_STORED)
		r = store_write(s, "DELETE FROM events WHERE id <= ?", "i", (sqlite3_int64)(id - EVENTS_STORED));
	return r;
}

int store_events(struct store *s, size_t n, void (*fn)(void *arg, __u64 id, const char *json), void *arg)
{
	sqlite3_stmt *st;
	int r;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT * FROM (SELECT id, json FROM events ORDER BY id DESC LIMIT ?) ORDER BY id", "i",
			  (sqlite3_int64)n);
	if (r)
		return r;
	while (sqlite3_step(st) == SQLITE_ROW)
		fn(arg, sqlite3_column_int64(st, 0), (const char *)sqlite3_column_text(st, 1));
	sqlite3_finalize(st);
	return 0;
}
