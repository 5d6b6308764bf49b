/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The key `observe` of a service: what is looked at only where it is asked for. */
#include "leaves.h"
#include "parts.h"

static const struct schema_choice words[] = {
	SCHEMA_WORD("http1", MODEL_OBSERVE_HTTP1), SCHEMA_WORD("udpReply", MODEL_OBSERVE_UDP_REPLY), {}
};

int observe_read(struct reader *r, yaml_node_t *node, void *field)
{
	return schema_bits(r, node, "what to look at", words, true, field);
}

/* Gates that look at what nobody asked for. */
static int check_gate(struct reader *r, const struct model_service *s, enum model_event event, const char *gate, __u32 needs)
{
	const struct model_compare *c = &s->rollout.compare;

	if (!c->given || !c->max_ratio[event] || s->observe & needs)
		return 0;
	return reader_fail_at(r, s->line, "observe", "lacks %s, without which the gate %s sees nothing; add it, or take the gate out",
			      words[needs == MODEL_OBSERVE_UDP_REPLY].name, gate);
}

int observe_check(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	if (perch_one_sided(s->forward)) {
		if (node && s->observe)
			return reader_fail_at(r, reader_line(node), "observe",
					      "can't be with a way to forward whose replies do not pass here; write []");
		s->observe = 0;		/* the defaults' is for others */
		return 0;
	}
	return check_gate(r, s, MODEL_EVENT_HTTP_4XX, "http_4xx", MODEL_OBSERVE_HTTP1) ?:
	       check_gate(r, s, MODEL_EVENT_HTTP_5XX, "http_5xx", MODEL_OBSERVE_HTTP1) ?:
	       check_gate(r, s, MODEL_EVENT_UDP_NO_REPLY, "udp_no_reply", MODEL_OBSERVE_UDP_REPLY);
}

void observe_words(struct leaves_list *list, __u32 observe)
{
	for (const struct schema_choice *w = words; w->name; w++)
		if (observe & w->value)
			leaves_element(list, "%s", w->name);
}
