/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs on the configured interfaces, as these come and go. */
#ifndef PERCH_AGENT_INTERFACES_H
#define PERCH_AGENT_INTERFACES_H

#include "../datapath/attach.h"
#include "agent.h"

struct attachment {
	struct attachment *next;
	char name[32];
	enum attach_mode asked, mode;
	unsigned ifindex;	/* 0: not attached */
	char error[WHY];
};

/* Attach what a->config names, detach what it does not.  What fails is an
 * alarm and is tried again when the interface appears. */
void interfaces_apply(struct agent *a);
void interfaces_free(struct agent *a);
/* For routes_on_link. */
void interfaces_on_link(void *agent, const char *ifname, bool present);

#endif
