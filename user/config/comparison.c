/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The part of a rollout's policy that compares the canary with stable: gates
 * on signals without a limit, and their margins. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "parts.h"
#include "schema.h"
#include "values.h"

#define MARGIN_MOST 1000

void comparison_defaults(struct model_compare *c)
{
	*c = (struct model_compare){
		.ratio = 1.5, .slowdown = 1.25, .beta = 0.05, .max_loss = 20, .max_loss_per_hour = 60,
		.warmup = 60 * NS_PER_S,
	};
}

int comparison_margin(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;
	double value;
	char *end;

	if (schema_text(r, node, "a number like 1.5", &text))
		return -EINVAL;
	value = strtod(text, &end);
	if (!*text || *end || !isfinite(value))
		return schema_misread(r, node, "a number like 1.5");
	if (value < 1 || value > MARGIN_MOST)
		return reader_fail(r, node, "must be from 1 to %d, the times that it may be worse than stable; 1.5 is usual",
				   MARGIN_MOST);
	*(double *)field = value;
	return 0;
}

/* Of signals by which is compared: which margin. */
static double *margin_of(struct model_compare *c, enum model_signal signal)
{
	switch (signal) {
	case MODEL_CONNECT_FAILURE: return &c->max_ratio[MODEL_EVENT_CONNECT_FAILURE];
	case MODEL_RESET: return &c->max_ratio[MODEL_EVENT_RESET];
	case MODEL_NO_RESPONSE: return &c->max_ratio[MODEL_EVENT_NO_RESPONSE];
	case MODEL_RETRANSMITS: return &c->max_ratio[MODEL_EVENT_RETRANSMITS];
	case MODEL_HTTP_4XX: return &c->max_ratio[MODEL_EVENT_HTTP_4XX];
	case MODEL_HTTP_5XX: return &c->max_ratio[MODEL_EVENT_HTTP_5XX];
	case MODEL_UDP_NO_REPLY: return &c->max_ratio[MODEL_EVENT_UDP_NO_REPLY];
	case MODEL_CONNECT_TIME: return &c->max_slowdown[MODEL_WAIT_CONNECT_TIME];
	case MODEL_RESPONSE_TIME: return &c->max_slowdown[MODEL_WAIT_RESPONSE_TIME];
	default: return NULL;
	}
}

int comparison_gate(struct reader *r, struct model_compare *c, const struct comparison_text *t)
{
	bool is_wait = t->signal == MODEL_CONNECT_TIME || t->signal == MODEL_RESPONSE_TIME;
	double *margin = margin_of(c, t->signal), given = is_wait ? t->slowdown : t->ratio;

	if (is_wait && t->ratio)
		return reader_fail_at(r, t->line, "maxRatio", "is for counts of what went wrong; for %s write maxSlowdown", t->name);
	if (!is_wait && t->slowdown)
		return reader_fail_at(r, t->line, "maxSlowdown", "is for times; for %s write maxRatio", t->name);
	if (t->quantile)
		return reader_fail_at(r, t->line, "quantile", "goes with max, the limit of an absolute gate; leave it out, or add max");
	if (*margin)
		return reader_fail_line(r, t->line, "%s is compared by a gate already; take one of them out", t->name);
	*margin = given ?: MODEL_MARGIN;
	return 0;
}

/* What the kernel sees of a service that nobody wrote gates for. */
void comparison_default(struct model_service *s)
{
	static const enum model_event of_tcp[] = {
		MODEL_EVENT_CONNECT_FAILURE, MODEL_EVENT_RESET, MODEL_EVENT_NO_RESPONSE, MODEL_EVENT_RETRANSMITS,
	};
	struct model_compare *c = &s->rollout.compare;
	bool tcp = false;

	if (c->given || perch_one_sided(s->forward))
		return;
	for (size_t l = 0; l < s->n_listen; l++)
		tcp |= s->listen[l].protocol == IPPROTO_TCP;
	for (size_t e = 0; tcp && e < sizeof(of_tcp) / sizeof(*of_tcp); e++)
		c->max_ratio[of_tcp[e]] = MODEL_MARGIN;
	if (tcp && s->observe & MODEL_OBSERVE_HTTP1)
		c->max_ratio[MODEL_EVENT_HTTP_4XX] = c->max_ratio[MODEL_EVENT_HTTP_5XX] = MODEL_MARGIN;
	if (s->observe & MODEL_OBSERVE_UDP_REPLY)
		c->max_ratio[MODEL_EVENT_UDP_NO_REPLY] = MODEL_MARGIN;
	c->max_slowdown[MODEL_WAIT_CONNECT_TIME] = tcp ? MODEL_MARGIN : 0;
	c->max_slowdown[MODEL_WAIT_RESPONSE_TIME] = MODEL_MARGIN;
}

void comparison_clear(struct model_compare *c)
{
	c->given = true;
	for (unsigned e = 0; e < MODEL_EVENTS; e++)
		c->max_ratio[e] = 0;
	for (unsigned w = 0; w < MODEL_WAITS; w++)
		c->max_slowdown[w] = 0;
}
