/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The contract's reasons as words for people. */
#ifndef PERCH_AGENT_REASONS_H
#define PERCH_AGENT_REASONS_H

#include <perch/abi.h>

struct reason_text {
	const char *name, *verdict, *text;
};

/* One of a newer contract is "unknown". */
const struct reason_text *reason_find(unsigned reason);

#endif
