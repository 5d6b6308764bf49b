// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which handler a request goes to, what is the same for all requests, and
 * how answers are sent. */
#include "api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../leaving.h"

#define GET MHD_HTTP_METHOD_GET
#define PUT MHD_HTTP_METHOD_PUT
#define POST MHD_HTTP_METHOD_POST
#define DELETE MHD_HTTP_METHOD_DELETE

/* `*` stands for one name, at most twice.  The first path that fits counts. */
static const struct {
	const char *method, *path;
	api_handler *fn;
	bool open;		/* over TCP too */
	bool (*allowed)(struct request *q);	/* over TCP when it says so; else it has answered */
} routes[] = {
	{ GET, "/healthz", api_healthz, true, NULL },
	{ GET, "/readyz", api_readyz, true, NULL },
	{ GET, "/metrics", api_metrics, true, NULL },
	{ GET, "/v1/status", api_status, false, NULL },
	{ GET, "/v1/services", api_services, false, NULL },
	{ GET, "/v1/services/*", api_service, false, NULL },
	{ PUT, "/v1/services/*", api_service_apply, false, NULL },
	{ DELETE, "/v1/services/*", api_service_delete, false, NULL },
	{ POST, "/v1/services/*/versions", api_version_add, false, NULL },
	{ DELETE, "/v1/services/*/versions/*", api_version_delete, false, NULL },
	{ PUT, "/v1/services/*/weights", api_weights_set, false, NULL },
	{ POST, "/v1/services/*/rollback", api_rollback, false, NULL },
	{ PUT, "/v1/services/*/pins", api_pins_set, false, NULL },
	{ DELETE, "/v1/services/*/pins", api_pins_delete, false, NULL },
	{ GET, "/v1/services/*/rollout", api_rollout, false, NULL },
	{ GET, "/v1/services/*/rollout/votes", api_rollout_votes, false, NULL },
	{ GET, "/v1/services/*/rollout/plan", api_rollout_plan, false, NULL },
	{ POST, "/v1/services/*/rollout", api_rollout_action, false, NULL },
	{ GET, "/v1/versions", api_versions, false, NULL },
	{ GET, "/v1/backends", api_backends, false, NULL },
	{ POST, "/v1/services/*/backends/drain", api_backend_drain, false, NULL },
	{ POST, "/v1/services/*/backends/resume", api_backend_resume, false, NULL },
	{ GET, "/v1/weights", api_weights, false, NULL },
	{ GET, "/v1/pins", api_pins, false, NULL },
	{ GET, "/v1/explain", api_explain, false, NULL },
	{ GET, "/v1/rollouts", api_rollouts, false, NULL },
	{ GET, "/v1/flows", api_flows, false, NULL },
	{ GET, "/v1/flows/count", api_flow_count, false, NULL },
	{ GET, "/v1/events", api_events, false, NULL },
	{ GET, "/v1/trace", api_trace, false, NULL },
	{ GET, "/v1/doctor", api_doctor, false, NULL },
	{ GET, "/v1/reasons", api_reasons, false, NULL },
	{ GET, "/v1/samples", api_samples, false, NULL },
	{ GET, "/v1/datapath", api_datapath, false, NULL },
	{ GET, "/v1/config", api_config, false, NULL },
	{ PUT, "/v1/config", api_config_apply, false, NULL },
	{ POST, "/v1/config/confirm", api_config_confirm, false, NULL },
	{ POST, "/v1/config/diff", api_config_diff, false, NULL },
	{ POST, "/v1/metrics", api_pushed_add, false, api_pushed_allowed },
	{ GET, "/v1/metrics", api_pushed_show, false, NULL },
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool path_fits(const char *pattern, const char *path, struct request *q)
{
	char *name = q->name;
	const char *star;

	while ((star = strchr(pattern, '*'))) {
		size_t head = star - pattern, n;

		if (strncmp(pattern, path, head))
			return false;
		path += head;
		pattern = star + 1;
		n = strcspn(path, "/");
		if (!n || n >= PERCH_NAME_LEN)
			return false;
		memcpy(name, path, n);
		name[n] = 0;
		name = q->second;
		path += n;
	}
	return !strcmp(pattern, path);
}

static api_handler *route_find(struct request *q)
{
	const char *method = strcmp(q->method, MHD_HTTP_METHOD_HEAD) ? q->method : GET;
	api_handler *fn = NULL;
	bool known = false;

	for (size_t i = 0; i < ROUTES && !fn; i++) {
		if (!path_fits(routes[i].path, q->path, q))
			continue;
		if (!q->local && routes[i].allowed && !strcmp(routes[i].method, method)) {
			if (!routes[i].allowed(q))
				return NULL;
		} else if (!q->local && !routes[i].open) {
			answer_error(q, MHD_HTTP_FORBIDDEN, "%s: only over the unix socket", q->path);
			return NULL;
		}
		known = true;
		if (!strcmp(routes[i].method, method))
			fn = routes[i].fn;
		else
			snprintf(q->allow + strlen(q->allow), sizeof(q->allow) - strlen(q->allow), "%s%s",
				 q->allow[0] ? ", " : "", routes[i].method);
	}
	if (!fn && known)
		answer_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "%s: %s is not known here, %s is", q->path, q->method,
			     q->allow);
	else if (!fn)
		answer_error(q, MHD_HTTP_NOT_FOUND, "%s: no such path", q->path);
	return fn;
}

void answer_error(struct request *q, unsigned status, const char *format, ...)
{
	char text[AGENT_WHY + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_decref(q->json);
	q->status = status;
	q->json = json_pack("{s:s}", "error", text);
	if (!q->json)	/* the request quoted back was not UTF-8 */
		q->json = json_pack("{s:s}", "error", "the request is not UTF-8");
}

void answer_errno(struct request *q, int err, const char *why)
{
	unsigned status = MHD_HTTP_SERVICE_UNAVAILABLE;

	if (err == -EINVAL)
		status = MHD_HTTP_BAD_REQUEST;
	else if (err == -ENOENT)
		status = MHD_HTTP_NOT_FOUND;
	else if (err == -EBUSY || err == -ESTALE)
		status = MHD_HTTP_CONFLICT;
	answer_error(q, status, "%s", why);
}

const char *request_query(const struct request *q, const char *key)
{
	return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, key);
}

bool request_query_number(struct request *q, const char *key, __u64 fallback, __u64 max, __u64 *ret)
{
	const char *text = request_query(q, key);
	char *end;

	*ret = fallback;
	if (!text)
		return true;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *ret <= max)
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: '%s' is no number from 0 to %llu", key, text,
		     (unsigned long long)max);
	return false;
}

static bool find_service(struct request *q, const char *name, struct service **ret)
{
	*ret = agent_service(q->agent, name);
	if (!*ret && leaving_find(q->agent, name))
		answer_error(q, MHD_HTTP_CONFLICT, "service '%s' is leaving: it takes no new connections", name);
	else if (!*ret)
		answer_error(q, MHD_HTTP_NOT_FOUND, "no service '%s'; `perch service show` lists them", name);
	return *ret;
}

bool request_service(struct request *q, struct service **ret)
{
	return find_service(q, q->name, ret);
}

bool request_query_service(struct request *q, struct service **ret)
{
	const char *name = request_query(q, "service");

	*ret = NULL;
	return !name || find_service(q, name, ret);
}

bool request_string(struct request *q, const char *key, const char **ret)
{
	json_t *value = json_object_get(q->in, key);

	*ret = json_string_value(value);
	if (!value || *ret || json_is_null(value))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: must be a string", key);
	return false;
}

bool request_bool(struct request *q, const char *key, bool *ret)
{
	json_t *value = json_object_get(q->in, key);

	*ret = json_is_true(value);
	if (!value || json_is_boolean(value))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: must be true or false", key);
	return false;
}

bool request_known(struct request *q, const char *const known[])
{
	const char *key;
	json_t *value;

	json_object_foreach(q->in, key, value) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], key))
			i++;
		if (!known[i]) {
			answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: unknown", key);
			return false;
		}
	}
	return true;
}

void request_list(struct request *q, void (*add)(struct request *q, const struct service *s))
{
	struct service *only;

	if (!request_query_service(q, &only))
		return;
	q->json = json_array();
	for (const struct service *s = only ? only : q->agent->services; s; s = only ? NULL : s->next)
		add(q, s);
}

/* A bulk is longer than other bodies. */
static bool takes_many(struct request *q)
{
	return !strcmp(q->method, PUT) && path_fits("/v1/services/*/pins", q->path, q);
}

/* A text of the configuration, not JSON. */
static bool takes_text(struct request *q)
{
	for (size_t i = 0; i < ROUTES; i++)
		if (!strcmp(routes[i].method, q->method) && path_fits(routes[i].path, q->path, q))
			return routes[i].fn == api_service_apply || routes[i].fn == api_config_apply ||
			       routes[i].fn == api_config_diff;
	return false;
}

struct request *request_new(struct agent *a, struct http *h, struct MHD_Connection *c, bool local, const char *method,
			    const char *path)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->agent = a;
	q->http = h;
	q->connection = c;
	q->local = local;
	q->method = method;
	q->path = strdup(path);
	q->takes_text = local && q->path && takes_text(q);
	q->most = q->takes_text || (local && q->path && takes_many(q)) ? API_TEXT : API_BODY;
	if (q->path)
		return q;
	free(q);
	return NULL;
}

void request_body(struct request *q, const char *data, size_t size)
{
	char *body = NULL;

	if (q->length + size <= q->most)
		body = realloc(q->body, q->length + size + 1);
	if (!body) {
		q->too_big = true;
		return;
	}
	memcpy(body + q->length, data, size);
	q->body = body;
	q->length += size;
	body[q->length] = 0;
}

void request_free(struct request *q)
{
	if (!q)
		return;
	json_decref(q->in);
	json_decref(q->json);
	free(q->text);
	free(q->path);
	free(q->body);
	free(q);
}

/* The body as an object.  False: answered. */
static bool request_read_json(struct request *q)
{
	json_error_t error = { .line = -1 };

	q->in = q->length ? json_loadb(q->body, q->length, JSON_REJECT_DUPLICATES, &error) : json_object();
	if (!q->in) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "body: line %d, column %d: %s", error.line, error.column, error.text);
		return false;
	}
	if (!json_is_object(q->in)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "body: must be an object");
		return false;
	}
	return request_string(q, "comment", &q->comment);
}

/* In a query it may be any bytes; an event would have no room for those. */
static bool is_text(const char *text)
{
	json_t *string = json_string(text);

	json_decref(string);
	return string;
}

/* The body, and what every change has.  False: answered. */
static bool request_read(struct request *q)
{
	bool bodied = !strcmp(q->method, PUT) || !strcmp(q->method, POST);

	if (q->too_big) {
		answer_error(q, MHD_HTTP_CONTENT_TOO_LARGE, "body: more than %zu bytes", q->most);
		return false;
	}
	if (!bodied && strcmp(q->method, DELETE))
		return true;
	if (!bodied || q->takes_text)
		q->comment = request_query(q, "comment");
	else if (!request_read_json(q))
		return false;
	if (q->comment && strlen(q->comment) > API_COMMENT) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "comment: more than %d bytes", API_COMMENT);
		return false;
	}
	if (q->comment && !is_text(q->comment)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "comment: is not text; write it in UTF-8");
		return false;
	}
	q->actor = actor_of_socket(MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	return true;
}

static struct MHD_Response *response_of(struct request *q)
{
	struct MHD_Response *r;
	char *text = q->text, *dump;

	if (q->response)
		return q->response;
	if (q->json) {
		dump = json_dumps(q->json, JSON_COMPACT | JSON_REAL_PRECISION(15));
		text = dump ? realloc(dump, strlen(dump) + 2) : NULL;
		if (text)
			strcat(text, "\n");
		q->type = "application/json";
	}
	q->text = NULL;
	r = MHD_create_response_from_buffer(text ? strlen(text) : 0, text, MHD_RESPMEM_MUST_FREE);
	if (r && q->type)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, q->type);
	if (r && q->allow[0] && q->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, q->allow);
	if (r && q->wants_token)
		MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"perch\"");
	return r;
}

enum MHD_Result request_answer(struct request *q)
{
	struct MHD_Response *response;
	api_handler *fn = route_find(q);
	enum MHD_Result r;

	if (fn && request_read(q)) {
		q->status = MHD_HTTP_OK;
		fn(q);
	}
	response = response_of(q);
	if (!response)
		return MHD_NO;
	r = MHD_queue_response(q->connection, q->status, response);
	MHD_destroy_response(response);
	return r;
}
