// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One window and how often it may still be passed. */
#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fault_armed;
static char window[64];
static unsigned long passings;

void fault_init(void)
{
	const char *asked = getenv("PERCH_FAULT"), *count;

	if (!asked)
		return;
	count = strchr(asked, ':');
	snprintf(window, sizeof(window), "%.*s", count ? (int)(count - asked) : (int)strlen(asked), asked);
	passings = count ? strtoul(count + 1, NULL, 10) : 1;
	fault_armed = passings > 0;
}

void fault_hit(const char *operation, const char *point)
{
	size_t n = strlen(operation);

	if (strncmp(window, operation, n) || window[n] != '/' || strcmp(window + n + 1, point) || --passings)
		return;
	kill(getpid(), SIGKILL);
}
