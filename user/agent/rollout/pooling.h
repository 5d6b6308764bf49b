/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Long connections of a comparison, brought to it once a minute. */
#ifndef PERCH_AGENT_POOLING_H
#define PERCH_AGENT_POOLING_H

#include "../agent.h"

/* The minute that is over, if it was not taken yet. */
void pooling_look(const struct agent *a, struct service *s);

#endif
