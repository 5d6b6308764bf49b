/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Write windows: places at which what the agent is doing is half done, so that
 * a test can kill it there.  PERCH_FAULT=WINDOW[:N] in the environment of
 * perchd has it send itself SIGKILL at the Nth passing (1); without it a window
 * costs a look at one word.
 *
 * The windows.  tests/e2e/25-faults.sh reads the lines that begin with "window".
 *
 * window weights/planned    the plan is written, the word does not name it
 * window weights/swapped    the word is swapped, when it was is not noted
 * window weights/unsaved    the kernel has it, the store does not
 * window weights/half-saved the rollout is stored, the service is not
 * window step/planned
 * window step/swapped
 * window step/unsaved
 * window step/half-saved
 * window promote/planned
 * window promote/swapped
 * window promote/unsaved    the new stable has the traffic, names say otherwise
 * window promote/half-saved
 * window promote/unplaced   stored, but the tables are those from before
 * window reload/planned     merged in memory, nothing is written
 * window reload/named       a slot of several has its name
 * window reload/placing     a service of several is in the kernel
 * window reload/unsaved     all are in the kernel, none in the store
 * window reload/half-saved  a service of several is written to the store, no more
 * window takeover/read      a service of several was read back
 * window takeover/unplaced  all were, the configuration is not in force
 * window takeover/named
 * window takeover/placing
 * window takeover/half-saved
 * window takeover/finished  in force, but nothing is attached or armed
 * window rollback/turned    the word is turned, no more is known of it
 * window rollback/rejected  its version is rejected, the rollout goes on
 * window rollback/half-saved the rollout is stored, the service is not
 * window drain/noted        a backend is to be drained or resumed, nothing is
 * window drain/held         so it is in one of the versions that have it
 * window drain/unsaved      the kernel has it, the store does not
 *
 * Of these tests/e2e/20-ownership.sh knows what is to be found afterwards.
 *
 * window config/kept        the text before is kept, the new one not in force
 * window config/unwritten   it is in force, and not in the file
 * window config/written     it is in the file, and waits to be confirmed
 * window revert/written     the file is as before, what is in force is not
 * window service/stored     the store has a service's text, nothing else has
 * window service/forgotten  the store has it no more, the kernel does
 */
#ifndef PERCH_AGENT_FAULT_H
#define PERCH_AGENT_FAULT_H

#include <stdbool.h>

extern bool fault_armed;

/* Read the environment; before the first window. */
void fault_init(void);
void fault_hit(const char *operation, const char *point);

/* An agent's first configuration is the take-over, the others are reloads. */
#define FAULT_APPLY(a) ((a)->ready ? "reload" : "takeover")

static inline void fault_point(const char *operation, const char *point)
{
	if (__builtin_expect(fault_armed, false))
		fault_hit(operation, point);
}

#endif
