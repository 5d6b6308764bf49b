// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how a service and its versions are written again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "config.h"
#include "leaves.h"
#include "parts.h"
#include "values.h"

static const char *const affinity_words[] = {
	[PERCH_AFFINITY_CLIENT] = "client", [PERCH_AFFINITY_CONNECTION] = "connection",
};
static const char *const established_words[] = {
	[PERCH_KEEP] = "keep", [PERCH_DRAIN] = "drain", [PERCH_SEVER] = "sever",
};
static const char *const down_words[] = { [PERCH_DOWN_REJECT] = "reject", [PERCH_DOWN_CANARY] = "canary" };
static const char *const check_words[] = {
	[MODEL_CHECK_NONE] = "none", [MODEL_CHECK_TCP] = "tcp", [MODEL_CHECK_HTTP] = "http",
};
static const char *const role_words[] = {
	[PERCH_ROLE_STABLE] = "stable", [PERCH_ROLE_CANARY] = "canary", [PERCH_ROLE_BASELINE] = "baseline",
};

static void endpoints(struct leaves *l, const char *key, const struct perch_endpoint *e, size_t n)
{
	struct leaves_list list;
	char text[ADDRESS_TEXT];

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < n; i++)
		leaves_element(&list, "\"%s\"", endpoint_format(&e[i], text));
	leaves_close(l, key, &list);
}

/* A backend's text: IPv6 is written in brackets, and so in quotes. */
static void backend_format(const struct model_backend *b, char out[ADDRESS_TEXT + 4])
{
	char text[ADDRESS_TEXT];

	address_port_format(&b->address, b->port, text);
	if (address_is_v4(&b->address))
		snprintf(out, ADDRESS_TEXT + 4, b->port ? "\"%s\"" : "%s", text);
	else
		snprintf(out, ADDRESS_TEXT + 4, b->port ? "\"%s\"" : "\"[%s]\"", text);
}

static void backends(struct leaves *l, const struct model_version *v)
{
	struct leaves_list list;
	char text[ADDRESS_TEXT + 4];

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < v->n_backends; i++) {
		backend_format(&v->backends[i], text);
		if (v->backends[i].weight == 1)
			leaves_element(&list, "%s", text);
		else
			leaves_element(&list, "{ address: %s, weight: %u }", text, v->backends[i].weight);
	}
	leaves_close(l, "backends", &list);
}

static void version(struct leaves *l, const struct model_version *v)
{
	size_t back = leaves_enter(l, v->name), up;

	leaves_add(l, "role", role_words[v->role]);
	backends(l, v);
	endpoints(l, "door", v->doors, v->n_doors);
	up = leaves_enter(l, "labels");
	for (size_t i = 0; i < v->n_labels; i++)
		leaves_add(l, v->labels[i].key, v->labels[i].value);
	leaves_leave(l, up);
	leaves_leave(l, back);
}

static void exclude(struct leaves *l, const struct model_service *s)
{
	struct leaves_list list;

	if (leaves_open(l, &list))
		return;
	for (size_t i = 0; i < s->n_exclude; i++)
		leaves_element(&list, "%u", s->exclude[i]);
	leaves_close(l, "exclude", &list);
}

static void tunnel(struct leaves *l, const struct model_service *s)
{
	size_t back = leaves_enter(l, "tunnel");
	struct leaves_list list;
	char text[ADDRESS_TEXT];

	if (!leaves_open(l, &list)) {
		for (int family = 0; family < PERCH_FAMILIES; family++)
			if (!address_is_none(&s->tunnel[family]))
				leaves_element(&list, "\"%s\"", address_format(&s->tunnel[family], text));
		leaves_close(l, "source", &list);
	}
	leaves_leave(l, back);
}

static void fullnat(struct leaves *l, const struct model_service *s)
{
	size_t back = leaves_enter(l, "fullnat");
	struct leaves_list list;
	char text[ADDRESS_TEXT];

	if (!leaves_open(l, &list)) {
		for (size_t i = 0; i < s->n_sources; i++)
			leaves_element(&list, "\"%s\"", address_format(&s->sources[i], text));
		leaves_close(l, "sources", &list);
	}
	snprintf(text, sizeof(text), "%u-%u", s->source_first, s->source_last);
	if (s->source_last)
		leaves_add(l, "ports", text);
	leaves_leave(l, back);
}

static void health(struct leaves *l, const struct model_health *h)
{
	size_t back = leaves_enter(l, "healthCheck");
	char range[VALUE_TEXT];

	leaves_add(l, "type", check_words[h->type]);
	leaves_duration(l, "interval", h->interval);
	leaves_duration(l, "timeout", h->timeout);
	leaves_count(l, "fall", h->fall);
	leaves_count(l, "rise", h->rise);
	leaves_add(l, "path", h->path ?: "/");
	snprintf(range, sizeof(range), h->expect_low == h->expect_high ? "%u" : "%u-%u", h->expect_low, h->expect_high);
	leaves_add(l, "expect", range);
	leaves_leave(l, back);
}

void leaves_of_service(struct leaves *l, const struct model_service *s)
{
	size_t back = leaves_enter(l, "services"), up;
	struct leaves_list list;

	leaves_enter(l, s->name);
	endpoints(l, "listen", s->listen, s->n_listen);
	exclude(l, s);
	leaves_add(l, "forward", config_forward(s->forward));
	tunnel(l, s);
	fullnat(l, s);
	leaves_add(l, "affinity", affinity_words[s->affinity]);
	leaves_add(l, "fragments", s->fragments ? "true" : "false");
	if (!leaves_open(l, &list)) {
		observe_words(&list, s->observe);
		leaves_close(l, "observe", &list);
	}
	leaves_duration(l, "adopt", s->adopt);
	leaves_add(l, "onStableDown", down_words[s->stable_down]);
	health(l, &s->health);
	up = leaves_enter(l, "versions");
	for (size_t i = 0; i < s->n_versions; i++)
		version(l, &s->versions[i]);
	leaves_leave(l, up);
	leaves_enter(l, "rollback");
	leaves_add(l, "established", established_words[s->established]);
	leaves_duration(l, "drainTimeout", s->drain_timeout);
	leaves_leave(l, up);
	leaves_enter(l, "rollout");
	leaves_of_rollout(l, &s->rollout);
	leaves_leave(l, back);
}
