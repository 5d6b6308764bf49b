/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What `perch judge simulate` and `replay` share: the same policies side by
 * side, on traffic that is drawn or that was recorded. */
#ifndef PERCH_CLI_JUDGE_SIMULATE_H
#define PERCH_CLI_JUDGE_SIMULATE_H

#include "../core/judge/simulate.h"
#include "judge.h"

/* "maxRatio=2,interval=30s" or "default" into the case, which has the
 * defaults: 0 or CLI_USAGE. */
int judge_policy(const struct cli *cli, const char *text, struct simulate_case *c);

/* Recorded traffic of a service out of a file of samples (docs/api.md), summed
 * over its versions.  service NULL: the only one there.  0 or CLI_FAILED; the
 * caller frees *ret. */
int judge_recorded(const struct cli *cli, const char *file, const char *service, struct simulate_tick **ret, size_t *ret_n);

int judge_simulate(struct cli *cli, int argc, char **argv);
int judge_replay(struct cli *cli, int argc, char **argv);

#endif
