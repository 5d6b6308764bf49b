// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/rollouts and /v1/services/NAME/rollout. */
#include "api.h"
#include "rollouts.h"
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

void api_rollout_action(struct request *q)
{
	char why[AGENT_WHY] = "";
	struct service *s;
	const char *action;
	bool force;
	int verb, r;

	if (!request_service(q, &s) || !request_string(q, "action", &action) || !request_bool(q, "force", &force))
		return;
	verb = action ? rollout_verb_parse(action) : -1;
	if (verb < 0) {
		answer_error(q, MHD_HTTP_BAD_REQUEST,
			     "action: '%s' is not start, pause, resume, advance, promote, abort or retry",
			     action ? action : "");
		return;
	}
	r = rollouts_command(q->agent, s, verb, force, &q->actor, q->comment, why);
	if (r)
		answer_errno(q, r, why);
	else
		q->json = view_rollout(q->agent, s);
}
