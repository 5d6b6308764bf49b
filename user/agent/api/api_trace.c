// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * /v1/trace: packets as they pass.  The kernel is asked while somebody
 * follows, for what all of them have in common; each follower's own filter is
 * here.  One that reads too slowly loses packets, and is told how many.
 */
#include "api_trace.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../../datapath/traces.h"
#include "api.h"
#include "../clock.h"
#include "../log.h"
#include "reasons.h"
#include "stream.h"

#define LIMIT_MOST 1000000000ull
#define BEAT_S 1		/* so that one who was killed is seen soon */
#define NAMES 16

struct tracer {
	struct tracer *next;
	struct tracing *of;
	struct stream stream;
	char service[PERCH_NAME_LEN];	/* "": all */
	bool by_client;
	struct perch_address client;
	__u64 left;		/* 0: no limit */
	__u64 lost;		/* not told yet */
};

struct tracing {
	struct agent *agent;
	struct traces *traces;
	struct tracer *first;
	uv_poll_t poll;
	__u64 lost;		/* as the kernel counted, told */
	/* of interfaces, asked for again every second */
	struct { __u32 ifindex; char name[IF_NAMESIZE]; } name[NAMES];
};

/* What all followers have in common. */
static void tracing_ask(struct tracing *g)
{
	const struct tracer *t = g->first;
	struct traces_filter f = { .service = -1 };
	const struct service *s;
	bool same_service, same_client;

	if (!t) {
		traces_ask(g->traces, NULL);
		return;
	}
	same_service = t->service[0];
	same_client = t->by_client;
	for (const struct tracer *o = t->next; o; o = o->next) {
		same_service &= !strcmp(o->service, t->service);
		same_client &= o->by_client && !memcmp(&o->client, &t->client, sizeof(t->client));
	}
	s = same_service ? agent_service(g->agent, t->service) : NULL;
	if (s)
		f.service = s->id;
	if (same_client)
		f.client = &t->client;
	traces_ask(g->traces, &f);
}

static const char *tracing_interface(struct tracing *g, __u32 ifindex)
{
	for (int i = 0; i < NAMES; i++) {
		if (g->name[i].ifindex == ifindex)
			return g->name[i].name;
		if (g->name[i].ifindex)
			continue;
		if (!if_indextoname(ifindex, g->name[i].name))
			snprintf(g->name[i].name, IF_NAMESIZE, "%u", ifindex);
		g->name[i].ifindex = ifindex;
		return g->name[i].name;
	}
	memset(g->name, 0, sizeof(g->name));	/* more than room: anew */
	return tracing_interface(g, ifindex);
}

static const char *hook_name(__u8 hook)
{
	static const char *const names[PERCH_HOOKS] = { "xdp", "tcIn", "tcOut" };

	return hook < PERCH_HOOKS ? names[hook] : "?";
}

/* "SYN+ACK", as on the wire; NULL for what is no TCP. */
static const char *tcp_flags(const struct perch_trace *t, char out[40])
{
	static const char *const names[] = { "FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR" };
	size_t n = 0;

	if (t->protocol != IPPROTO_TCP)
		return NULL;
	out[0] = 0;
	for (int bit = 0; bit < 8; bit++)
		if (t->tcp & 1 << bit)
			n += snprintf(out + n, 40 - n, "%s%s", n ? "+" : "", names[bit]);
	return out;
}

static json_t *protocol_json(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP: return json_string("tcp");
	case IPPROTO_UDP: return json_string("udp");
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: return json_string("icmp");
	default: return json_sprintf("%u", protocol);
	}
}

static const char *chosen_by(__u8 notes)
{
	if (notes & PERCH_TRACE_BY_PIN)
		return "pin";
	return notes & PERCH_TRACE_BY_RULE ? "rule" : NULL;
}

static const struct service *trace_service(const struct agent *a, const struct perch_trace *t)
{
	return t->service < a->datapath.maps.control->services ? a->by_id[t->service] : NULL;
}

/* Adds where it went; nothing when no backend was chosen. */
static void trace_backend(const struct agent *a, const struct perch_trace *t, const struct service *s, json_t *o)
{
	const struct maps *m = &a->datapath.maps;
	const struct perch_backend *b;
	char text[ADDRESS_TEXT];
	__be16 port;

	json_object_set_new(o, "version", json_null());
	json_object_set_new(o, "backend", json_null());
	if (!t->backend || t->backend >= m->control->backends_n)
		return;
	b = &m->backends[t->backend];
	/* without a port of its own it has the listener's */
	port = b->port ?: t->notes & PERCH_TRACE_REPLY ? t->source_port : t->destination_port;
	json_object_set_new(o, "backend", json_string(address_port_format(&b->address, port, text)));
	if (s && t->slot < PERCH_SLOTS && s->slot[t->slot].name[0])
		json_object_set_new(o, "version", json_string(s->slot[t->slot].name));
}

static json_t *trace_json(struct tracing *g, const struct perch_trace *t, const struct service *s)
{
	const struct reason_text *reason = reason_find(t->reason);
	char source[ADDRESS_TEXT], destination[ADDRESS_TEXT], flags[40];
	json_t *o;

	o = json_pack("{s:f, s:s, s:s, s:s, s:s, s:o, s:s?, s:I, s:s, s:s, s:s, s:s?}", "time", clock_to_wall(t->time),
		      "interface", tracing_interface(g, t->ifindex), "hook", hook_name(t->hook), "source",
		      address_port_format(&t->source, t->source_port, source), "destination",
		      address_port_format(&t->destination, t->destination_port, destination), "protocol",
		      protocol_json(t->protocol), "flags", tcp_flags(t, flags), "length", (json_int_t)t->length,
		      "reason", reason->name, "verdict", reason->verdict, "text", reason->text, "service",
		      s ? s->name : NULL);
	if (!o)
		return NULL;
	trace_backend(g->agent, t, s, o);
	json_object_set_new(o, "by", chosen_by(t->notes) ? json_string(chosen_by(t->notes)) : json_null());
	json_object_set_new(o, "new", json_boolean(t->notes & PERCH_TRACE_NEW_FLOW));
	json_object_set_new(o, "reply", json_boolean(t->notes & PERCH_TRACE_REPLY));
	return o;
}

static bool tracer_wants(const struct tracer *t, const struct perch_trace *r, const struct service *s)
{
	if (t->stream.ended || (t->service[0] && (!s || strcmp(s->name, t->service))))
		return false;
	return !t->by_client || !memcmp(&r->source, &t->client, sizeof(t->client)) ||
	       !memcmp(&r->destination, &t->client, sizeof(t->client));
}

static void tracer_send(struct tracer *t, const json_t *doc)
{
	if (stream_send(&t->stream, doc))
		t->lost++;
	else if (t->left && !--t->left)
		stream_end(&t->stream);
}

static void tracing_take(void *arg, const struct perch_trace *r)
{
	struct tracing *g = arg;
	const struct service *s = trace_service(g->agent, r);
	json_t *doc = NULL;

	for (struct tracer *t = g->first; t; t = t->next) {
		if (!tracer_wants(t, r, s))
			continue;
		if (!doc)
			doc = trace_json(g, r, s);
		if (doc)
			tracer_send(t, doc);
	}
	json_decref(doc);
}

static void tracing_read(uv_poll_t *poll, int status, int events)
{
	struct tracing *g = poll->data;
	int r = traces_read(g->traces);

	if (r < 0 && r != -EINTR && r != -EAGAIN)
		log_warning("traces: %s", strerror(-r));
}

static void tracer_gone(struct stream *stream)
{
	struct tracer *t = (struct tracer *)((char *)stream - offsetof(struct tracer, stream)), **at = &t->of->first;
	struct tracing *g = t->of;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	free(t);
	tracing_ask(g);
	if (!g->first)
		uv_poll_stop(&g->poll);
}

static void tracer_tell_lost(struct tracer *t)
{
	json_t *doc;

	if (!t->lost || t->stream.ended)
		return;
	doc = json_pack("{s:f, s:I}", "time", clock_wall(), "lost", (json_int_t)t->lost);
	if (doc && !stream_send(&t->stream, doc))
		t->lost = 0;
	json_decref(doc);
}

void tracing_beat(struct agent *a)
{
	struct tracing *g = a->tracing;
	__u64 lost;

	if (!g || !g->first)
		return;
	lost = traces_lost(g->traces);
	for (struct tracer *t = g->first; t; t = t->next) {
		t->lost += lost - g->lost;
		tracer_tell_lost(t);
		stream_beat(&t->stream, BEAT_S);
	}
	g->lost = lost;
	memset(g->name, 0, sizeof(g->name));
	tracing_ask(g);		/* a service may be another element by now */
}

void tracing_start(struct agent *a)
{
	struct tracing *g = calloc(1, sizeof(*g));
	int r = g ? traces_open(&g->traces, &a->datapath.maps, tracing_take, g) : -ENOMEM;

	if (!r)
		r = uv_poll_init(&a->loop, &g->poll, traces_fd(g->traces));
	if (r) {
		log_error("traces: %s", strerror(-r));
		traces_close(g ? g->traces : NULL);
		free(g);
		return;
	}
	g->agent = a;
	g->poll.data = g;
	a->tracing = g;
}

void tracing_end(struct agent *a)
{
	for (struct tracer *t = a->tracing ? a->tracing->first : NULL; t; t = t->next)
		stream_end(&t->stream);
}

void tracing_stop(struct agent *a)
{
	if (!a->tracing)
		return;
	traces_close(a->tracing->traces);
	free(a->tracing);
	a->tracing = NULL;
}

static struct tracer *tracer_new(struct request *q, const struct service *service, const struct perch_address *client,
				 __u64 limit)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (!t) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return NULL;
	}
	if (stream_open(&t->stream, q, tracer_gone)) {
		free(t);
		return NULL;
	}
	t->of = q->agent->tracing;
	t->left = limit;
	if (service)
		snprintf(t->service, sizeof(t->service), "%s", service->name);
	t->by_client = client;
	if (client)
		t->client = *client;
	return t;
}

void api_trace(struct request *q)
{
	struct tracing *g = q->agent->tracing;
	const char *client = request_query(q, "client");
	struct perch_address address;
	struct service *service;
	struct tracer *t;
	__u64 limit;

	if (!request_query_service(q, &service) || !request_query_number(q, "limit", 0, LIMIT_MOST, &limit))
		return;
	if (client && address_parse(client, &address)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client: '%s' is no IP address", client);
		return;
	}
	if (!g) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "the ring of traces could not be opened; perchd's log says why");
		return;
	}
	t = tracer_new(q, service, client ? &address : NULL, limit);
	if (!t)
		return;
	if (!g->first) {
		g->lost = traces_lost(g->traces);
		uv_poll_start(&g->poll, UV_READABLE, tracing_read);
	}
	t->next = g->first;
	g->first = t;
	tracing_ask(g);
}
