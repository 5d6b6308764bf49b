/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The agent's clocks. */
#ifndef PERCH_AGENT_CLOCK_H
#define PERCH_AGENT_CLOCK_H

#include <time.h>

#include <linux/types.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

/* CLOCK_MONOTONIC in ns: what the kernel's records, deadlines and rollouts use. */
static inline __u64 clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Seconds since 1970: what people and the store are told. */
static inline double clock_wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A monotonic time as seconds since 1970. */
static inline double clock_to_wall(__u64 ns)
{
	return clock_wall() - ((double)clock_now() - (double)ns) / 1e9;
}

/* Minutes since Monday 00:00, local time. */
static inline __u32 clock_minute_of_week(void)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	return ((tm.tm_wday + 6) % 7 * 24 + tm.tm_hour) * 60 + tm.tm_min;
}

#endif
