/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The store: SQLite in stateDir (WAL), what the agent must find again after a
 * reboot, when the pinned maps are gone.  A store that fails never stops the
 * agent: functions return -errno, and from then on the store is behind and
 * store_error says why, until the agent has written all that it keeps there
 * (mend.c).  Every function accepts a store that is NULL.
 */
#ifndef PERCH_AGENT_STORE_H
#define PERCH_AGENT_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include <perch/abi.h>

struct store;

#define STORE_WHY 256

struct stored_version {
	char name[PERCH_NAME_LEN];
	unsigned slot;
	enum perch_role role;
	__u64 since;		/* seconds since 1970 */
	const char *backends;	/* JSON, as save.c writes it */
	const char *doors;
};

struct stored_service {
	char name[PERCH_NAME_LEN];
	__u32 canary_share, baseline_share;	/* 0.01 % */
	__u64 salt;
	char salt_for[PERCH_NAME_LEN];
	__u64 word;
	struct stored_version version[PERCH_SLOTS];
	size_t n_versions;
};

/* Opens DIR/state.db, makes DIR (0750) and the tables.  A file that is no
 * database is set aside as state.db.corrupt-SECONDS; *ret_corrupt tells, and
 * the store is behind. */
int store_open(struct store **ret, const char *dir, bool *ret_corrupt, char why[STORE_WHY]);
void store_close(struct store *s);
/* NULL, or why the store does not hold all that it should. */
const char *store_error(const struct store *s);
/* It was written whole. */
void store_is_whole(struct store *s);

/* The file was found damaged while it was used; it is not what stateDir names
 * (any more).  store_reopen mends both, and the store is then behind. */
bool store_damaged(const struct store *s);
bool store_gone(const struct store *s);
int store_reopen(struct store *s, char why[STORE_WHY]);

/* What is written between these is written whole or not at all; they nest.
 * What could not begin is not ended.
 * store_end takes how it went so far, and returns that or how it ended. */
int store_begin(struct store *s);
int store_end(struct store *s, int r);

/* Service and versions in one transaction. */
int store_service(struct store *s, const struct stored_service *service);
/* 0, -ENOENT or -EIO.  Free with store_service_free. */
int store_service_load(struct store *s, const char *name, struct stored_service *ret);
void store_service_free(struct stored_service *service);

int store_rollout(struct store *s, const char *service, const void *bytes, size_t length);
/* Length read, -ENOENT, or -EIO. */
int store_rollout_load(struct store *s, const char *service, void *bytes, size_t size);

int store_reject(struct store *s, const char *service, const char *version, const struct perch_rejection *r);
int store_unreject(struct store *s, const char *service, const char *version);
int store_rejected(struct store *s, const char *service, const char *version, struct perch_rejection *ret);

/* All of them. */
int store_rejections(struct store *s,
		     void (*fn)(void *arg, const char *service, const char *version, const struct perch_rejection *r), void *arg);
/* Services that the API owns, as they were applied.  -EROFS without a store. */
int store_applied_put(struct store *s, const char *service, const char *text, __u64 since);
int store_applied_delete(struct store *s, const char *service);
/* The oldest first, until fn does not return 0. */
int store_applied_each(struct store *s, int (*fn)(void *arg, const char *service, const char *text, __u64 since), void *arg);
/* All that is kept of a service but its rejections. */
int store_forget(struct store *s, const char *service);

int store_event(struct store *s, __u64 id, const char *json);
/* The last n, oldest first. */
int store_events(struct store *s, size_t n, void (*fn)(void *arg, __u64 id, const char *json), void *arg);

/*
 * Samples, oldest first: of one service or of all (NULL), from `since` (seconds
 * since 1970) on, the last `limit` of them.  store_samples_trim deletes what is
 * older than `before` or beyond the newest SAMPLES_MOST, a slice at a time.
 * They need not survive the power going.
 */
#define SAMPLES_MOST 500000
struct stored_sample {
	__u64 time;		/* seconds since 1970 */
	const char *service, *version;
	const char *json;
};
int store_samples_add(struct store *s, const struct stored_sample *sample, size_t n);
int store_samples(struct store *s, const char *service, __u64 since, __u64 limit,
		  void (*fn)(void *arg, const struct stored_sample *sample), void *arg);
int store_samples_trim(struct store *s, __u64 before);

#endif
