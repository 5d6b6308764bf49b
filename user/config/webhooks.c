// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the key `webhooks` of a rollout: who is told, and who is asked before a
 * step. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"
#include "values.h"

#define FIELD(member_) SCHEMA_FIELD(struct model_webhook, member_)

static const struct schema_choice events[] = {
	SCHEMA_WORD("step", MODEL_TELL_STEP), SCHEMA_WORD("hold", MODEL_TELL_HOLD), SCHEMA_WORD("rollback", MODEL_TELL_ROLLBACK),
	SCHEMA_WORD("promote", MODEL_TELL_PROMOTE), SCHEMA_WORD("alarm", MODEL_TELL_ALARM), {}
};
static const struct schema_choice formats[] = {
	SCHEMA_WORD("json", MODEL_WEBHOOK_JSON), SCHEMA_WORD("slack", MODEL_WEBHOOK_SLACK),
	SCHEMA_WORD("alertmanager", MODEL_WEBHOOK_ALERTMANAGER), {}
};
static const struct schema_choice gates[] = { SCHEMA_WORD("step", true), {} };

static int read_events(struct reader *r, yaml_node_t *node, void *field)
{
	return schema_bits(r, node, "events", events, false, field);
}

static const struct schema_key webhook_keys[] = {
	{ .name = "url", FIELD(target.url), .read = target_read_url },
	{ .name = "urlFile", FIELD(target.url_file), .read = target_read_file },
	{ .name = "headers", FIELD(target), .read = target_read_headers },
	{ .name = "caFile", FIELD(target.ca_file), .read = target_read_file },
	{ .name = "events", FIELD(events), .read = read_events },
	{ .name = "format", .type = SCHEMA_CHOICE, FIELD(format), .choices = formats },
	{ .name = "secretFile", FIELD(secret_file), .read = target_read_file },
	{ .name = "timeout", .type = SCHEMA_DURATION, FIELD(timeout), .min = 100 * NS_PER_MS, .max = NS_PER_M },
	{ .name = "retries", .type = SCHEMA_COUNT, FIELD(retries), .max = 20 },
	{ .name = "gate", .type = SCHEMA_CHOICE, FIELD(gate), .choices = gates },
	{}
};
static const struct schema webhook_schema = { "a webhook", webhook_keys };

static int check_gate(struct reader *r, yaml_node_t *node)
{
	static const char *const of_telling[] = { "events", "format", "retries", NULL };

	for (size_t i = 0; of_telling[i]; i++) {
		yaml_node_t *value = schema_value(r, node, of_telling[i]);

		if (value)
			return reader_fail_at(r, reader_line(value), of_telling[i],
					      "is for webhooks that are told, and this one is asked; take it out");
	}
	return 0;
}

static int read_webhook(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_webhook *w = element;
	int err;

	*w = (struct model_webhook){ .events = MODEL_TELL_ALL, .timeout = 10 * NS_PER_S, .retries = 5, .line = reader_line(node) };
	err = schema_read(r, node, &webhook_schema, w);
	if (err)
		return err;
	if (!w->target.url[0] == !w->target.url_file[0])
		return reader_fail_at(r, w->line, "url", w->target.url[0] ? "is given beside urlFile; keep one" :
				      "is missing; give it or urlFile");
	if (w->secret_file[0] && w->format != MODEL_WEBHOOK_JSON)
		return reader_fail_at(r, reader_line(schema_value(r, node, "secretFile") ?: node), "secretFile",
				      "signs format: json alone; take it out");
	return w->gate ? check_gate(r, node) : 0;
}

int webhooks_read(struct reader *r, yaml_node_t *node, void *rollout)
{
	static const struct schema_list list = {
		.what = "webhooks", .size = sizeof(struct model_webhook), .max = MODEL_WEBHOOKS, .read = read_webhook,
	};
	static const struct schema_key key = {
		.type = SCHEMA_LIST, .offset = offsetof(struct model_rollout, webhooks),
		.n_offset = offsetof(struct model_rollout, n_webhooks), .list = &list,
	};
	struct model_rollout *p = rollout;

	free(p->webhooks);	/* of the defaults */
	p->webhooks = NULL;
	p->n_webhooks = 0;
	return schema_field(r, node, &key, p);
}

int webhooks_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to)
{
	to->webhooks = NULL;
	if (!from->n_webhooks)
		return 0;
	to->webhooks = malloc(from->n_webhooks * sizeof(*to->webhooks));
	if (!to->webhooks)
		return reader_no_memory(r);
	memcpy(to->webhooks, from->webhooks, from->n_webhooks * sizeof(*to->webhooks));
	return 0;
}
