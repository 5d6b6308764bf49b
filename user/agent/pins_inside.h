/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What pins.c and pins_sweep.c share.  Private to them. */
#ifndef PERCH_AGENT_PINS_INSIDE_H
#define PERCH_AGENT_PINS_INSIDE_H

#include "pins.h"
#include "store/store_pins.h"

/* Monotonic ns as the store's ms since 1970; 0 stays 0. */
__u64 pin_wall(__u64 until);

#endif
