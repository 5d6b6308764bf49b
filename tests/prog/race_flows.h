/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What both sides of the flow table's race share. */
#ifndef PERCH_TEST_RACE_FLOWS_H
#define PERCH_TEST_RACE_FLOWS_H

#include <linux/types.h>

#define RACE_CPUS 2
#define RACE_LISTENER 0x0a0a0a0au

enum race_kind { RACE_NONE, RACE_FOUND, RACE_INSERTED, RACE_REFUSED, RACE_NOT_REPLACED };

/* One operation: between begin and end (ns) it saw or made flow `nonce`. */
struct race_record {
	__u64 begin, end;
	__u32 key, nonce;
	__u32 kind;		/* enum race_kind */
	__u32 zero;
};

struct race_counts {
	__u64 found, inserted, late, full, busy, moved, torn, zero;
};

#endif
