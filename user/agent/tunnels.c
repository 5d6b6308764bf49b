// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The address that tunnels come from, when none is configured: what the routes
 * of this host say, and say again when they move. */
#include "tunnels.h"

#include <string.h>

#include "../core/address.h"
#include "../datapath/host.h"

/* Towards the first backend of the family that is not this host. */
static void source_find(const struct service *s, enum perch_family family, struct perch_address *ret)
{
	struct host_route r;

	for (int i = 0; i < PERCH_SLOTS; i++) {
		const struct version *v = &s->slot[i];

		for (size_t k = 0; k < v->n_backends; k++) {
			if (address_family(&v->backends[k].address) != family || host_route(&v->backends[k].address, &r) ||
			    r.way == HOST_LOCAL || !r.has_source)
				continue;
			*ret = r.source;
			return;
		}
	}
}

void tunnels_sources(const struct service *s, struct perch_address ret[PERCH_FAMILIES])
{
	memset(ret, 0, PERCH_FAMILIES * sizeof(*ret));
	for (int family = 0; perch_tunnels(s->model->forward) && family < PERCH_FAMILIES; family++) {
		ret[family] = s->model->tunnel[family];
		if (address_is_none(&ret[family]))
			source_find(s, family, &ret[family]);
	}
}

void tunnels_follow(struct agent *a)
{
	__u32 generation = a->datapath.maps.control->route_generation;
	struct perch_address source[PERCH_FAMILIES];

	if (generation == a->tunnels_generation)
		return;
	a->tunnels_generation = generation;
	for (const struct service *s = a->services; s; s = s->next) {
		if (!s->placed || !perch_tunnels(s->model->forward))
			continue;
		tunnels_sources(s, source);
		tables_tunnel(a->tables, s->id, source);
	}
}
