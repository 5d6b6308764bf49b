/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a webhook is told: an event in the words of who hears it. */
#ifndef PERCH_AGENT_MESSAGE_H
#define PERCH_AGENT_MESSAGE_H

#include <jansson.h>

#include "../../core/model.h"

#define MESSAGE_SIGNATURE 72	/* "sha256=" and 64 digits */

/* Which MODEL_TELL_ an event is, 0: none that webhooks are told. */
__u32 message_event(const json_t *event);
const char *message_event_name(__u32 tell);
/* The body, to be freed; NULL: no memory. */
char *message_body(__u32 format, const json_t *event);
/* HMAC-SHA256 of the body, as of RFC 2104, in hex.  0 or -EIO. */
int message_sign(const char *secret, const char *body, char out[MESSAGE_SIGNATURE]);

#endif
