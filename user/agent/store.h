/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The store: SQLite in stateDir (WAL), what the agent must find again after a
 * reboot, when the pinned maps are gone.  A store that fails never stops the
 * agent: functions return -errno, and store_error says what is wrong until a
 * write succeeds again.  Every function accepts a store that is NULL.
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
 * database is set aside as state.db.corrupt-SECONDS; *ret_corrupt tells. */
int store_open(struct store **ret, const char *dir, bool *ret_corrupt, char why[STORE_WHY]);
void store_close(struct store *s);
/* NULL, or the reason why the last write failed. */
const char *store_error(const struct store *s);

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

int store_event(struct store *s, __u64 id, const char *json);
/* The last n, oldest first. */
int store_events(struct store *s, size_t n, void (*fn)(void *arg, __u64 id, const char *json), void *arg);

#endif
