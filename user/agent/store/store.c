// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The database: opening it, anew too, its schema, and the statements.  Every
 * write is on the disk before it returns: a rejection must survive the power
 * going. */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store_sql.h"

#define STORE_VERSION 3
#define BUSY_MS 200

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
	"CREATE TABLE samples(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, service TEXT NOT NULL, version TEXT NOT NULL,"
	" json TEXT NOT NULL);"
	"CREATE INDEX samples_of ON samples(service, time);"
	"PRAGMA user_version = 2;"
	"COMMIT;",

	"BEGIN;"
	"CREATE TABLE votes(service TEXT NOT NULL, bet INTEGER NOT NULL, block INTEGER NOT NULL, epoch INTEGER NOT NULL,"
	" w REAL NOT NULL, canary INTEGER NOT NULL, stable INTEGER NOT NULL, PRIMARY KEY(service, bet, block, epoch))"
	" WITHOUT ROWID;"
	"PRAGMA user_version = 3;"
	"COMMIT;",
};

static bool is_corrupt(int code)
{
	return (code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT;
}

int store_fail(struct store *s, int code)
{
	/* without a database what opening it said still holds */
	if (s->db)
		snprintf(s->error, sizeof(s->error), "%s", sqlite3_errmsg(s->db));
	s->behind = true;
	s->corrupt |= is_corrupt(code);
	return code == SQLITE_FULL ? -ENOSPC : -EIO;
}

int store_read_end(struct store *s, sqlite3_stmt *st, int code)
{
	int r = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : store_fail(s, code);

	sqlite3_finalize(st);
	return r;
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
		case 'd':
			sqlite3_bind_double(st, i + 1, va_arg(args, double));
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
	return 0;
}

int store_begin(struct store *s)
{
	int r;

	if (!s || s->depth++)
		return 0;
	r = store_write(s, "BEGIN IMMEDIATE", "");
	if (r)
		s->depth--;
	return r;
}

int store_end(struct store *s, int r)
{
	if (!s || --s->depth)
		return r;
	if (!r)
		r = store_write(s, "COMMIT", "");
	if (r)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int store_begin_loose(struct store *s)
{
	int r;

	store_write(s, "PRAGMA synchronous=NORMAL", "");
	r = store_begin(s);
	if (r)
		store_write(s, "PRAGMA synchronous=FULL", "");
	return r;
}

int store_end_loose(struct store *s, int r)
{
	r = store_end(s, r);
	store_write(s, "PRAGMA synchronous=FULL", "");
	return r;
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

/*
 * A full disk has no room for the file that readers in other processes share
 * with us (-shm); alone we can do without, and read what must not be forgotten.
 */
static int store_connect(struct store *s)
{
	static const char *const pragmas[] = {
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
	};
	int code = SQLITE_ERROR;

	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]); i++) {
		sqlite3_close(s->db);
		s->db = NULL;
		code = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
		if (code != SQLITE_OK)
			return code;
		sqlite3_busy_timeout(s->db, BUSY_MS);
		code = sqlite3_exec(s->db, pragmas[i], NULL, NULL, NULL);
		if (code == SQLITE_OK || is_corrupt(code))
			return code;
	}
	return code;
}

/* 0, -EUCLEAN when the file is no database, -EPROTO for one of a newer perch. */
static int store_setup(struct store *s)
{
	int version = 0, code = store_connect(s);

	if (code == SQLITE_OK && store_pragma_int(s, "PRAGMA user_version", &version))
		code = sqlite3_errcode(s->db);
	if (is_corrupt(code))
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
	s->behind = s->corrupt = false;
	s->error[0] = 0;
	return 0;
}

/* Set the file and its journals aside, and say so. */
static void store_set_aside(struct store *s)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	long long now = time(NULL);
	char from[STORE_PATH + 8], to[STORE_PATH + 40];

	sqlite3_close(s->db);
	s->db = NULL;
	for (size_t i = 0; i < 3; i++) {
		snprintf(from, sizeof(from), "%s%s", s->path, parts[i]);
		snprintf(to, sizeof(to), "%s.corrupt-%lld%s", s->path, now, parts[i]);
		rename(from, to);
	}
}

/* Opens s->path, after setting it aside when it is damaged or `damaged` says so. */
static int store_open_file(struct store *s, bool damaged, char why[STORE_WHY])
{
	mode_t mask = umask(0027);
	int r = damaged ? -EUCLEAN : store_setup(s);

	if (r == -EUCLEAN) {
		store_set_aside(s);
		r = store_setup(s);
		/* what it held is yet to be written */
		s->behind = true;
		if (!r)
			snprintf(s->error, sizeof(s->error), "%.160s was damaged and is set aside as %s.corrupt-*", s->path,
				 strrchr(s->path, '/') + 1);
	}
	umask(mask);
	if (!r)
		return 0;
	snprintf(why, STORE_WHY, "%.120s: %.120s", s->path, s->error);
	/* half a schema is none: it is to be opened again */
	sqlite3_close(s->db);
	s->db = NULL;
	return r;
}

static int store_make_dir(const char *dir, char why[STORE_WHY])
{
	int r = mkdir(dir, 0750) && errno != EEXIST ? -errno : 0;

	if (r)
		snprintf(why, STORE_WHY, "%.200s: %s", dir, strerror(-r));
	return r;
}

int store_open(struct store **ret, const char *dir, bool *ret_corrupt, char why[STORE_WHY])
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	*ret_corrupt = false;
	if (!s)
		return -ENOMEM;
	snprintf(s->path, sizeof(s->path), "%s/state.db", dir);
	r = store_make_dir(dir, why);
	if (!r)
		r = store_open_file(s, false, why);
	if (r) {
		store_close(s);
		return r;
	}
	*ret_corrupt = s->behind;
	*ret = s;
	return 0;
}

bool store_damaged(const struct store *s)
{
	return s && s->corrupt;
}

bool store_gone(const struct store *s)
{
	int moved = 0;

	return s && (!s->db || (sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved));
}

int store_reopen(struct store *s, char why[STORE_WHY])
{
	char dir[STORE_PATH];
	int r;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(s->path, '/') - s->path), s->path);
	s->depth = 0;
	r = store_make_dir(dir, why);
	if (!r)
		r = store_open_file(s, s->corrupt, why);
	s->behind = true;
	if (r)
		snprintf(s->error, sizeof(s->error), "%s", why);
	return r;
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
	return s && s->behind ? s->error[0] ? s->error : "it is to be written anew" : NULL;
}

void store_is_whole(struct store *s)
{
	if (!s)
		return;
	s->behind = false;
	s->error[0] = 0;
}
