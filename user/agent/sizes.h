/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How large the kernel's tables must be for a configuration. */
#ifndef PERCH_AGENT_SIZES_H
#define PERCH_AGENT_SIZES_H

#include "../core/model.h"
#include "../datapath/datapath.h"

#define SIZES_WHY 320

/* Elements by table; element 0 of listeners and backends, which is none, is
 * among them. */
struct sizes {
	__u32 services, listeners, backends, slice_words;
};

/* What is taken when nothing else is loaded. */
void sizes_needed(const struct model_config *c, struct sizes *ret);
/* What to load with: the defaults, or as agent.*TableSize says, or what is
 * needed and room to grow. */
void sizes_wanted(const struct model_config *c, struct sizes *ret);
/* Is there room for it in what is loaded?  -ENOSPC with a sentence that names
 * the remedy. */
int sizes_check(const struct model_config *c, const struct perch_control *loaded, char why[SIZES_WHY]);

#endif
