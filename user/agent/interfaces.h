/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs on the configured interfaces, as these come and go. */
#ifndef PERCH_AGENT_INTERFACES_H
#define PERCH_AGENT_INTERFACES_H

#include <jansson.h>

#include "../datapath/attach.h"
#include "agent.h"

struct attachment {
	struct attachment *next;
	char name[64];		/* of an interface; or the pattern that none has */
	size_t entry;		/* of the configuration's interfaces: the first that
				 * the name matches */
	bool pattern;
	enum attach_mode asked, mode;
	enum attach_foreign foreign;
	unsigned ifindex;	/* 0: not attached */
	char error[WHY];	/* why not */
	char note[WHY];		/* what became of another program there */
};

/* Attach what a->config names, detach what it does not.  What fails is an
 * alarm and is tried again: when the interface appears, and now and then. */
void interfaces_apply(struct agent *a);
void interfaces_retry(struct agent *a);
void interfaces_free(struct agent *a);
/* For routes_on_link. */
void interfaces_on_link(void *agent, const char *ifname, bool present);
/* As /v1/datapath shows them. */
json_t *interfaces_json(const struct agent *a);

#endif
