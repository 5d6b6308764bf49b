/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The clock that the kernel's programs read too. */
#ifndef PERCH_CLOCK_H
#define PERCH_CLOCK_H

#include <time.h>

#include <linux/types.h>

static inline __u64 clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The same for deadlines of poll(). */
static inline long long clock_ms(void)
{
	return clock_ns() / 1000000;
}

#endif
