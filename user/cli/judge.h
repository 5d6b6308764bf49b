/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the commands of `perch judge` share. */
#ifndef PERCH_CLI_JUDGE_H
#define PERCH_CLI_JUDGE_H

#include <stdio.h>

#include "output.h"
#include "text.h"

/* A number strictly between min and max after `key`: 0 or CLI_USAGE.  Where
 * text is NULL, as it was not given, *ret stays. */
int judge_real(const struct cli *cli, const char *key, const char *text, double min, double max, double *ret);
/* null for NAN; what is beyond a double, the largest there is. */
json_t *judge_number(double x);
/* FILE, or "-" for standard input; NULL with the reason said. */
FILE *judge_open(const struct cli *cli, const char *file);
void judge_close(FILE *in);
/* All values of a file, one a line, "nan" where none was; '#' begins a
 * comment.  0 or CLI_FAILED with file and line said; the caller frees. */
int judge_values(const struct cli *cli, const char *file, double **ret, size_t *ret_n);

int judge_quantile(struct cli *cli, int argc, char **argv);
int judge_mannwhitney(struct cli *cli, int argc, char **argv);
int judge_votes(struct cli *cli, int argc, char **argv);
int judge_score(struct cli *cli, int argc, char **argv);

#endif
