/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A request to a webhook: the body with its headers and signature. */
#ifndef PERCH_AGENT_SIGNED_H
#define PERCH_AGENT_SIGNED_H

#include "../outside/ask.h"

/* As ask_target; the body must outlive the ask. */
int signed_ask(struct ask *ask, const struct model_webhook *w, const struct ask_names *names, const char *event,
	       const char *body, char why[ASK_WHY]);

#endif
