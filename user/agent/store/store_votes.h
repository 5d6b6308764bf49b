/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The bad votes of each service's last rollout (core/judge/ledger.h), of which
 * `rollout why` tells.  They need not survive the power going.
 */
#ifndef PERCH_AGENT_STORE_VOTES_H
#define PERCH_AGENT_STORE_VOTES_H

#include "../../core/judge/ledger.h"
#include "store.h"

/* Rows of the same bet, block and epoch are replaced. */
int store_votes_put(struct store *s, const char *service, const struct ledger_row *rows, size_t n);
int store_votes_clear(struct store *s, const char *service);
/* By bet, then by block. */
int store_votes(struct store *s, const char *service, void (*fn)(void *arg, const struct ledger_row *row), void *arg);

#endif
