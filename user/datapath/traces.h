/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Packets as they pass: what is asked of the kernel, and the ring in which it
 * answers.  Costs packets nothing while nothing is asked.
 */
#ifndef PERCH_TRACES_H
#define PERCH_TRACES_H

#include "datapath.h"

/* What is asked for; all of it when neither is set. */
struct traces_filter {
	int service;		/* element of `services`; -1: any */
	const struct perch_address *client;	/* NULL: any; the kernel compares a
				 * hash of it, so others may come along */
};

struct traces;
int traces_open(struct traces **ret, const struct maps *m, void (*fn)(void *arg, const struct perch_trace *t),
		void *arg);
/* Asks for nothing any more. */
void traces_close(struct traces *t);
void traces_ask(struct traces *t, const struct traces_filter *f);	/* NULL: nothing */
/* Readable while there is something. */
int traces_fd(const struct traces *t);
/* All that is there; how many, or -errno. */
int traces_read(struct traces *t);
/* What found the ring full or the second's allowance used up, since ever. */
__u64 traces_lost(const struct traces *t);

#endif
