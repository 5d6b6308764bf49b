/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Requests as a configuration describes them: names put in, secrets read from
 * their files. */
#ifndef PERCH_AGENT_ASK_H
#define PERCH_AGENT_ASK_H

#include "../../core/model.h"
#include "fetch.h"

#define ASK_WHY 128
#define ASK_OWN_HEADERS 4	/* a caller's, beside those of the target */

struct ask_names {
	const char *service, *version;	/* for $service and $version */
};

struct ask {
	struct fetch_ask fetch;
	char *url;
	char *header[MODEL_HEADERS + ASK_OWN_HEADERS + 1];
	size_t n_headers;
};

/* 0, or -errno with a sentence that has no secret in it. */
int ask_target(struct ask *ask, const struct model_target *target, const struct ask_names *names, char why[ASK_WHY]);
/* GET BASE/api/v1/query?query=… */
int ask_prometheus(struct ask *ask, const char *base, const char *query, const struct model_target *target,
		   const struct ask_names *names, char why[ASK_WHY]);
/* One more header; the value is copied.  0 or -ENOMEM. */
int ask_header(struct ask *ask, const char *name, const char *value);
/* Wipes what was secret. */
void ask_clear(struct ask *ask);
/* "…$version…" with the names in it, to be freed; NULL: no memory. */
char *ask_substitute(const char *text, const struct ask_names *names);

#endif
