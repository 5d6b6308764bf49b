// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The structure of services through the API: PUT and DELETE of services and of
 * their versions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "../reload/applied.h"
#include "../leaving.h"
#include "view.h"

#define DRAIN_MOST_NS (86400 * 1000000000ull)

/* What becomes of what was asked: the service as it is then. */
static void answer_change(struct request *q, int r, const char *why)
{
	const struct service *s = agent_service(q->agent, q->name);

	if (r)
		answer_errno(q, r, why);
	else if (s)
		q->json = view_service(q->agent, s);
	else
		answer_error(q, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s: is not in force", q->name);
}

static struct apply applied_how(const struct request *q)
{
	return (struct apply){ .strict = true, .actor = &q->actor, .comment = q->comment };
}

void api_service_apply(struct request *q)
{
	const struct apply how = applied_how(q);
	char why[AGENT_WHY] = "";

	if (!q->length || memchr(q->body, 0, q->length)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST,
			     "body: %s; send one service, in YAML or JSON, as perch.yaml has it in its list",
			     q->length ? "has a NUL" : "is empty");
		return;
	}
	answer_change(q, applied_put(q->agent, q->name, q->body, &how, why), why);
}

/* ?drain=30s; false after answering 400. */
static bool drain_read(struct request *q, __u64 *ret)
{
	const char *text = request_query(q, "drain");

	*ret = 0;
	if (!text || (!config_duration(text, ret) && *ret <= DRAIN_MOST_NS))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "drain: '%s' is not a time up to 24h, like 30s", text);
	return false;
}

void api_service_delete(struct request *q)
{
	const struct apply how = applied_how(q);
	const char *force = request_query(q, "force");
	const struct service *leaving;
	char why[AGENT_WHY] = "";
	__u64 drain_ns;
	int r;

	if (!drain_read(q, &drain_ns))
		return;
	r = applied_delete(q->agent, q->name, force && strcmp(force, "0"), drain_ns, &how, why);
	if (r) {
		answer_errno(q, r, why);
		return;
	}
	leaving = leaving_find(q->agent, q->name);
	q->json = leaving ? leaving_view(q->agent, leaving) : json_pack("{s:s, s:s}", "name", q->name, "phase", "Deleted");
}

/* The body is the version, with the comment that every change takes. */
void api_version_add(struct request *q)
{
	const struct apply how = applied_how(q);
	json_t *version = json_copy(q->in);
	char why[AGENT_WHY] = "";
	const char *name;
	int r;

	json_object_del(version, "comment");
	if (!request_string(q, "name", &name))
		goto out;
	if (!name) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "name: is missing: {\"name\": \"v2\", \"backends\": [\"10.0.1.4:8080\"]}");
		goto out;
	}
	r = applied_version_add(q->agent, q->name, version, &how, why);
	answer_change(q, r, why);
out:
	json_decref(version);
}

void api_version_delete(struct request *q)
{
	const struct apply how = applied_how(q);
	char why[AGENT_WHY] = "";

	answer_change(q, applied_version_delete(q->agent, q->name, q->second, &how, why), why);
}
