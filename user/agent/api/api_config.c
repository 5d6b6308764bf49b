// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/config: what is in force, what would change, and changing it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "../reload/applied.h"
#include "../reload/confirm.h"
#include "../reload/files.h"
#include "../reload/reload.h"

static json_t *view_files(const struct model_config *c)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n_files; i++)
		json_array_append_new(array, json_string(c->files[i]));
	return array;
}

/* Who owns which service, and where it is written. */
static json_t *view_owners(const struct agent *a)
{
	json_t *array = json_array();

	for (size_t i = 0; i < a->config->n_services; i++) {
		const struct model_service *m = &a->config->services[i];
		const struct applied *applied = m->file ? NULL : applied_find(a, m->name);

		json_array_append_new(array, json_pack("{s:s, s:s, s:s?, s:o, s:s?}", "name", m->name, "owner",
						       m->file ? "file" : "api", "file", m->file, "line",
						       m->file ? json_integer(m->line) : json_null(), "text",
						       applied ? applied->text : NULL));
	}
	return array;
}

struct listing {
	json_t *array;
};

static void listing_add(void *arg, const char *path, const char *from, const char *to)
{
	struct listing *l = arg;

	json_array_append_new(l->array, json_pack("{s:s, s:s?, s:s?}", "path", path, "from", from, "to", to));
}

static json_t *differences(const struct model_config *from, const struct model_config *to)
{
	struct listing l = { json_array() };

	if (!config_diff(from, to, listing_add, &l))
		return l.array;
	json_decref(l.array);
	return NULL;
}

/* Everything that holds, the defaults and what was included too. */
static json_t *view_effective(const struct agent *a)
{
	static const struct model_config nothing;
	json_t *all = differences(&nothing, a->config), *object = json_object(), *one;
	size_t i;

	json_array_foreach(all, i, one)
		json_object_set(object, json_string_value(json_object_get(one, "path")), json_object_get(one, "to"));
	json_decref(all);
	return object;
}

static json_t *view_config(const struct agent *a)
{
	json_t *text = json_string(a->config_text);

	return json_pack("{s:s, s:f, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "file", a->config_path, "loaded",
			 a->config_loaded, "ok", !a->config_error[0], "error",
			 a->config_error[0] ? json_string(a->config_error) : json_null(), "pending", confirm_json(a),
			 "files", view_files(a->config), "services", view_owners(a), "effective", view_effective(a), "text",
			 text ? text : json_null());
}

void api_config(struct request *q)
{
	q->json = view_config(q->agent);
}

/* ?confirm=30s or seconds; false after answering 400. */
static bool confirm_read(struct request *q, double *ret)
{
	const char *text = request_query(q, "confirm");
	__u64 ns;

	*ret = 0;
	if (!text)
		return true;
	if (config_duration(text, &ns) || ns < 1000000000ull || ns > CONFIRM_MOST_S * 1000000000ull) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "confirm: '%s' is not a time from 1s to 24h, like 60s", text);
		return false;
	}
	*ret = ns / 1e9;
	return true;
}

/* Does why tell of the text that came? */
static bool is_about(const char *why, const char *path)
{
	size_t n = strlen(path);

	return !strncmp(why, path, n) && why[n] == ':';
}

/*
 * A text from the socket names files that perchd reads as root.  What is wrong
 * in one of them quotes it: who is not root is told the place and no more.
 */
static void hide_quotes(const struct request *q, char why[AGENT_WHY])
{
	size_t n, digits;

	if ((q->actor.known && !q->actor.uid) || is_about(why, q->agent->config_path) ||
	    !strncmp(why, APPLIED_ORIGIN, strlen(APPLIED_ORIGIN)))
		return;
	for (n = strcspn(why, ":"); why[n]; n += 1 + strcspn(why + n + 1, ":")) {
		digits = strspn(why + n + 1, "0123456789");
		if (!digits || why[n + 1 + digits] != ':')
			continue;
		n += 1 + digits;
		snprintf(why + n, AGENT_WHY - n, ": is wrong; `perch config check` tells more to who may read that file");
		return;
	}
}

void api_config_apply(struct request *q)
{
	const struct apply how = { .strict = true, .actor = &q->actor, .comment = q->comment };
	char why[AGENT_WHY] = "";
	double seconds;
	int r;

	if (!confirm_read(q, &seconds))
		return;
	r = confirm_apply(q->agent, q->body, q->length, seconds, &how, why);
	if (r == -EINVAL)
		hide_quotes(q, why);
	if (r)
		answer_errno(q, r, why);
	else
		q->json = view_config(q->agent);
}

void api_config_confirm(struct request *q)
{
	const struct apply how = { .actor = &q->actor, .comment = q->comment };
	char why[AGENT_WHY];

	if (confirm_now(q->agent, &how, why))
		answer_error(q, MHD_HTTP_CONFLICT, "%s", why);
	else
		q->json = view_config(q->agent);
}

/* Of the body, or without one of the file as it is now, to what is in force. */
void api_config_diff(struct request *q)
{
	struct agent *a = q->agent;
	struct model_config *config;
	char why[AGENT_WHY] = "", *text = NULL;
	size_t length = q->length;
	int r = 0;

	if (!length) {
		r = file_read(a->config_path, &text, &length);
		if (r) {
			answer_error(q, MHD_HTTP_CONFLICT, "%s: %s", a->config_path, strerror(-r));
			return;
		}
	}
	r = reload_parse(a, text ? text : q->body, length, &config, why);
	free(text);
	if (r == -EINVAL)
		hide_quotes(q, why);
	if (r) {
		answer_errno(q, r, why);
		return;
	}
	q->json = differences(a->config, config);
	config_free(config);
	if (!q->json)
		answer_errno(q, -ENOMEM, strerror(ENOMEM));
}
