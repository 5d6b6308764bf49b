/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The API: requests as handlers see them, and the answers they give.
 * docs/api.md says what each path takes and gives. */
#ifndef PERCH_AGENT_API_H
#define PERCH_AGENT_API_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>

#include "../agent.h"

#define API_BODY 65536
#define API_TEXT (16u << 20)	/* a part of the configuration, or many pins */
#define API_COMMENT 200

struct request {
	struct agent *agent;
	struct http *http;
	struct MHD_Connection *connection;
	bool local;		/* over the unix socket */
	const char *method;
	char *path;
	char name[PERCH_NAME_LEN], second[PERCH_NAME_LEN];	/* what stood for each * in the path */
	char *body;		/* 0-terminated, NULL without one */
	size_t length, most;
	bool too_big;
	bool takes_text;	/* the body is no JSON; what belongs to it is in the query */

	json_t *in;		/* the body, an object; NULL for GET and texts */
	struct actor actor;
	const char *comment;	/* NULL: none */

	/* the answer: json, or text with its type, or a response of its own */
	unsigned status;
	json_t *json;
	char *text;
	const char *type;
	struct MHD_Response *response;
	char allow[64];
	bool wants_token;	/* 401: says which */
};

/* For http.c. */
struct request *request_new(struct agent *a, struct http *h, struct MHD_Connection *c, bool local, const char *method,
			    const char *path);
void request_body(struct request *q, const char *data, size_t size);
enum MHD_Result request_answer(struct request *q);
void request_free(struct request *q);

/* For handlers. */
void answer_error(struct request *q, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* -errno of a command to its status. */
void answer_errno(struct request *q, int err, const char *why);
/* ?key=…, or NULL. */
const char *request_query(const struct request *q, const char *key);
/* ?key=N from 0 to max; false after answering 400. */
bool request_query_number(struct request *q, const char *key, __u64 fallback, __u64 max, __u64 *ret);
/* The service of the path, or of ?service= (NULL without it); false after
 * answering 404. */
bool request_service(struct request *q, struct service **ret);
bool request_query_service(struct request *q, struct service **ret);
/* A member of the body; false after answering 400 for a wrong type. */
bool request_string(struct request *q, const char *key, const char **ret);
bool request_bool(struct request *q, const char *key, bool *ret);
/* Keys of the body that nobody knows are mistakes, not hints: false after
 * answering 400.  A list of names that ends with NULL. */
bool request_known(struct request *q, const char *const known[]);
/* Answer an array over all services, or over the one of ?service=. */
void request_list(struct request *q, void (*add)(struct request *q, const struct service *s));

typedef void api_handler(struct request *q);
api_handler api_status, api_services, api_service, api_versions, api_backends, api_weights, api_weights_set, api_rollback,
	api_rollout, api_rollout_votes, api_rollout_plan, api_rollout_action, api_rollouts, api_flows, api_flow_count, api_events, api_reasons, api_samples, api_datapath,
	api_config, api_healthz, api_readyz, api_metrics;
api_handler api_trace, api_doctor, api_backend_drain, api_backend_resume;
api_handler api_config_apply, api_config_confirm, api_config_diff, api_service_apply, api_service_delete,
	api_version_add, api_version_delete;

/* api_pushed.c; allowed: with the token, over TCP.  False: answered. */
api_handler api_pushed_add, api_pushed_show;
bool api_pushed_allowed(struct request *q);

/* api_pins.c, api_explain.c */
api_handler api_pins, api_pins_set, api_pins_delete, api_explain;

/* Wake or end those that follow events: see api_events.c. */
void api_events_beat(struct agent *a);
void api_events_end(struct agent *a);

#endif
