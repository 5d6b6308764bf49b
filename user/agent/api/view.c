// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From state and evidence to JSON, for services, versions and backends. */
#include "view.h"

#include <math.h>
#include <string.h>

#include "../../core/address.h"
#include "../../core/histogram.h"
#include "../clock.h"
#include "../../datapath/choices.h"
#include "../health/drains.h"
#include "../health/health.h"

json_t *view_percent(__u32 share)
{
	return json_real(share / 100.0);
}

json_t *view_number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

json_t *view_text(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

const char *view_backend_state(enum perch_backend_state state)
{
	switch (state) {
	case PERCH_BACKEND_UP: return "up";
	case PERCH_BACKEND_DRAINING: return "draining";
	default: return "down";
	}
}

const char *view_by(__u32 flags)
{
	if (flags & PERCH_BY_REFLEX)
		return "reflex";
	if (flags & PERCH_BY_DEADMAN)
		return "deadman";
	if (flags & PERCH_BY_DIRECT)
		return "direct";
	return flags & PERCH_BY_JUDGE ? "judge" : "agent";
}

int view_next_slot(const struct service *s, int slot)
{
	while (++slot < PERCH_SLOTS)
		if (s->slot[slot].name[0])
			return slot;
	return -1;
}

static __u64 new_connections(const struct service *s, int slot)
{
	return counters_connections(&s->evidence[slot].total) - s->evidence[slot].connections_base;
}

double view_new_share(const struct service *s, int slot)
{
	__u64 all = 0;

	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		all += new_connections(s, i);
	return all ? 100.0 * new_connections(s, slot) / all : NAN;
}

double view_active_share(const struct service *s, int slot)
{
	__u64 all = 0;

	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		all += counters_active(&s->evidence[i].total);
	return all ? 100.0 * counters_active(&s->evidence[slot].total) / all : NAN;
}

struct perch_counters view_counters(const struct agent *a, __u32 backend)
{
	static const struct perch_counters none;
	const struct backend_evidence *b = &a->backends[backend];
	bool same = backend && b->seen && b->incarnation == a->datapath.maps.backends[backend].incarnation;

	return same ? b->sum : none;
}

bool view_blind(const struct agent *a, const struct service *s)
{
	return perch_one_sided(a->datapath.maps.services[s->id].forward);
}

/* What comes of connections is unknown where nobody sees the replies. */
static json_t *view_seen(__u64 n, bool blind)
{
	return blind ? json_null() : json_integer(n);
}

static void view_add_counters(json_t *o, const struct perch_counters *c, bool blind)
{
	json_object_set_new(o, "connections", json_integer(counters_connections(c)));
	json_object_set_new(o, "active", json_integer(counters_active(c)));
	json_object_set_new(o, "packets", json_integer(c->packets));
	json_object_set_new(o, "bytes", json_integer(c->bytes));
	json_object_set_new(o, "connectFailures", view_seen(c->connect_failures, blind));
	json_object_set_new(o, "resets", view_seen(c->resets, blind));
}

/* Why it is not up; one that has left its service says nothing. */
static json_t *view_held(const struct perch_backend *b)
{
	json_t *array = json_array();

	if (b->held & PERCH_HELD_PERSON)
		json_array_append_new(array, json_string("person"));
	if (b->held & PERCH_HELD_HEALTH)
		json_array_append_new(array, json_string("health"));
	return array;
}

json_t *view_backends(const struct agent *a, const struct service *s, int slot)
{
	const struct maps *m = &a->datapath.maps;
	json_t *array = json_array();

	for (__u32 id = 0; (id = tables_backend_next(a->tables, s->id, id));) {
		const struct perch_backend *b = &m->backends[id];
		struct perch_counters counters;
		char text[ADDRESS_TEXT];
		__u64 drained;
		json_t *o;

		if (b->version != s->id * PERCH_SLOTS + slot)
			continue;
		drained = drains_since(s, b);
		o = json_pack("{s:s, s:s, s:o, s:o, s:i}", "address", address_port_format(&b->address, b->port, text), "state",
			      view_backend_state(b->state), "held", view_held(b), "drainedSince",
			      drained ? json_integer(drained) : json_null(), "weight",
			      (int)tables_backend_weight(a->tables, id));
		counters = view_counters(a, id);
		view_add_counters(o, &counters, view_blind(a, s));
		json_object_set_new(o, "check", tables_backend_named(b) ? health_view(a, s, id) : json_null());
		json_array_append_new(array, o);
	}
	return array;
}

static json_t *view_quantiles(const __u64 *histogram, bool with_p95)
{
	json_t *o;

	if (!histogram || !histogram_count(histogram))
		return json_null();
	o = json_object();
	json_object_set_new(o, "p50", view_number(histogram_quantile(histogram, 0.5)));
	if (with_p95)
		json_object_set_new(o, "p95", view_number(histogram_quantile(histogram, 0.95)));
	json_object_set_new(o, "p99", view_number(histogram_quantile(histogram, 0.99)));
	return o;
}

static json_t *view_rejection(const struct version *v)
{
	if (!v->rejected)
		return json_null();
	return json_pack("{s:f, s:s, s:s}", "time", (double)v->rejection.when, "by", view_by(v->rejection.by), "reason",
			 v->rejection.reason);
}

static json_t *view_doors(const struct version *v)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < v->n_doors; i++)
		json_array_append_new(array, json_string(endpoint_format(&v->doors[i], text)));
	return array;
}

json_t *view_labels(const struct version *v)
{
	json_t *o = json_object();

	for (size_t i = 0; v->model && i < v->model->n_labels; i++)
		json_object_set_new(o, v->model->labels[i].key, json_string(v->model->labels[i].value));
	return o;
}

json_t *view_sample(const struct agent *a, const struct service *s, int slot)
{
	const struct evidence *e = &s->evidence[slot];
	json_t *o = json_pack("{s:s}", "role", role_name(s->slot[slot].role));

	json_object_set_new(o, "weight", view_percent(service_share(s, slot)));
	view_add_counters(o, &e->total, view_blind(a, s));
	json_object_set_new(o, "connectTime", view_quantiles(e->votes ? e->votes->connect_time : NULL, false));
	json_object_set_new(o, "responseTime", view_quantiles(e->votes ? e->votes->response_time : NULL, true));
	return o;
}

json_t *view_version(const struct agent *a, const struct service *s, int slot)
{
	const struct version *v = &s->slot[slot];
	const struct evidence *e = &s->evidence[slot];
	static const char *const blind[] = { "noResponse", "retransmits", "http4xx", "http5xx" };
	json_t *o = json_pack("{s:s, s:s}", "name", v->name, "role", role_name(v->role));

	json_object_set_new(o, "weight", view_percent(service_share(s, slot)));
	json_object_set_new(o, "newShare", view_number(view_new_share(s, slot)));
	json_object_set_new(o, "activeShare", view_number(view_active_share(s, slot)));
	view_add_counters(o, &e->total, view_blind(a, s));
	for (size_t i = 0; i < sizeof(blind) / sizeof(blind[0]); i++)
		json_object_set_new(o, blind[i], json_null());
	json_object_set_new(o, "connectTime", view_quantiles(e->votes ? e->votes->connect_time : NULL, false));
	json_object_set_new(o, "responseTime", view_quantiles(e->votes ? e->votes->response_time : NULL, true));
	json_object_set_new(o, "doors", view_doors(v));
	json_object_set_new(o, "labels", view_labels(v));
	json_object_set_new(o, "rejected", view_rejection(v));
	json_object_set_new(o, "backends", view_backends(a, s, slot));
	return o;
}

const char *view_affinity(enum perch_affinity affinity)
{
	return affinity == PERCH_AFFINITY_CLIENT ? "client" : "connection";
}

const char *view_established(enum perch_established e)
{
	return e == PERCH_SEVER ? "sever" : e == PERCH_DRAIN ? "drain" : "keep";
}

json_t *view_listen_placed(const struct agent *a, const struct service *s)
{
	const struct maps *m = &a->datapath.maps;
	json_t *listen = json_array();
	char text[ADDRESS_TEXT];

	for (__u32 id = 0; (id = tables_listener_next(a->tables, s->id, id));) {
		const struct perch_listener *l = &m->listeners[id];
		const struct perch_endpoint e = { .address = l->address, .port = l->port, .protocol = l->protocol };

		if (l->in_use && !l->door)
			json_array_append_new(listen, json_string(endpoint_format(&e, text)));
	}
	return listen;
}

/* How long connections from before its listeners were taken over still pass to
 * the stack; null when none do. */
static json_t *view_adopting(const struct agent *a, const struct service *s)
{
	const struct maps *m = &a->datapath.maps;
	__u64 now = clock_now(), until = now;

	for (__u32 id = 0; (id = tables_listener_next(a->tables, s->id, id));) {
		const struct perch_listener *l = &m->listeners[id];

		if (l->in_use && l->adopt_until > until)
			until = l->adopt_until;
	}
	return until > now ? json_real((until - now) / 1e9) : json_null();
}

json_t *view_service(const struct agent *a, const struct service *s)
{
	json_t *listen = json_array(), *versions = json_array();
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < s->model->n_listen; i++)
		json_array_append_new(listen, json_string(endpoint_format(&s->model->listen[i], text)));
	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		json_array_append_new(versions, view_version(a, s, i));
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:I, s:b, s:I, s:I, s:o, s:o}", "name", s->name, "listen", listen, "forward",
			 config_forward(s->model->forward), "affinity", view_affinity(s->model->affinity), "phase",
			 rollout_phase_name(s->keep.rollout.phase), "established", view_established(s->model->established),
			 "epoch", (json_int_t)perch_word_epoch(s->word), "rolledBack", service_rolled_back(s), "rules",
			 (json_int_t)s->model->n_rules, "pins", (json_int_t)choices_pins_count(a->choices, s->id), "adopting",
			 view_adopting(a, s), "versions", versions);
}

json_t *view_weights(const struct service *s)
{
	json_t *weights = json_array();

	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		json_array_append_new(weights, json_pack("{s:s, s:s, s:f}", "version", s->slot[i].name, "role",
							 role_name(s->slot[i].role), "weight",
							 service_share(s, i) / 100.0));
	return json_pack("{s:s, s:s, s:I, s:b, s:o}", "service", s->name, "phase",
			 rollout_phase_name(s->keep.rollout.phase), "epoch", (json_int_t)perch_word_epoch(s->word),
			 "rolledBack", service_rolled_back(s), "weights", weights);
}
