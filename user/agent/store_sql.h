/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How the files of the store talk to the database; private to them. */
#ifndef PERCH_AGENT_STORE_SQL_H
#define PERCH_AGENT_STORE_SQL_H

#include <sqlite3.h>

#include "store.h"

struct store {
	sqlite3 *db;
	char error[STORE_WHY];	/* of the last write; "": it succeeded */
};

/* Values bound by letter: s text, i 64 bits, b blob with its length (int). */
int store_prepare(struct store *s, sqlite3_stmt **ret, const char *sql, const char *types, ...);
/* One statement that answers nothing, on the disk before it returns. */
int store_write(struct store *s, const char *sql, const char *types, ...);
/* Notes what the database says; -ENOSPC or -EIO. */
int store_fail(struct store *s, int code);

#endif
