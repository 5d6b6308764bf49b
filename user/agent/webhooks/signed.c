// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the headers of a webhook's request. */
#include "signed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../outside/token.h"
#include "message.h"

static int sign(struct ask *ask, const struct model_webhook *w, const char *body, char why[ASK_WHY])
{
	char secret[TOKEN_BYTES], signature[MESSAGE_SIGNATURE];
	int r = token_read(w->secret_file, secret);

	if (r)
		snprintf(why, ASK_WHY, "secretFile %.60s: %s", w->secret_file, strerror(-r));
	else
		r = message_sign(secret, body, signature) ?: ask_header(ask, "X-Perch-Signature", signature);
	explicit_bzero(secret, sizeof(secret));
	return r;
}

int signed_ask(struct ask *ask, const struct model_webhook *w, const struct ask_names *names, const char *event,
	       const char *body, char why[ASK_WHY])
{
	int r = ask_target(ask, &w->target, names, why);

	if (r)
		return r;
	snprintf(why, ASK_WHY, "out of memory");
	r = ask_header(ask, "Content-Type", "application/json") ?: ask_header(ask, "X-Perch-Event", event);
	if (!r && w->secret_file[0])
		r = sign(ask, w, body, why);
	if (r) {
		ask_clear(ask);
		return r;
	}
	ask->fetch.headers = (const char *const *)ask->header;
	ask->fetch.body = body;
	ask->fetch.timeout_ms = w->timeout / 1000000;
	return 0;
}
