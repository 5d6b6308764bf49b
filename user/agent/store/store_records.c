// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is kept, as rows: services with their versions, rollouts, rejections,
 * events. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../events.h"
#include "store_sql.h"

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
	int r = store_begin(s);

	if (!s || r)
		return r;
	r = store_write(s, "INSERT OR REPLACE INTO services VALUES(?, ?, ?, ?, ?, ?)", "siiisi", service->name,
			(sqlite3_int64)service->canary_share, (sqlite3_int64)service->baseline_share,
			(sqlite3_int64)service->salt, service->salt_for, (sqlite3_int64)service->word);
	if (!r)
		r = store_versions(s, service);
	return store_end(s, r);
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
			      "s", service->name), code = SQLITE_DONE;

	if (r)
		return r;
	while (service->n_versions < PERCH_SLOTS && (code = sqlite3_step(st)) == SQLITE_ROW) {
		struct stored_version *v = &service->version[service->n_versions++];

		v->slot = sqlite3_column_int(st, 0);
		column_name(st, 1, v->name);
		v->role = sqlite3_column_int(st, 2);
		v->since = sqlite3_column_int64(st, 3);
		v->backends = column_copy(st, 4);
		v->doors = column_copy(st, 5);
	}
	r = store_read_end(s, st, code);
	if (r)
		store_service_free(service);
	return r;
}

int store_service_load(struct store *s, const char *name, struct stored_service *ret)
{
	sqlite3_stmt *st;
	int r, code;

	memset(ret, 0, sizeof(*ret));
	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT canary_share, baseline_share, salt, salt_for, word FROM services WHERE name = ?",
			  "s", name);
	if (r)
		return r;
	code = sqlite3_step(st);
	if (code == SQLITE_ROW) {
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		ret->canary_share = sqlite3_column_int(st, 0);
		ret->baseline_share = sqlite3_column_int(st, 1);
		ret->salt = sqlite3_column_int64(st, 2);
		column_name(st, 3, ret->salt_for);
		ret->word = sqlite3_column_int64(st, 4);
	}
	r = store_read_end(s, st, code);
	if (!r && code != SQLITE_ROW)
		r = -ENOENT;
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
	int r, code, length = -ENOENT;

	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT bytes FROM rollouts WHERE service = ?", "s", service);
	if (r)
		return r;
	code = sqlite3_step(st);
	if (code == SQLITE_ROW && (size_t)sqlite3_column_bytes(st, 0) <= size) {
		length = sqlite3_column_bytes(st, 0);
		memcpy(bytes, sqlite3_column_blob(st, 0), length);
	}
	r = store_read_end(s, st, code);
	return r ? r : length;
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

static void column_rejection(sqlite3_stmt *st, struct perch_rejection *ret)
{
	const unsigned char *reason = sqlite3_column_text(st, 3);

	memset(ret, 0, sizeof(*ret));
	ret->when = sqlite3_column_int64(st, 0);
	ret->epoch = sqlite3_column_int64(st, 1);
	ret->by = sqlite3_column_int64(st, 2);
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason ? (const char *)reason : "");
}

int store_rejected(struct store *s, const char *service, const char *version, struct perch_rejection *ret)
{
	sqlite3_stmt *st;
	int r, code;

	if (!s)
		return -ENOENT;
	r = store_prepare(s, &st, "SELECT time, epoch, by, reason FROM rejections WHERE service = ? AND version = ?", "ss",
			  service, version);
	if (r)
		return r;
	code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		column_rejection(st, ret);
	r = store_read_end(s, st, code);
	return r ? r : code == SQLITE_ROW ? 0 : -ENOENT;
}

int store_rejections(struct store *s,
		     void (*fn)(void *arg, const char *service, const char *version, const struct perch_rejection *r), void *arg)
{
	sqlite3_stmt *st;
	int r, code;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT time, epoch, by, reason, service, version FROM rejections", "");
	if (r)
		return r;
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		struct perch_rejection rejection;

		column_rejection(st, &rejection);
		fn(arg, (const char *)sqlite3_column_text(st, 4), (const char *)sqlite3_column_text(st, 5), &rejection);
	}
	return store_read_end(s, st, code);
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
	int r, code;

	if (!s)
		return 0;
	r = store_prepare(s, &st, "SELECT * FROM (SELECT id, json FROM events ORDER BY id DESC LIMIT ?) ORDER BY id", "i",
			  (sqlite3_int64)n);
	if (r)
		return r;
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, sqlite3_column_int64(st, 0), (const char *)sqlite3_column_text(st, 1));
	return store_read_end(s, st, code);
}
