/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the files of `perch pin` share. */
#ifndef PERCH_CLI_PIN_H
#define PERCH_CLI_PIN_H

#include "cli.h"

/* An address, or the /64 of IPv6 as `pin show` prints it. */
bool pin_client_ok(const char *text);
int do_pin_load(struct cli *cli, int argc, char **argv);

#endif
