/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tests of loading and attaching share: a pin path of their own, a
 * small datapath there, and what the kernel says about its objects. */
#ifndef PERCH_TEST_PINS_H
#define PERCH_TEST_PINS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "../../user/datapath/attach.h"
#include "../../user/datapath/datapath.h"

struct pins {
	char directory[32];	/* a fresh one, on no bpffs */
	char path[64];		/* the pin path in it, not made yet */
	char why[WHY];		/* of the last call that takes one */
};

int pins_setup(void **state);
/* Takes the datapath away; fails the test when something is left. */
int pins_teardown(void **state);
#define pins_test(f) cmocka_unit_test_setup_teardown(f, pins_setup, pins_teardown)

/* Open a datapath with small tables; the test fails when that fails. */
void pins_open(struct pins *p, struct datapath *d);
int pins_try(struct pins *p, struct datapath *d, const struct datapath_options *o);
struct datapath_options pins_options(const struct pins *p);

__u32 pins_map_id(int fd);
__u32 pins_map_entries(int fd);
bool pins_map_lives(__u32 id);
bool pins_program_lives(__u32 id);
/* Up to two seconds of patience: the kernel frees its objects when it likes. */
bool pins_soon(bool (*lives)(__u32 id), __u32 id, bool wanted);
/* Somebody else's program, `stranger`, that passes everything: its descriptor. */
int pins_stranger(enum bpf_prog_type type);
/* Whether a file is there. */
bool pins_exists(const struct pins *p, const char *name);
__u64 pins_reason(const struct maps *m, enum perch_hook hook);	/* all of a hook */

#endif
