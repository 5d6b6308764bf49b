/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the agent stands on, mended while it runs.  The store: opened when it
 * could not be, made anew when it was damaged or deleted, and written whole
 * after anything that was not written.  The pins: pinned again when bpffs was
 * unmounted or they were deleted.  Until then there is an alarm.
 */
#ifndef PERCH_AGENT_MEND_H
#define PERCH_AGENT_MEND_H

#include "agent.h"

/* Once a second. */
void mend_store(struct agent *a);
void mend_pins(struct agent *a);

#endif
