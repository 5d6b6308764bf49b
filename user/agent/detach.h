/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* perchd --detach: the datapath taken away, at once or after a drain that the
 * person at the terminal can follow and call off. */
#ifndef PERCH_AGENT_DETACH_H
#define PERCH_AGENT_DETACH_H

#include <stdbool.h>

#include <linux/types.h>

/* Exit status of the command.  drain_ns counts if `drain`. */
int detach_run(const char *config_path, bool drain, __u64 drain_ns);

#endif
