// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/rollouts and /v1/services/NAME/rollout. */
#include "api.h"
#include "../rollout/ledger.h"
#include "../rollout/rollouts.h"
#include "view.h"

void api_rollout(struct request *q)
{
	struct service *s;

	if (request_service(q, &s))
		q->json = view_rollout(q->agent, s);
}

void api_rollouts(struct request *q)
{
	struct service *only;

	if (!request_query_service(q, &only))
		return;
	q->json = json_array();
	for (const struct service *s = only ? only : q->agent->services; s; s = only ? NULL : s->next)
		json_array_append_new(q->json, view_rollout(q->agent, s));
}

void api_rollout_plan(struct request *q)
{
	struct service *s;

	if (request_service(q, &s))
		q->json = view_rollout_plan(q->agent, s);
}

void api_rollout_votes(struct request *q)
{
	struct service *s;

	if (!request_service(q, &s))
		return;
	if (!s->compare)
		answer_error(q, MHD_HTTP_NOT_FOUND, "%s: nothing was compared yet", s->name);
	else if (ledger_json(q->agent, s, &q->json))
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "votes can't be read: %s", store_error(q->agent->store));
}

/* A start that was done before is done.  True: answered. */
static bool begun(struct request *q, struct service *s, const char *version)
{
	char why[AGENT_WHY] = "";
	const char *outcome;
	int r = rollouts_begun(q->agent, s, version, &outcome, why);

	if (r < 0) {
		answer_errno(q, r, why);
	} else if (r) {
		q->json = view_rollout(q->agent, s);
		json_object_set_new(q->json, "outcome", json_string(outcome));
	}
	return r;
}

void api_rollout_action(struct request *q)
{
	static const char *const known[] = { "action", "force", "version", "gate", "comment", NULL };
	const char *action, *version, *gate;
	char why[AGENT_WHY] = "";
	struct service *s;
	bool force;
	int verb, r;

	if (!request_service(q, &s) || !request_known(q, known) || !request_string(q, "action", &action) ||
	    !request_bool(q, "force", &force) || !request_string(q, "version", &version) ||
	    !request_string(q, "gate", &gate))
		return;
	verb = action ? rollout_verb_parse(action) : -1;
	if (verb < 0) {
		answer_error(q, MHD_HTTP_BAD_REQUEST,
			     "action: '%s' is not start, pause, resume, advance, promote, abort, retry or skip",
			     action ? action : "");
		return;
	}
	if (version && verb != VERB_START) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "version: belongs to start, not to %s", action);
		return;
	}
	if (!gate != (verb != VERB_SKIP)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, gate ? "gate: belongs to skip, not to %s" : "gate: is missing; %s needs the name of one",
			     action);
		return;
	}
	if (verb == VERB_START && begun(q, s, version))
		return;
	r = rollouts_command(q->agent, s, &(struct rollout_order){ verb, force, gate, &q->actor, q->comment }, why);
	if (r) {
		answer_errno(q, r, why);
		return;
	}
	q->json = view_rollout(q->agent, s);
	if (verb == VERB_START || verb == VERB_RETRY)
		json_object_set_new(q->json, "outcome", json_string("started"));
}
