/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The planner lock: one process at a time prepares plans. */
#include "internal.h"

int planner_lock(const char *pin_path, int timeout_ms)
{
	char path[PATH_MAX];

	return bpffs_path(path, pin_path, "maps", "") ?: bpffs_lock(path, timeout_ms);
}
