/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Once a second: versions that leave, rings read to the end, alarms. */
#ifndef PERCH_AGENT_UPKEEP_H
#define PERCH_AGENT_UPKEEP_H

#include "agent.h"

void upkeep(struct agent *a);

#endif
