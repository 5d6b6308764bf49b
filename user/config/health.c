// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `healthCheck` of a service, and what of the service a check
 * needs to have something to connect to.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

#define PATH_LENGTH 255
#define IN_A_ROW_MOST 100
#define STATUS_LOW 100
#define STATUS_HIGH 599

void health_set_defaults(struct model_health *h)
{
	*h = (struct model_health){
		.type = MODEL_CHECK_NONE,
		.interval = NS_PER_S,
		.timeout = 500 * NS_PER_MS,
		.fall = 3,
		.rise = 2,
		.expect_low = 200,
		.expect_high = 399,
	};
}

static int read_path(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;
	char *copy;

	if (schema_text(r, node, "a path like /healthz", &text))
		return -EINVAL;
	if (*text != '/')
		return reader_fail(r, node, "%s is not a path; begin with /, like /healthz", value_quote(text).text);
	if (strlen(text) > PATH_LENGTH)
		return reader_fail(r, node, "is %zu bytes long; at most %d are possible", strlen(text), PATH_LENGTH);
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return reader_fail(r, node, "%s has what a URL writes as %%XX; write it so",
					   value_quote(text).text);
	copy = strdup(text);
	if (!copy)
		return reader_no_memory(r);
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static bool is_status(__u64 n)
{
	return n >= STATUS_LOW && n <= STATUS_HIGH;
}

/* 200, or "200-399" */
static int read_expect(struct reader *r, yaml_node_t *node, void *health)
{
	static const char what[] = "a status from 100 to 599 or a range of them, like 200 or 200-399";
	struct model_health *h = health;
	const char *text, *end;
	__u64 low, high;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (value_decimal(text, 0, &end, &low))
		return schema_misread(r, node, what);
	high = low;
	if ((*end && (*end != '-' || value_decimal_all(end + 1, 0, &high))) || !is_status(low) || !is_status(high))
		return schema_misread(r, node, what);
	if (low > high)
		return reader_fail(r, node, "%s ends before it begins; write %llu-%llu", value_quote(text).text, high,
				   low);
	h->expect_low = low;
	h->expect_high = high;
	return 0;
}

static const struct schema_choice types[] = {
	SCHEMA_WORD("none", MODEL_CHECK_NONE), SCHEMA_WORD("tcp", MODEL_CHECK_TCP),
	SCHEMA_WORD("http", MODEL_CHECK_HTTP), {}
};
static const struct schema_key health_keys[] = {
	{ .name = "type", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_health, type), .choices = types },
	{ .name = "interval", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_health, interval),
	  .min = 100 * NS_PER_MS, .max = NS_PER_H },
	{ .name = "timeout", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_health, timeout),
	  .min = 10 * NS_PER_MS, .max = NS_PER_M },
	{ .name = "fall", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_health, fall), .min = 1,
	  .max = IN_A_ROW_MOST },
	{ .name = "rise", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_health, rise), .min = 1,
	  .max = IN_A_ROW_MOST },
	{ .name = "path", SCHEMA_FIELD(struct model_health, path), .read = read_path },
	{ .name = "expect", .read = read_expect },
	{}
};
static const struct schema health_schema = { "a health check", health_keys };

static int refuse_http_key(struct reader *r, yaml_node_t *node, const char *key)
{
	const yaml_node_t *value = schema_value(r, node, key);

	return value ? reader_fail_at(r, reader_line(value), key, "is for http only; write type: http or leave it out")
		     : 0;
}

int health_read(struct reader *r, yaml_node_t *node, void *health)
{
	struct model_health *h = health;
	char longer[VALUE_TEXT], shorter[VALUE_TEXT];
	yaml_node_t *timeout;
	int err;

	err = schema_read(r, node, &health_schema, h);
	if (err)
		return err;
	/* who asks for a check and says no more wants the simplest */
	if (h->type == MODEL_CHECK_NONE && !schema_value(r, node, "type"))
		h->type = MODEL_CHECK_TCP;
	if (h->type == MODEL_CHECK_TCP)
		err = refuse_http_key(r, node, "path") ?: refuse_http_key(r, node, "expect");
	if (err || h->timeout <= h->interval)
		return err;
	timeout = schema_value(r, node, "timeout");
	return reader_fail_at(r, reader_line(timeout ?: node), "timeout",
			      "%s is longer than interval (%s); a check would meet the next, so make it shorter",
			      value_format_duration(h->timeout, longer), value_format_duration(h->interval, shorter));
}

/* A port to check a backend at that has none of its own. */
static bool has_tcp_port(const struct model_service *s)
{
	for (size_t i = 0; i < s->n_listen; i++)
		if (s->listen[i].protocol == IPPROTO_TCP && s->listen[i].port)
			return true;
	return false;
}

static bool has_tcp(const struct model_service *s)
{
	for (size_t i = 0; i < s->n_listen; i++)
		if (s->listen[i].protocol == IPPROTO_TCP)
			return true;
	return false;
}

static const struct model_backend *backend_without_port(const struct model_service *s)
{
	for (size_t v = 0; v < s->n_versions; v++)
		for (size_t b = 0; b < s->versions[v].n_backends; b++)
			if (!s->versions[v].backends[b].port)
				return &s->versions[v].backends[b];
	return NULL;
}

int health_check(struct reader *r, int line, const struct model_service *s)
{
	const struct model_backend *bare = backend_without_port(s);
	char text[ADDRESS_TEXT];

	if (s->health.type == MODEL_CHECK_NONE)
		return 0;
	if (!has_tcp(s))
		return reader_fail_at(r, line, "healthCheck",
				      "%s connects by TCP, and no listener is TCP; write healthCheck: { type: none }",
				      types[s->health.type].name);
	if (bare && !has_tcp_port(s))
		return reader_fail_at(r, line, "healthCheck",
				      "backend %s (line %d) has no port to check, nor has the listener; give the backend one",
				      address_format(&bare->address, text), bare->line);
	return 0;
}
