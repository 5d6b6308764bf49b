/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs of bench_peers as user space finds them: by their pins. */
#ifndef PERCH_BENCH_PEERS_PINS_H
#define PERCH_BENCH_PEERS_PINS_H

#include <stdint.h>

#include "peers.h"

/* All of these end the process with a word when they can't. */
void peers_load(const char *pins);
int peers_pinned(const char *pins, const char *name);	/* its descriptor */
/* Over all CPUs, of what stands in the map `seen`. */
struct peers_seen peers_seen_read(int seen, enum peers_place place);

/* The arguments after `bench_peers rollback`. */
int peers_rollback(int argc, char **argv);

#endif
