// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* monotonic: prints CLOCK_MONOTONIC in ns, the clock of all other tools. */
#include <inttypes.h>

#include "tool.h"

int main(void)
{
	printf("%" PRIu64 "\n", now_ns());
	return 0;
}
