/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * `config apply`: a new text for the configuration's file, in force whole or
 * not at all, and taken back by itself when it is to be confirmed and nobody
 * does.  What was there before is kept beside the file (confirm_path), so that
 * an agent that was killed in between takes it back too.  Weights, pins and
 * rollouts are state, and stay.
 */
#ifndef PERCH_AGENT_CONFIRM_H
#define PERCH_AGENT_CONFIRM_H

#include <jansson.h>

#include "../agent.h"
#include "apply.h"

#define CONFIRM_MOST_S 86400

/* 0, or -errno with a sentence: -EINVAL (the text), -EBUSY (the state does not
 * allow it, or the file can't be written here), -EAGAIN, or the datapath's.
 * seconds: 0 for good. */
int confirm_apply(struct agent *a, const char *text, size_t length, double seconds, const struct apply *how,
		  char why[AGENT_WHY]);
/* It stays.  -ENOENT: nothing waits. */
int confirm_now(struct agent *a, const struct apply *how, char why[AGENT_WHY]);
/* What waits, as the API tells it, or null. */
json_t *confirm_json(const struct agent *a);

/* Before the file is read: a change that is overdue goes first. */
void confirm_first(struct agent *a);
/* Once the agent runs: what still waits is waited for. */
void confirm_start(struct agent *a);
void confirm_free(struct agent *a);

#endif
