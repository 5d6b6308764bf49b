/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How the files of the store talk to the database; private to them. */
#ifndef PERCH_AGENT_STORE_SQL_H
#define PERCH_AGENT_STORE_SQL_H

#include <sqlite3.h>

#include "store.h"

#define STORE_PATH 400

struct store {
	sqlite3 *db;		/* NULL: could not be opened again */
	char path[STORE_PATH];
	char error[STORE_WHY];	/* of what failed last */
	bool behind;		/* something was not written, see store_error */
	bool corrupt;		/* and why: the file is damaged */
	unsigned depth;		/* of transactions */
};

/* Values bound by letter: s text, i 64 bits, d double, b blob with its length (int). */
int store_prepare(struct store *s, sqlite3_stmt **ret, const char *sql, const char *types, ...);
/* One statement that answers nothing, on the disk before it returns. */
int store_write(struct store *s, const char *sql, const char *types, ...);
/* A transaction that the disk need not have seen when it ends: what the power
 * may take with it. */
int store_begin_loose(struct store *s);
int store_end_loose(struct store *s, int r);
/* The end of a SELECT: code is what sqlite3_step said last.  0, or as below. */
int store_read_end(struct store *s, sqlite3_stmt *st, int code);
/* Notes what the database says; -ENOSPC or -EIO. */
int store_fail(struct store *s, int code);

#endif
