/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Values that others measure and push here, by service, version and name.
 * They are kept in memory alone: a value that outlives the agent would be too
 * old to judge by.
 */
#ifndef PERCH_AGENT_PUSHED_H
#define PERCH_AGENT_PUSHED_H

#include <perch/abi.h>

#define PUSHED_SERIES 4096	/* of all services together */
#define PUSHED_VALUES 64	/* of a series: the newest */
#define PUSHED_LIFE (3600 * 1000000000ull)	/* ns without a value; then a series goes */

struct pushed_value {
	__u64 at;		/* ns, caller's clock; rises with each */
	double value;		/* finite */
};

struct pushed_series {
	struct pushed_series *next;
	char service[PERCH_NAME_LEN], version[PERCH_NAME_LEN], name[PERCH_NAME_LEN];
	__u64 count;		/* values ever pushed; the last is value[(count - 1) % PUSHED_VALUES] */
	struct pushed_value value[PUSHED_VALUES];
};

struct pushed {
	struct pushed_series *first;
	unsigned n;
};

/* 0, -ENOSPC: PUSHED_SERIES are there, -ENOMEM.  Names must fit. */
int pushed_add(struct pushed *p, const char *service, const char *version, const char *name, double value, __u64 now);
/* NULL: none. */
const struct pushed_series *pushed_find(const struct pushed *p, const char *service, const char *version, const char *name);
const struct pushed_value *pushed_last(const struct pushed_series *s);
/* Forget what has had no value for PUSHED_LIFE. */
void pushed_age(struct pushed *p, __u64 now);
void pushed_free(struct pushed *p);

#endif
