/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Probe: one check of one backend, on the loop and without blocking it.  Over
 * TCP it must take a connection; over HTTP it must answer a GET with a status
 * in the range.  What this host itself could not do says nothing of a backend.
 */
#ifndef PERCH_AGENT_PROBE_H
#define PERCH_AGENT_PROBE_H

#include <stdbool.h>
#include <uv.h>

#include "../../core/model.h"

#define PROBE_TEXT 128
#define PROBE_BUFFER 2048

enum probe_verdict { PROBE_VOID, PROBE_PASSED, PROBE_FAILED };

struct probe {
	void (*done)(struct probe *p);	/* once, with what follows filled in */
	enum probe_verdict verdict;
	char text[PROBE_TEXT];	/* "HTTP status 200", "connection refused" */
	__u64 took;		/* ns until the verdict */

	const struct model_health *policy;	/* stays until done */
	__u64 began;		/* ns */
	uv_tcp_t tcp;
	uv_timer_t timeout;
	uv_connect_t connect;
	uv_write_t write;
	unsigned open;		/* handles */
	bool decided, connected;
	char *request;		/* NULL: TCP */
	char buffer[PROBE_BUFFER];
	size_t have, ignored;	/* bytes of the answer: kept, thrown away */
};

/* Begins; done is called later, never from in here. */
void probe_start(struct probe *p, uv_loop_t *loop, const struct perch_address *address, __be16 port,
		 const struct model_health *policy, void (*done)(struct probe *p));
/* Ends early, without a verdict unless there is one; done is still called. */
void probe_stop(struct probe *p);

#endif
