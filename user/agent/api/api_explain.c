// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * /v1/explain: which version and backend a packet gets, by what, and why not
 * another one.  The decision is the datapath's own (user/datapath/explain.h);
 * here it is put into words, with what only the agent knows: where a rule was
 * written, what a pin asks for, why a version has no role.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../core/address.h"
#include "../../core/split.h"
#include "../../datapath/choices.h"
#include "../../datapath/explain.h"
#include "api.h"
#include "../clock.h"
#include "../pins.h"
#include "../rules.h"
#include "view.h"

#define SENTENCE 512

struct story {
	struct request *q;
	const struct maps *m;
	const struct service *s;
	struct hash_tuple t;
	struct explain e;
	__u8 dscp;
	__u64 now;
	char client[ADDRESS_TEXT], listener[ADDRESS_TEXT];
	char why[SENTENCE];
	json_t *notes;
};

static void note(const struct story *y, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const struct story *y, const char *format, ...)
{
	char text[SENTENCE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(y->notes, json_string(text));
}

static const char *slot_name(const struct story *y, unsigned slot)
{
	const char *name = y->s->slot[slot % PERCH_SLOTS].name;

	return name[0] ? name : "(nobody)";
}

/* Up to which hash value from which, for a slot: the part that `value` is in. */
static void interval_of(const struct perch_plan *p, __u32 value, __u32 *ret_from, __u32 *ret_to)
{
	*ret_from = value < p->low_end ? 0 : value >= p->high_from ? p->high_from : p->low_end;
	*ret_to = value < p->low_end ? p->low_end : value >= p->high_from ? PERCH_SHARE_ALL : p->high_from;
}

static json_t *view_interval(const struct story *y, unsigned slot, __u32 from, __u32 to)
{
	return json_pack("{s:s, s:i, s:i}", "version", slot_name(y, slot), "from", (int)from, "to", (int)to);
}

static json_t *view_hash(const struct story *y)
{
	const struct perch_plan *p = &y->e.plan;
	json_t *parts = json_array();

	if (p->low_end)
		json_array_append_new(parts, view_interval(y, p->low, 0, p->low_end));
	if (p->high_from > p->low_end)
		json_array_append_new(parts, view_interval(y, p->rest, p->low_end, p->high_from));
	if (p->high_from < PERCH_SHARE_ALL)
		json_array_append_new(parts, view_interval(y, p->high, p->high_from, PERCH_SHARE_ALL));
	return json_pack("{s:i, s:i, s:s, s:o}", "value", (int)y->e.value, "of", PERCH_SHARE_ALL, "version",
			 slot_name(y, split_slot(p, y->e.value)), "intervals", parts);
}

/* Why a pin or rule that is there does not count. */
static void note_void(const struct story *y, const char *what, const char *version)
{
	bool rolled_back = perch_word_epoch(y->e.word) & 1;
	int slot = version ? slot_find(y->s->slot, version) : -1;

	if (!version)
		note(y, "%s is void: the version that it names is not known any more; the hash decides", what);
	else if (slot < 0)
		note(y, "%s is void: no version of '%s' is '%s' now; the hash decides", what, y->s->name, version);
	else if (y->s->slot[slot].rejected)
		note(y, "%s is void: '%s' was rejected (%s); the hash decides", what, y->s->slot[slot].name,
		     y->s->slot[slot].rejection.reason);
	else if (rolled_back)
		note(y, "%s is void: the split was rolled back (by %s); the hash decides", what,
		     view_by(perch_word_flags(y->e.word)));
	else
		note(y, "%s is void: '%s' has no role under the plan in force; the hash decides", what,
		     y->s->slot[slot].name);
}

static json_t *view_pin(struct story *y)
{
	const struct perch_address client = hash_client(&y->t.client);
	char buffer[PERCH_NAME_LEN], left[48] = "";
	const char *asks;
	struct perch_pin pin;

	if (choices_pin_find(y->m, y->s->id, &client, &pin))
		return json_null();
	asks = pins_asks(y->q->agent, y->s, &client, &pin, buffer);
	if (pin.until && pin.until <= y->now)
		return json_null();
	if (pin.until)
		snprintf(left, sizeof(left), ", for another %.0f s", (pin.until - y->now) / 1e9);
	if (y->e.by == EXPLAIN_PIN)
		snprintf(y->why, sizeof(y->why), "the client is pinned to '%s'%s", asks ? asks : "", left);
	else if (y->e.asked == EXPLAIN_PIN)
		note_void(y, "the client's pin", asks);
	else
		note(y, "the client's pin to '%s' does not count at a door", asks ? asks : "?");
	return json_pack("{s:s?, s:o}", "version", asks, "ttl",
			 pin.until ? json_real((pin.until - y->now) / 1e9) : json_null());
}

static void rule_text(const struct story *y, const struct model_rule *r, char *out, size_t size)
{
	char source[ADDRESS_TEXT];

	if (r->by_dscp)
		snprintf(out, size, "dscp %u", r->dscp);
	else
		snprintf(out, size, "source %s", prefix_format(&r->source, r->prefix, source));
}

static json_t *view_rule(struct story *y)
{
	bool mark = y->e.asked == EXPLAIN_MARK;
	const struct model_rule *r = mark ? rules_match_dscp(y->s, y->dscp) : rules_match(y->s, &y->t.client);
	char text[128], what[SENTENCE];

	if ((y->e.asked != EXPLAIN_RULE && !mark) || !r)
		return json_null();
	rule_text(y, r, text, sizeof(text));
	snprintf(what, sizeof(what), "the rule for %s (%s:%d)", text, r->file ? r->file : "perch.yaml", r->line);
	if (y->e.by == y->e.asked)
		snprintf(y->why, sizeof(y->why), "%.400s leads to '%s'", what, r->version);
	else
		note_void(y, what, r->version);
	return json_pack("{s:s, s:s, s:s, s:i}", "match", text, "version", r->version, "file",
			 r->file ? r->file : "perch.yaml", "line", r->line);
}

static void tell_hash(struct story *y)
{
	__u32 from, to;

	interval_of(&y->e.plan, y->e.value, &from, &to);
	if (y->e.by == EXPLAIN_DOOR)
		snprintf(y->why, sizeof(y->why), "it is the door of '%s'", slot_name(y, y->e.wanted));
	else if (y->e.by == EXPLAIN_HASH)
		snprintf(y->why, sizeof(y->why), "the hash of the %s is %u of %d, and %u to %u lead to '%s'",
			 y->s->model->affinity == PERCH_AFFINITY_CLIENT ? "client" : "connection", y->e.value,
			 PERCH_SHARE_ALL, from, to - 1, slot_name(y, y->e.wanted));
	if (y->e.torn)
		note(y, "the split moves faster than it can be read: then all goes to stable");
}

/* Who takes it in the end. */
static void note_backend(const struct story *y)
{
	const char *family = address_is_v4(&y->t.client) ? "IPv4" : "IPv6";
	const char *end = y->t.protocol == IPPROTO_TCP ? "answered with a reset" : "dropped";
	bool alone = y->e.by == EXPLAIN_DOOR || y->e.wanted == y->e.plan.rest;

	if (y->e.backend && y->e.slot == y->e.wanted)
		return;
	if (y->e.backend) {
		note(y, "'%s' has no live %s backend: '%s' takes it, and it does not vote", slot_name(y, y->e.wanted),
		     family, slot_name(y, y->e.slot));
		return;
	}
	if (alone)
		note(y, "nobody takes it: no %s backend of '%s' lives; it is %s", family, slot_name(y, y->e.wanted), end);
	else
		note(y, "nobody takes it: no %s backend of '%s' nor of '%s' lives; it is %s", family,
		     slot_name(y, y->e.wanted), slot_name(y, y->e.plan.rest), end);
}

/* Where its replies are not seen. */
static void note_forward(struct story *y)
{
	enum perch_forward forward = y->m->services[y->s->id].forward;

	if (perch_one_sided(forward))
		note(y, "forward is %s: replies go straight to the client, and nothing is seen of them", config_forward(forward));
}

static void note_state(const struct story *y)
{
	const struct perch_listener *l = &y->m->listeners[y->e.listener];
	int canary = slot_of_role(y->s->slot, PERCH_ROLE_CANARY);

	if (y->e.any_port)
		note(y, "the service listens on every port of this address");
	if (y->t.protocol == IPPROTO_TCP && l->adopt_until > y->now)
		note(y, "connections from before the address was taken over pass to the stack for another %.0f s",
		     (l->adopt_until - y->now) / 1e9);
	if (perch_word_flags(y->e.word) & PERCH_ROLLED_BACK)
		note(y, "the split was rolled back by %s", view_by(perch_word_flags(y->e.word)));
	if (canary >= 0 && y->s->slot[canary].rejected)
		note(y, "'%s' was rejected: %s", y->s->slot[canary].name, y->s->slot[canary].rejection.reason);
}

/* A flow that is kept decides before all else. */
static json_t *view_flow(struct story *y, __u32 *ret_backend)
{
	const struct perch_backend *b;
	struct flow_copy f = { 0 };
	const char *ends, *version;
	char text[ADDRESS_TEXT];

	*ret_backend = 0;
	if (explain_flow(y->m, &y->t, &f))
		return json_null();
	b = &y->m->backends[f.flow.backend % y->m->control->backends_n];
	ends = explain_flow_ends(y->m, &f, y->now);
	version = b->service == y->s->id ? slot_name(y, b->version) : "(nobody)";
	address_port_format(&b->address, b->port ? b->port : f.flow.key.port, text);
	if (ends) {
		note(y, "there is a connection to %s of '%s', but %s: it is decided anew", text, version, ends);
	} else {
		*ret_backend = f.flow.backend;
		note(y, "a new connection would go to '%s': %s", slot_name(y, y->e.slot), y->why);
		snprintf(y->why, sizeof(y->why), "the connection is in the flow table for %.0f s; it stays where it is",
			 y->now > f.flow.created ? (y->now - f.flow.created) / 1e9 : 0);
	}
	return json_pack("{s:s, s:s, s:f, s:f, s:I, s:s?}", "backend", text, "version", version, "age",
			 y->now > f.flow.created ? (y->now - f.flow.created) / 1e9 : 0.0, "idle", f.idle_ms / 1e3,
			 "epoch", (json_int_t)f.flow.epoch, "ends", ends);
}

static const char *by_word(enum explain_by by)
{
	static const char *const words[] = { "nothing", "door", "pin", "rule", "dscp", "hash" };

	return words[by];
}

static json_t *view_story(struct story *y)
{
	json_t *pin, *rule, *flow;
	char text[ADDRESS_TEXT];
	__u32 backend;
	unsigned slot;

	tell_hash(y);
	pin = view_pin(y);
	rule = view_rule(y);
	note_backend(y);
	flow = view_flow(y, &backend);
	note_state(y);
	note_forward(y);
	slot = backend ? y->m->backends[backend].version % PERCH_SLOTS : y->e.slot;
	if (backend || y->e.backend) {
		const struct perch_backend *b = &y->m->backends[backend ? backend : y->e.backend];

		address_port_format(&b->address, b->port ? b->port : y->t.port, text);
	}
	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s, s:s, s:O, s:I, s:b, s:o, s:o, s:o, s:o}", "client",
			 y->client, "listener", y->listener, "service", y->s->name, "version",
			 backend || y->e.backend ? slot_name(y, slot) : NULL, "role",
			 backend || y->e.backend ? role_name(y->s->slot[slot].role) : NULL, "backend",
			 backend || y->e.backend ? text : NULL, "by", backend ? "flow" : by_word(y->e.by), "why", y->why,
			 "notes", y->notes, "epoch", (json_int_t)perch_word_epoch(y->e.word), "rolledBack",
			 !!(perch_word_flags(y->e.word) & PERCH_ROLLED_BACK), "hash", view_hash(y), "pin", pin, "rule", rule,
			 "flow", flow);
}

/* Nobody of ours is meant. */
static json_t *view_pass(struct story *y)
{
	struct hash_tuple other = y->t;
	struct explain e;

	other.protocol = other.protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
	explain_choice(y->m, &other, 0, y->now, &e);
	if (y->e.excluded)
		snprintf(y->why, sizeof(y->why), "the port is excluded from the listener on every port: it passes to the stack");
	else if (y->e.leaving)
		snprintf(y->why, sizeof(y->why), "its service is being handed back: new connections pass to the stack");
	else
		snprintf(y->why, sizeof(y->why), "no service listens there: it passes unmodified");
	if (e.listener)
		note(y, "a service listens there for %s", other.protocol == IPPROTO_TCP ? "tcp" : "udp");
	return json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:s, s:s, s:O, s:n, s:n, s:n, s:n, s:n, s:n}", "client", y->client,
			 "listener", y->listener, "service", "version", "role", "backend", "by", "nothing", "why", y->why,
			 "notes", y->notes, "epoch", "rolledBack", "hash", "pin", "rule", "flow");
}

static bool read_address(struct request *q, const char *key, struct perch_address *ret, __be16 *ret_port)
{
	const char *text = request_query(q, key);

	if (text && !address_port_parse(text, ret, ret_port))
		return true;
	answer_error(q, MHD_HTTP_BAD_REQUEST, "%s: '%s' is no address with a port: 10.1.0.7:41234, [2001:db8::7]:41234", key,
		     text ? text : "");
	return false;
}

/* Without a protocol tcp is meant, unless only udp is listened for. */
static bool read_protocol(struct story *y)
{
	const char *text = request_query(y->q, "protocol");
	struct explain e;

	y->t.protocol = text && !strcmp(text, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
	if (text && strcmp(text, "udp") && strcmp(text, "tcp")) {
		answer_error(y->q, MHD_HTTP_BAD_REQUEST, "protocol: '%s' is not tcp or udp", text);
		return false;
	}
	if (text)
		return true;
	explain_choice(y->m, &y->t, 0, y->now, &e);
	if (e.listener || e.excluded)
		return true;
	y->t.protocol = IPPROTO_UDP;
	explain_choice(y->m, &y->t, 0, y->now, &e);
	if (!e.listener)
		y->t.protocol = IPPROTO_TCP;
	return true;
}

static bool read_tuple(struct story *y)
{
	struct perch_endpoint at = { 0 };
	__u64 dscp;

	if (!read_address(y->q, "client", &y->t.client, &y->t.client_port) ||
	    !read_address(y->q, "listener", &y->t.destination, &y->t.port) ||
	    !request_query_number(y->q, "dscp", 0, CHOICE_MARKS - 1, &dscp))
		return false;
	y->dscp = dscp;
	if (!y->t.port) {
		answer_error(y->q, MHD_HTTP_BAD_REQUEST, "listener: the port is missing");
		return false;
	}
	if (address_family(&y->t.client) != address_family(&y->t.destination)) {
		answer_error(y->q, MHD_HTTP_BAD_REQUEST, "client: between IPv4 and IPv6 there is no connection");
		return false;
	}
	if (!read_protocol(y))
		return false;
	at = (struct perch_endpoint){ .address = y->t.destination, .port = y->t.port, .protocol = y->t.protocol };
	address_port_format(&y->t.client, y->t.client_port, y->client);
	endpoint_format(&at, y->listener);
	return true;
}

void api_explain(struct request *q)
{
	struct story y = { .q = q, .m = &q->agent->datapath.maps, .now = clock_now() };

	if (!read_tuple(&y))
		return;
	explain_choice(y.m, &y.t, y.dscp, y.now, &y.e);
	y.s = y.e.listener ? q->agent->by_id[y.e.service % y.m->control->services] : NULL;
	if (y.s && !y.s->model)
		y.e.leaving = true;
	if (y.s && !y.t.client_port && y.m->services[y.s->id].affinity == PERCH_AFFINITY_CONNECTION &&
	    !y.m->services[y.s->id].fragments) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client: '%s' has affinity connection, where the port decides too: "
			     "%s:PORT", y.s->name, y.client);
		return;
	}
	y.notes = json_array();
	q->json = y.s && !y.e.leaving ? view_story(&y) : view_pass(&y);
	json_decref(y.notes);
}
