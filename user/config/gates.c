/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Gates of a rollout's policy as they are written: with a limit of their own,
 * beside stable, or from outside. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "parts.h"
#include "schema.h"
#include "values.h"

#define MILLION 1000000

/* A gate as it is written: what max means depends on the signal. */
struct gate_text {
	unsigned signal;
	double quantile, ratio, slowdown;
	yaml_node_t *max;
};

/* In their order. */
static const struct schema_choice signals[] = {
	SCHEMA_WORD("connect_failure", MODEL_CONNECT_FAILURE),
	SCHEMA_WORD("reset", MODEL_RESET),
	SCHEMA_WORD("response_time", MODEL_RESPONSE_TIME),
	SCHEMA_WORD("connect_time", MODEL_CONNECT_TIME),
	SCHEMA_WORD("no_response", MODEL_NO_RESPONSE),
	SCHEMA_WORD("retransmits", MODEL_RETRANSMITS),
	SCHEMA_WORD("http_4xx", MODEL_HTTP_4XX),
	SCHEMA_WORD("http_5xx", MODEL_HTTP_5XX),
	SCHEMA_WORD("udp_no_reply", MODEL_UDP_NO_REPLY), {}
};

#define FROM_OUTSIDE "it is for gates from outside, which have a name and a source and no signal"
static const struct schema_key gate_keys[] = {
	{ .name = "signal", .type = SCHEMA_CHOICE, .required = true, SCHEMA_FIELD(struct gate_text, signal),
	  .choices = signals },
	{ .name = "max", SCHEMA_FIELD(struct gate_text, max), .read = schema_node },
	{ .name = "quantile", .type = SCHEMA_FRACTION, SCHEMA_FIELD(struct gate_text, quantile), .min = 1,
	  .max = MILLION - 1 },
	SCHEMA_NOT_HERE("action", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("caFile", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("checkInterval", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("compare", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("confidence", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("consecutive", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("critical", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("direction", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("effect", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("group", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("headers", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("initialDelay", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("maxAge", FROM_OUTSIDE),
	{ .name = "maxRatio", SCHEMA_FIELD(struct gate_text, ratio), .read = comparison_margin },
	{ .name = "maxSlowdown", SCHEMA_FIELD(struct gate_text, slowdown), .read = comparison_margin },
	SCHEMA_NOT_HERE("metric", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("min", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("name", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("pointer", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("prometheus", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("query", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("threshold", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("tolerance", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("url", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("urlFile", FROM_OUTSIDE),
	SCHEMA_NOT_HERE("weight", FROM_OUTSIDE),
	{}
};
static const struct schema gate_schema = { "a gate", gate_keys };

/* A share of bad connections; none or all of them is no limit to test. */
static int gate_share(struct reader *r, const struct gate_text *t, struct model_gate *g)
{
	static const struct schema_key range = {
		.type = SCHEMA_PERCENT, .size = sizeof(__u32), .min = 1, .max = PERCH_SHARE_ALL - 1,
	};
	size_t back;
	__u32 share;

	if (t->quantile)
		return reader_fail_at(r, g->line, "quantile", "is for response_time only; leave it out");
	back = reader_enter(r, "max");
	if (schema_field(r, t->max, &range, &share))
		return -EINVAL;
	reader_leave(r, back);
	g->max = (double)share / PERCH_SHARE_ALL;
	snprintf(g->name, sizeof(g->name), "%s", signals[t->signal].name);
	return 0;
}

static int gate_limit(struct reader *r, const struct gate_text *t, struct model_gate *g)
{
	static const struct schema_key range = {
		.type = SCHEMA_DURATION, .size = sizeof(__u64), .min = NS_PER_MS / 100, .max = NS_PER_M,
	};
	size_t back;

	if (!t->quantile)
		return reader_fail_at(r, g->line, "quantile", "is missing; max of response_time needs it, like 0.99");
	back = reader_enter(r, "max");
	if (schema_field(r, t->max, &range, &g->limit))
		return -EINVAL;
	reader_leave(r, back);
	g->quantile = t->quantile;
	/* 1 - 0.99 is not 0.01 in doubles */
	g->max = (MILLION - round(t->quantile * MILLION)) / MILLION;
	snprintf(g->name, sizeof(g->name), "response_time p%g", t->quantile * 100);
	return 0;
}

/* With a limit of its own, else beside stable. */
static int read_gate(struct reader *r, yaml_node_t *node, struct model_rollout *p, unsigned element)
{
	struct model_gate *g = &p->gate[p->n_gates];
	struct gate_text text = {};
	int err = schema_read(r, node, &gate_schema, &text);

	if (err)
		return err;
	if (!text.max) {
		const struct comparison_text t = { text.signal, signals[text.signal].name, text.ratio, text.slowdown,
						   text.quantile, reader_line(node) };

		return comparison_gate(r, &p->compare, &t);
	}
	if (text.signal >= MODEL_SIGNALS)
		return reader_fail_at(r, reader_line(node), "max", "is not for %s, which is compared with stable; leave it out",
				      signals[text.signal].name);
	if (text.ratio || text.slowdown)
		return reader_fail_at(r, reader_line(node), text.ratio ? "maxRatio" : "maxSlowdown",
				      "is for gates without max, which compare; write two gates");
	if (p->n_gates == MODEL_GATES)
		return reader_fail(r, node, "is one gate on a signal too many; there may be %d", MODEL_GATES);
	*g = (struct model_gate){ .line = reader_line(node), .signal = text.signal, .element = element };
	p->n_gates++;
	return text.signal == MODEL_RESPONSE_TIME ? gate_limit(r, &text, g) : gate_share(r, &text, g);
}

/* The list as it is written: gates on signals and from outside. */
struct gate_nodes {
	yaml_node_t *gate[MODEL_GATES + MODEL_OUTSIDE];
	size_t n_gates;
};

static int read_one(struct reader *r, yaml_node_t *node, struct model_rollout *p, size_t i)
{
	int err;

	if (outside_is(r, node)) {
		if (p->n_outside == MODEL_OUTSIDE)
			return reader_fail(r, node, "is one gate from outside too many; there may be %d", MODEL_OUTSIDE);
		err = outside_read(r, node, &p->outside[p->n_outside]);
		p->outside[p->n_outside++].element = i;
		return err;
	}
	return read_gate(r, node, p, i);
}

int gates_read(struct reader *r, yaml_node_t *node, void *rollout)
{
	static const struct schema_list list = {
		.what = "gates", .size = sizeof(yaml_node_t *), .max = MODEL_GATES + MODEL_OUTSIDE, .inlined = true,
		.read = schema_node,
	};
	static const struct schema_key key = {
		.type = SCHEMA_LIST, .offset = offsetof(struct gate_nodes, gate), .n_offset = offsetof(struct gate_nodes, n_gates),
		.list = &list,
	};
	struct model_rollout *p = rollout;
	struct gate_nodes nodes = {};
	int err = schema_field(r, node, &key, &nodes);

	free(p->outside);	/* of the defaults */
	p->n_gates = p->n_outside = 0;
	comparison_clear(&p->compare);
	p->outside = nodes.n_gates ? calloc(nodes.n_gates, sizeof(*p->outside)) : NULL;
	if (nodes.n_gates && !p->outside)
		return reader_no_memory(r);
	for (size_t i = 0; !err && i < nodes.n_gates; i++) {
		size_t back = reader_enter_element(r, i);

		err = read_one(r, nodes.gate[i], p, i);
		if (!err)
			reader_leave(r, back);
	}
	return err;
}
