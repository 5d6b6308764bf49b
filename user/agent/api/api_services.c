// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/services, versions, backends, weights, and the rollback. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "../leaving.h"
#include "../rollout/rollback.h"
#include "view.h"
#include "../rollout/weights.h"

void api_services(struct request *q)
{
	q->json = json_array();
	for (const struct service *s = q->agent->services; s; s = s->next)
		json_array_append_new(q->json, view_service(q->agent, s));
	for (const struct service *s = q->agent->leaving; s; s = s->next)
		json_array_append_new(q->json, leaving_view(q->agent, s));
}

void api_service(struct request *q)
{
	struct service *s = leaving_find(q->agent, q->name);

	if (s)
		q->json = leaving_view(q->agent, s);
	else if (request_service(q, &s))
		q->json = view_service(q->agent, s);
}

static void add_versions(struct request *q, const struct service *s)
{
	for (int i = -1; (i = view_next_slot(s, i)) >= 0;) {
		json_t *version = view_version(q->agent, s, i);

		json_object_set_new(version, "service", json_string(s->name));
		json_array_append_new(q->json, version);
	}
}

static void add_weights(struct request *q, const struct service *s)
{
	json_array_append_new(q->json, view_weights(s));
}

void api_versions(struct request *q)
{
	request_list(q, add_versions);
}

void api_weights(struct request *q)
{
	request_list(q, add_weights);
}

/* Percent with at most two decimals, as a share. */
static bool percent_read(struct request *q, const char *key, const json_t *value, __u32 *ret)
{
	double percent = json_number_value(value), share = percent * 100;

	if (!json_is_number(value)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: must be a number", key);
		return false;
	}
	if (!(percent >= 0 && percent <= 100) || fabs(share - round(share)) > 1e-6) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: must be 0 to 100 with at most two decimals", key);
		return false;
	}
	*ret = lround(share);
	return true;
}

void api_weights_set(struct request *q)
{
	struct weight w[PERCH_SLOTS];
	char why[AGENT_WHY];
	struct service *s;
	const char *key;
	json_t *value;
	size_t n = 0;
	bool force;
	int r;

	if (!request_service(q, &s) || !request_bool(q, "force", &force))
		return;
	json_object_foreach(q->in, key, value) {
		if (!strcmp(key, "force") || !strcmp(key, "comment"))
			continue;
		if (n == PERCH_SLOTS) {
			answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: more than %d versions", key, PERCH_SLOTS);
			return;
		}
		if (!percent_read(q, key, value, &w[n].share))
			return;
		w[n++].version = key;
	}
	if (!n) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "no weights: {\"canary\": 5}");
		return;
	}
	r = weights_set(q->agent, s, w, n, force, &q->actor, q->comment, why);
	if (r)
		answer_errno(q, r, why);
	else
		q->json = view_weights(s);
}

static bool established_read(struct request *q, int *ret)
{
	const char *word;

	*ret = -1;
	if (!request_string(q, "established", &word))
		return false;
	if (!word)
		return true;
	if (!strcmp(word, "keep"))
		*ret = PERCH_KEEP;
	else if (!strcmp(word, "drain"))
		*ret = PERCH_DRAIN;
	else if (!strcmp(word, "sever"))
		*ret = PERCH_SEVER;
	else
		answer_error(q, MHD_HTTP_BAD_REQUEST, "established: '%s' is not keep, drain or sever", word);
	return *ret >= 0;
}

static json_t *view_rollback(const struct service *s, const struct rollback *b)
{
	static const char *const outcomes[] = { "rolledBack", "alreadyRolledBack", "nothing" };
	static const char *const words[] = { "keep", "drain", "sever" };
	int mode = b->mode >= 0 ? b->mode : (int)s->model->established;
	char message[2 * PERCH_NAME_LEN + 64];

	if (b->outcome == ROLLBACK_DONE)
		snprintf(message, sizeof(message), "%s: rolled back to %s", s->name, b->to);
	else if (b->outcome == ROLLBACK_ALREADY)
		snprintf(message, sizeof(message), "%s: was rolled back to %s before", s->name, b->to);
	else
		snprintf(message, sizeof(message), "%s: nothing to roll back: all traffic is on %s", s->name, b->to);
	return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:s, s:I, s:s, s:s}", "service", s->name, "outcome",
			 outcomes[b->outcome], "from", b->from[0] ? b->from : NULL, "to", b->to, "epoch",
			 (json_int_t)perch_word_epoch(s->word), "established", words[mode], "nanoseconds",
			 (json_int_t)b->ns, "phase", rollout_phase_name(s->keep.rollout.phase), "message", message);
}

void api_rollback(struct request *q)
{
	static const char *const known[] = { "established", "comment", NULL };
	struct rollback b = { .by = PERCH_BY_AGENT, .actor = &q->actor, .comment = q->comment };
	struct service *s;
	int r;

	if (!request_service(q, &s) || !request_known(q, known) || !established_read(q, &b.mode))
		return;
	r = rollback_run(q->agent, s, &b);
	if (r)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "%s: rollback: %s", s->name, strerror(-r));
	else
		q->json = view_rollback(s, &b);
}
