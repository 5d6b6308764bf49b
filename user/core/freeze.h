/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Freezes: times of the week, in minutes since Monday 00:00, local time, in
 * which no rollout goes on by itself. */
#ifndef PERCH_CORE_FREEZE_H
#define PERCH_CORE_FREEZE_H

#include "model.h"

#define FREEZE_WEEK (7 * 24 * 60)
#define FREEZE_TEXT 32

/* "Fri 16:00-Mon 08:00".  0 or -EINVAL. */
int freeze_parse(const char *text, struct model_freeze *ret);
const char *freeze_format(const struct model_freeze *f, char out[FREEZE_TEXT]);
/* The freeze that holds at this minute and ends last, or NULL. */
const struct model_freeze *freeze_at(const struct model_rollout *policy, __u32 minute);
/* "Mon 08:00" */
const char *freeze_end(const struct model_freeze *f, char out[FREEZE_TEXT]);

#endif
