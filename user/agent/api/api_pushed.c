// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/metrics: values that others push, and those that are kept. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "../clock.h"
#include "../outside/pushed.h"
#include "../outside/token.h"
#include "api.h"

bool api_pushed_allowed(struct request *q)
{
	const char *file = q->agent->config->agent.metrics_token_file;
	const char *header = MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	char token[TOKEN_BYTES];
	int r;

	if (!file) {
		answer_error(q, MHD_HTTP_FORBIDDEN, "%s: only over the unix socket; agent.metricsTokenFile opens it", q->path);
		return false;
	}
	if (!header) {
		q->wants_token = true;
		answer_error(q, MHD_HTTP_UNAUTHORIZED, "%s: needs Authorization: Bearer with the token", q->path);
		return false;
	}
	r = token_read(file, token);
	if (r)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "metricsTokenFile: %s", strerror(-r));
	else if (!token_authorizes(header, token))
		answer_error(q, MHD_HTTP_FORBIDDEN, "%s: this is not the token", q->path);
	else
		header = NULL;
	explicit_bzero(token, sizeof(token));
	return !header;
}

static bool read_name(struct request *q, const char *key, const char **ret)
{
	if (!request_string(q, key, ret))
		return false;
	if (*ret && config_is_name(*ret))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: %s; it is letters, digits, '.', '_' and '-', at most 63", key,
		     *ret ? "is not a name" : "is missing");
	return false;
}

static bool read_value(struct request *q, double *ret)
{
	const json_t *value = json_object_get(q->in, "value");

	*ret = json_number_value(value);
	if (json_is_number(value) && isfinite(*ret))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "value: %s; it is a number", value ? "is none" : "is missing");
	return false;
}

static json_t *series_json(const struct pushed_series *s, __u64 now)
{
	const struct pushed_value *last = pushed_last(s);

	return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:I}", "service", s->service, "version", s->version, "name", s->name,
			 "value", last->value, "time", clock_to_wall(last->at), "age",
			 now > last->at ? (now - last->at) / 1e9 : 0., "count", (json_int_t)s->count);
}

void api_pushed_add(struct request *q)
{
	static const char *const known[] = { "service", "version", "name", "value", "comment", NULL };
	const char *service, *version, *name;
	struct pushed *p = &q->agent->pushed;
	struct service *s;
	double value;
	int slot, r;

	if (!request_known(q, known) || !read_name(q, "service", &service) || !read_name(q, "version", &version) ||
	    !read_name(q, "name", &name) || !read_value(q, &value))
		return;
	s = agent_service(q->agent, service);
	slot = s ? slot_find(s->slot, version) : -1;
	if (!s)
		answer_error(q, MHD_HTTP_NOT_FOUND, "no service '%s'; `perch service show` lists them", service);
	else if (slot < 0)
		answer_error(q, MHD_HTTP_NOT_FOUND, "no version '%s' in '%s'; `perch version show` lists them", version, service);
	if (slot < 0)
		return;
	r = pushed_add(p, service, s->slot[slot].name, name, value, clock_now());
	if (r == -ENOSPC)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "%d series are kept already; one goes an hour after its last value",
			     PUSHED_SERIES);
	else if (r)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	else
		q->json = series_json(pushed_find(p, service, s->slot[slot].name, name), clock_now());
}

void api_pushed_show(struct request *q)
{
	struct service *only;
	__u64 now = clock_now();

	if (!request_query_service(q, &only))
		return;
	q->json = json_array();
	for (const struct pushed_series *s = q->agent->pushed.first; s; s = s->next)
		if (!only || !strcmp(only->name, s->service))
			json_array_append_new(q->json, series_json(s, now));
}
