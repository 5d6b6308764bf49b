// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The store is lost, and with it the texts of services that the API made; the
 * kernel still steers them.  Their text is made anew of what the maps show, so
 * that a broken disk takes no service away.
 */
#include "applied.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../alarms.h"
#include "../log.h"
#include "reload.h"
#include "../api/view.h"

#define EXCLUDED 1024

static json_t *rebuild_backends(const struct version *v)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < v->n_backends; i++) {
		const struct model_backend *b = &v->backends[i];

		json_array_append_new(array, json_pack("{s:s, s:i}", "address", address_port_format(&b->address, b->port, text),
						       "weight", (int)b->weight));
	}
	return array;
}

static json_t *rebuild_version(const struct version *v)
{
	bool named = v->role == PERCH_ROLE_STABLE || v->role == PERCH_ROLE_CANARY || v->role == PERCH_ROLE_BASELINE;
	json_t *o = json_pack("{s:s, s:o}", "name", v->name, "backends", rebuild_backends(v)), *doors;
	char text[ADDRESS_TEXT];

	if (named)
		json_object_set_new(o, "role", json_string(role_name(v->role)));
	if (!v->n_doors)
		return o;
	json_object_set_new(o, "door", doors = json_array());
	for (size_t i = 0; i < v->n_doors; i++)
		json_array_append_new(doors, json_string(endpoint_format(&v->doors[i], text)));
	return o;
}

static json_t *rebuild_versions(const struct service *s)
{
	json_t *array = json_array();

	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		if (s->slot[i].role != PERCH_ROLE_RETIRING && s->slot[i].role != PERCH_ROLE_PREVIOUS && s->slot[i].n_backends)
			json_array_append_new(array, rebuild_version(&s->slot[i]));
	return array;
}

static json_t *rebuild_service(const struct agent *a, const struct service *s)
{
	const struct perch_service *p = &a->datapath.maps.services[s->id];
	__u16 ports[EXCLUDED];
	size_t n = tables_excluded(a->tables, s->id, ports, EXCLUDED);
	char drain[32];
	json_t *o, *exclude;

	snprintf(drain, sizeof(drain), "%ums", p->drain_ms);
	o = json_pack("{s:s, s:o, s:s, s:{s:s, s:s}, s:s, s:o}", "name", s->name, "listen", view_listen_placed(a, s),
		      "affinity", view_affinity(p->affinity), "rollback", "established", view_established(p->established),
		      "drainTimeout", p->drain_ms ? drain : "0", "onStableDown",
		      p->stable_down == PERCH_DOWN_CANARY ? "canary" : "reject", "versions", rebuild_versions(s));
	if (p->fragments)
		json_object_set_new(o, "fragments", json_true());
	if (!n)
		return o;
	json_object_set_new(o, "exclude", exclude = json_array());
	for (size_t i = 0; i < n; i++)
		json_array_append_new(exclude, json_integer(ports[i]));
	return o;
}

static bool is_lost(struct agent *a, const struct service *s)
{
	const struct perch_service_name *name = &a->datapath.maps.names[s->id];

	if (!s->placed || !name->applied || name->leaving_until || *applied_at(a, s->name))
		return false;
	for (size_t i = 0; i < a->config->n_services; i++)
		if (!strcmp(a->config->services[i].name, s->name))
			return false;
	return true;
}

static int rebuild_one(struct agent *a, const struct service *s)
{
	struct applied **at = applied_at(a, s->name);
	json_t *o = rebuild_service(a, s);
	char *text = json_dumps(o, JSON_INDENT(1));

	json_decref(o);
	*at = text ? applied_new(s->name, text, a->datapath.maps.names[s->id].applied) : NULL;
	free(text);
	if (!*at)
		return -ENOMEM;
	(*at)->rebuilt = true;
	return 0;
}

static void rebuild_told(struct agent *a)
{
	for (const struct applied *p = a->applied; p; p = p->next) {
		if (!p->rebuilt)
			continue;
		if (!store_error(a->store))	/* else what it may still have counts more */
			store_applied_put(a->store, p->name, p->text, p->since);
		alarm_raise(a, "applied", p->name, p->name, "apply it again: perch service apply FILE",
			    "%s: what was applied is lost with the store; it goes on as the kernel has it, without its rollout "
			    "policy, health checks, rules, labels and the weights of backends", p->name);
	}
}

int applied_rebuild(struct agent *a)
{
	char why[CONFIG_ERROR];
	size_t n = 0;
	int r = 0;

	for (const struct service *s = a->services; s && !r; s = s->next) {
		if (!is_lost(a, s))
			continue;
		r = rebuild_one(a, s);
		n++;
	}
	if (r || !n)
		return r;
	r = reload_with_applied(a, why);
	if (r)
		log_error("services rebuilt from the kernel's maps: %s", why);
	else
		rebuild_told(a);
	return r;
}
