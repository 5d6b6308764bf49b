// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/pins: listed, set and deleted, one or many. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../../core/hash.h"
#include "../../core/split.h"
#include "../../datapath/choices.h"
#include "api.h"
#include "../clock.h"
#include "../pins.h"
#include "../rules.h"

#define LIMIT 1000
#define LIMIT_MOST 10000000ull
#define SLICE 1024		/* pins that are listed at a time */
#define BULK_MOST 10000
#define TTL_MOST (10 * 366 * 86400.0)

static json_t *view_pin(const struct agent *a, const struct service *s, const struct perch_address *client,
			const struct perch_pin *pin)
{
	char text[ADDRESS_TEXT + 4], buffer[PERCH_NAME_LEN];
	const char *asks = pins_asks(a, s, client, pin, buffer);
	__u64 now = clock_now();
	int slot = asks ? slot_find(s->slot, asks) : -1;
	bool out = slot >= 0 && s->slot[slot].rejected && s->slot[slot].role != PERCH_ROLE_STABLE;

	address_format(client, text);
	if (!address_is_v4(client))
		strcat(text, "/64");
	return json_pack("{s:s, s:s, s:s?, s:s?, s:o}", "service", s->name, "client", text, "version", asks, "leadsTo",
			 slot >= 0 && !out ? s->slot[slot].name : NULL, "ttl",
			 pin->until ? json_real(pin->until > now ? (pin->until - now) / 1e9 : 0) : json_null());
}

/*
 * The list of pins on its way: a slice of the walk at a time, whenever who
 * asked has taken the one before, because there may be a million.
 */
struct listing {
	struct agent *agent;
	char service[PERCH_NAME_LEN];	/* "": all */
	__u64 limit, n;			/* 0: no limit */
	struct choice_walk walk;
	bool over;
	char *text;
	size_t length, at;
};

static void list_pin(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin)
{
	struct listing *l = arg;
	const struct service *s = l->agent->by_id[key->service % l->agent->datapath.maps.control->services];
	char *one, *text;
	json_t *o;

	if (!s || (l->service[0] && strcmp(s->name, l->service)) || (pin->until && pin->until <= clock_now()) ||
	    (l->limit && l->n >= l->limit))
		return;
	o = view_pin(l->agent, s, &key->client, pin);
	one = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_decref(o);
	text = one ? realloc(l->text, l->length + strlen(one) + 8) : NULL;
	if (text) {
		l->text = text;
		l->length += sprintf(text + l->length, "%s%s", l->n++ ? "," : "[", one);
	}
	l->over |= !text;
	free(one);
}

static bool list_more(struct listing *l)
{
	int r = 1;

	l->at = l->length = 0;
	while (!l->length && r > 0 && !l->over && (!l->limit || l->n < l->limit))
		r = choices_pins_walk(l->agent->choices, &l->walk, SLICE, list_pin, l);
	if (l->length)
		return true;
	l->over = true;
	l->text = realloc(l->text, 8);
	if (l->text)
		l->length = sprintf(l->text, "%s]\n", l->n ? "" : "[");
	return l->text;
}

static ssize_t list_read(void *arg, uint64_t position, char *to, size_t size)
{
	struct listing *l = arg;

	if (l->at == l->length && (l->over || !list_more(l)))
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (size > l->length - l->at)
		size = l->length - l->at;
	memcpy(to, l->text + l->at, size);
	l->at += size;
	return size;
}

static void list_free(void *arg)
{
	struct listing *l = arg;

	free(l->text);
	free(l);
}

static void list_all(struct request *q, const struct service *s, __u64 limit)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (l) {
		l->agent = q->agent;
		l->limit = limit;
		snprintf(l->service, sizeof(l->service), "%s", s ? s->name : "");
		q->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 65536, list_read, l, list_free);
	}
	if (l && !q->response)
		list_free(l);
	if (!q->response)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	else
		MHD_add_response_header(q->response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
}

static void list_of_client(struct request *q, const struct service *only, const struct perch_address *client)
{
	struct perch_pin pin;

	q->json = json_array();
	for (const struct service *s = q->agent->services; s; s = s->next)
		if ((!only || s == only) && !choices_pin_find(&q->agent->datapath.maps, s->id, client, &pin) &&
		    (!pin.until || pin.until > clock_now()))
			json_array_append_new(q->json, view_pin(q->agent, s, client, &pin));
}

/* An address, of IPv6 its /64, which may stand behind it. */
static int client_read(const char *text, struct perch_address *ret)
{
	struct perch_address a;
	char head[ADDRESS_TEXT];
	const char *slash = strchr(text, '/');

	if (slash && (strcmp(slash, "/64") || (size_t)(slash - text) >= sizeof(head)))
		return -EINVAL;
	snprintf(head, sizeof(head), "%.*s", slash ? (int)(slash - text) : (int)sizeof(head) - 1, text);
	if (address_parse(head, &a) || (slash && address_is_v4(&a)))
		return -EINVAL;
	*ret = hash_client(&a);
	return 0;
}

void api_pins(struct request *q)
{
	const char *client = request_query(q, "client");
	struct perch_address address;
	struct service *service;
	__u64 limit;

	if (!request_query_service(q, &service) || !request_query_number(q, "limit", LIMIT, LIMIT_MOST, &limit))
		return;
	if (client && client_read(client, &address))
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client: '%s' is no IP address", client);
	else if (client)
		list_of_client(q, service, &address);
	else
		list_all(q, service, limit);
}

/* Where in a bulk a mistake is: "pins[12].", or "". */
static const char *place(char out[32], int i)
{
	out[0] = 0;
	if (i >= 0)
		snprintf(out, 32, "pins[%d].", i);
	return out;
}

static bool known_keys(struct request *q, json_t *o, int i, const char *const known[])
{
	char at[32];
	const char *key;
	json_t *value;

	json_object_foreach(o, key, value) {
		size_t k = 0;

		while (known[k] && strcmp(known[k], key))
			k++;
		if (!known[k]) {
			answer_error(q, MHD_HTTP_BAD_REQUEST, "%s%s: unknown", place(at, i), key);
			return false;
		}
	}
	return true;
}

static bool read_client(struct request *q, json_t *o, int i, struct perch_address *ret)
{
	const char *text = json_string_value(json_object_get(o, "client"));
	char at[32];

	if (text && !client_read(text, ret))
		return true;
	if (text)
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%sclient: '%s' is no IP address; many clients are a rule's matter",
			     place(at, i), text);
	else
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%sclient: an IP address is missing", place(at, i));
	return false;
}

static bool read_pin(struct request *q, json_t *o, int i, struct pin_wanted *ret)
{
	json_t *version = json_object_get(o, "version"), *ttl = json_object_get(o, "ttl");
	double seconds = json_number_value(ttl);
	char at[32];

	if (!json_is_object(o)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "pins[%d]: must be an object", i);
		return false;
	}
	if (!read_client(q, o, i, &ret->client))
		return false;
	ret->version = json_string_value(version);
	if (!ret->version) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%sversion: a name or a role is missing", place(at, i));
		return false;
	}
	if (ttl && !json_is_null(ttl) && (!json_is_number(ttl) || seconds <= 0 || seconds > TTL_MOST)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "%sttl: must be seconds, above 0 and at most ten years; without it "
			     "the pin stays for good", place(at, i));
		return false;
	}
	ret->ttl = seconds * NS_PER_S;
	return true;
}

/* One pin, or those in "pins". */
static struct pin_wanted *read_pins(struct request *q, json_t *pins, size_t *ret_n)
{
	static const char *const one[] = { "client", "version", "ttl", "comment", NULL };
	static const char *const many[] = { "pins", "comment", NULL }, *const each[] = { "client", "version", "ttl", NULL };
	struct pin_wanted *p;
	size_t n = pins ? json_array_size(pins) : 1;

	if (!known_keys(q, q->in, -1, pins ? many : one))
		return NULL;
	if (pins && (!json_is_array(pins) || !n || n > BULK_MOST)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "pins: must be a list of 1 to %d", BULK_MOST);
		return NULL;
	}
	p = calloc(n, sizeof(*p));
	for (size_t i = 0; i < n && p; i++) {
		json_t *o = pins ? json_array_get(pins, i) : q->in;

		if (read_pin(q, o, pins ? (int)i : -1, &p[i]) && (!pins || known_keys(q, o, i, each)))
			continue;
		free(p);
		return NULL;
	}
	if (!p)
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	*ret_n = n;
	return p;
}

static void answer_pins(struct request *q, const struct service *s, const char *what, size_t n)
{
	q->json = json_pack("{s:s, s:I, s:I}", "service", s->name, what, (json_int_t)n, "pins",
			    (json_int_t)choices_pins_count(q->agent->choices, s->id));
}

/* -ENOSPC is a matter of the state, as 409 is. */
static void answer_failed(struct request *q, int r, const char *why)
{
	answer_errno(q, r == -ENOSPC ? -EBUSY : r, why);
}

void api_pins_set(struct request *q)
{
	const struct pin_asker asker = { &q->actor, q->comment };
	json_t *pins = json_object_get(q->in, "pins");
	struct perch_pin pin;
	struct pin_wanted *p;
	char why[AGENT_WHY];
	struct service *s;
	size_t n = 0;
	int r;

	if (!request_service(q, &s))
		return;
	p = read_pins(q, pins, &n);
	if (!p)
		return;
	r = pins_set(q->agent, s, p, n, &asker, why);
	if (r)
		answer_failed(q, r, why);
	else if (pins)
		answer_pins(q, s, "set", n);
	else if (!choices_pin_find(&q->agent->datapath.maps, s->id, &p->client, &pin))
		q->json = view_pin(q->agent, s, &p->client, &pin);
	free(p);
}

static void delete_all(struct request *q, struct service *s, const struct pin_asker *asker)
{
	char why[AGENT_WHY];
	int r = pins_delete_all(q->agent, s, asker, why);
	if (r < 0)
		answer_errno(q, r, why);
	else
		answer_pins(q, s, "deleted", r);
}

void api_pins_delete(struct request *q)
{
	const char *text = request_query(q, "client"), *all = request_query(q, "all");
	const struct pin_asker asker = { &q->actor, q->comment };
	struct perch_address client;
	char why[AGENT_WHY];
	struct service *s;
	int r;

	if (!request_service(q, &s))
		return;
	if (!text == !all || (all && strcmp(all, "1"))) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client=IP, or all=1: one of them is what is deleted");
		return;
	}
	if (all) {
		delete_all(q, s, &asker);
		return;
	}
	if (client_read(text, &client)) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "client: '%s' is no IP address", text);
		return;
	}
	r = pins_delete(q->agent, s, &client, 1, &asker, why);
	if (r)
		answer_errno(q, r, why);
	else
		answer_pins(q, s, "deleted", 1);
}
