// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/flows: the flow table walked, on request only. */
#include <netinet/in.h>
#include <string.h>

#include "../../core/address.h"
#include "../../datapath/flows.h"
#include "api.h"
#include "../clock.h"

#define LIMIT 1000
#define LIMIT_MOST 10000000ull

struct walk {
	const struct agent *agent;
	const struct service *service;	/* NULL: all */
	const struct perch_address *client;	/* NULL: all */
	__u64 limit;
	__u64 now;
	json_t *out;
};

static const char *class_name(enum perch_class class)
{
	switch (class) {
	case PERCH_EMBRYONIC: return "embryonic";
	case PERCH_UDP_NEW: return "new";
	case PERCH_CLOSING: return "closing";
	case PERCH_TCP: return "established";
	case PERCH_ONE_SIDED: return "one-sided";
	default: return "assured";
	}
}

static const struct perch_backend *flow_backend(const struct agent *a, const struct perch_flow *f)
{
	return f->backend < a->datapath.maps.control->backends_n ? &a->datapath.maps.backends[f->backend] : NULL;
}

static const struct service *flow_service(const struct agent *a, const struct perch_flow *f)
{
	const struct maps *m = &a->datapath.maps;
	__u16 id;

	if (f->key.listener >= m->control->listeners_n)
		return NULL;
	id = m->listeners[f->key.listener].service;
	return id < m->control->services ? a->by_id[id] : NULL;
}

static void flow_listener(const struct agent *a, const struct perch_flow *f, char text[ADDRESS_TEXT])
{
	const struct perch_listener *l = &a->datapath.maps.listeners[f->key.listener];
	struct perch_endpoint e = { .address = l->address, .port = f->key.port, .protocol = f->key.protocol };

	endpoint_format(&e, text);
}

/* What the backend sees of a client whose end was translated, else null. */
static json_t *view_source(const struct walk *w, const struct perch_flow *f)
{
	char text[ADDRESS_TEXT];

	if (!f->translated)
		return json_null();
	return json_string(address_port_format(flows_source(&w->agent->datapath.maps, f), f->translated, text));
}

static json_t *view_flow(const struct walk *w, const struct flow_copy *c, const struct service *s)
{
	const struct perch_flow *f = &c->flow;
	const struct perch_backend *b = flow_backend(w->agent, f);
	char client[ADDRESS_TEXT], listener[ADDRESS_TEXT], backend[ADDRESS_TEXT] = "";
	const char *version = b && b->version / PERCH_SLOTS == s->id ? s->slot[b->version % PERCH_SLOTS].name : "";

	flow_listener(w->agent, f, listener);
	if (b)
		address_port_format(&b->address, b->port ? b->port : f->key.port, backend);
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:f, s:f, s:I, s:b}", "service", s->name, "client",
			 address_port_format(&f->key.client, f->key.client_port, client), "listener", listener, "source",
			 view_source(w, f), "backend", backend, "version", version, "protocol", f->key.protocol == IPPROTO_TCP ? "tcp" : "udp", "class",
			 class_name(c->class), "age", w->now > f->created ? (w->now - f->created) / 1e9 : 0.0, "idle",
			 c->idle_ms / 1e3, "epoch", (json_int_t)f->epoch, "votes", !!(f->flags & PERCH_FLOW_VOTES));
}

static bool walk_flow(void *arg, const struct flow_copy *c)
{
	struct walk *w = arg;
	const struct service *s = flow_service(w->agent, &c->flow);

	if (!s || (w->service && s != w->service))
		return true;
	if (w->client && memcmp(w->client, &c->flow.key.client, sizeof(*w->client)))
		return true;
	json_array_append_new(w->out, view_flow(w, c, s));
	return !w->limit || json_array_size(w->out) < w->limit;
}

void api_flows(struct request *q)
{
	struct walk w = { .agent = q->agent, .now = clock_now() };
	const char *client = request_query(q, "client");
	struct perch_address address;
	struct service *service;

	if (!request_query_service(q, &service) || !request_query_number(q, "limit", LIMIT, LIMIT_MOST, &w.limit))
		return;
	if (client && address_parse(client, &address)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client: '%s' is no IP address", client);
		return;
	}
	w.service = service;
	w.client = client ? &address : NULL;
	w.out = q->json = json_array();
	flows_walk(&q->agent->datapath.maps, walk_flow, &w);
}

struct counts {
	const struct agent *agent;
	__u64 by_class[16];
	__u64 *by_service;
	__u64 total;
};

static bool count_flow(void *arg, const struct flow_copy *c)
{
	struct counts *n = arg;
	const struct service *s = flow_service(n->agent, &c->flow);

	n->total++;
	n->by_class[c->class & 15]++;
	if (s)
		n->by_service[s->id]++;
	return true;
}

void api_flow_count(struct request *q)
{
	static const enum perch_class classes[] = { PERCH_EMBRYONIC, PERCH_UDP_NEW, PERCH_CLOSING, PERCH_TCP, PERCH_UDP,
						     PERCH_ONE_SIDED };
	const struct perch_control *control = q->agent->datapath.maps.control;
	struct counts n = { .agent = q->agent };
	json_t *by_class = json_object(), *by_service = json_object();

	n.by_service = calloc(control->services, sizeof(*n.by_service));
	if (!n.by_service) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		json_decref(by_class);
		json_decref(by_service);
		return;
	}
	flows_walk(&q->agent->datapath.maps, count_flow, &n);
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		json_object_set_new(by_class, class_name(classes[i]), json_integer(n.by_class[classes[i]]));
	for (const struct service *s = q->agent->services; s; s = s->next)
		json_object_set_new(by_service, s->name, json_integer(n.by_service[s->id]));
	q->json = json_pack("{s:I, s:I, s:o, s:o}", "total", (json_int_t)n.total, "capacity",
			    (json_int_t)control->flow_sets * PERCH_WAYS, "classes", by_class, "services", by_service);
	free(n.by_service);
}
