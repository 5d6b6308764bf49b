// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the ways to forward that do not translate ask of this host: a link or
 * a route to the backends, room for outer headers, an address to begin at. */
#include "doctor.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "../../core/address.h"
#include "../../datapath/host.h"
#include "../interfaces.h"

#define REMEDY 224

/* One backend, and where its packets go. */
struct way {
	struct doctor *d;
	const struct service *s;
	const struct perch_backend *b;
	struct host_route route;
	char text[ADDRESS_TEXT];
};

static unsigned overhead(const struct perch_backend *b)
{
	return (address_is_v4(&b->address) ? 20 : 40) + (b->forward == PERCH_GUE ? 8 : 0);
}

/* Where packets come in; of several interfaces the one with the least room:
 * one beside it with more may be the backends' own. */
static const struct attachment *least(const struct agent *a, int *ret_mtu)
{
	const struct attachment *found = NULL;

	for (const struct attachment *t = a->attachments; t; t = t->next) {
		int mtu = t->ifindex ? host_mtu(t->name) : -1;

		if (mtu <= 0 || (found && mtu >= *ret_mtu))
			continue;
		found = t;
		*ret_mtu = mtu;
	}
	return found;
}

static void room_check(const struct way *w)
{
	char out[IF_NAMESIZE] = "", remedy[REMEDY];
	const struct attachment *in;
	int from = 0, to;

	in = least(w->d->agent, &from);
	if (!in || !if_indextoname(w->route.ifindex, out))
		return;
	to = host_mtu(out);
	if (to <= 0 || from + (int)overhead(w->b) <= to)
		return;
	snprintf(remedy, sizeof(remedy), "ip link set dev %s mtu %d, if the way there takes it; or have %s ask for less: advmss %d "
		 "on its routes to the clients", out, from + (int)overhead(w->b), w->text, to - (int)overhead(w->b) - 60);
	doctor_say(w->d, DOCTOR_WARNING, w->s->name, remedy,
		   "%s: packets of up to %d bytes come in by '%s'; with the %u of a tunnel's header in front they do not fit "
		   "the %d of '%s' towards %s", w->s->name, from, in->name, overhead(w->b), to, out, w->text);
}

static void source_check(const struct way *w)
{
	const struct perch_service *p = &w->d->agent->datapath.maps.services[w->s->id];
	bool v4 = address_is_v4(&w->b->address);

	if (v4 ? !!p->tunnel4 : !address_is_none(&p->tunnel6))
		return;
	doctor_say(w->d, DOCTOR_ERROR, w->s->name, "tunnel: { source: ADDRESS } in the service, or a route with a source",
		   "%s: this host has no %s address to send to %s from: its packets pass to the stack", w->s->name,
		   v4 ? "IPv4" : "IPv6", w->text);
}

/* The backend is this host, which gets the packets as they are. */
static void local_check(const struct way *w)
{
	char listener[ADDRESS_TEXT], remedy[REMEDY];
	struct host_route r;

	for (size_t i = 0; i < w->s->model->n_listen; i++) {
		const struct perch_address *a = &w->s->model->listen[i].address;

		if (host_route(a, &r) || r.way == HOST_LOCAL)
			continue;
		address_format(a, listener);
		snprintf(remedy, sizeof(remedy), "ip addr add %s/%d dev lo", listener, address_is_v4(a) ? 32 : 128);
		doctor_say(w->d, DOCTOR_ERROR, w->s->name, remedy,
			   "%s: backend %s is this host, but %s is not: it does not take packets to it", w->s->name, w->text,
			   listener);
		return;
	}
}

static void way_check(const struct way *w)
{
	if (w->route.way == HOST_LOCAL) {
		local_check(w);
	} else if (w->route.way == HOST_UNREACHABLE) {
		doctor_say(w->d, DOCTOR_ERROR, w->s->name, "a route to it", "%s: there is no route to backend %s", w->s->name,
			   w->text);
	} else if (w->b->forward == PERCH_DSR && w->route.way == HOST_GATEWAY) {
		doctor_say(w->d, DOCTOR_ERROR, w->s->name, "forward: ipip or gue, or a backend on a link of this host",
			   "%s: backend %s is behind a router, and forward: dsr leads no further than a link", w->s->name,
			   w->text);
	} else if (perch_tunnels(w->b->forward)) {
		source_check(w);
		room_check(w);
	}
}

void doctor_modes(struct doctor *d)
{
	const struct agent *a = d->agent;
	const struct maps *m = &a->datapath.maps;

	for (__u32 id = 1; id < m->control->backends_n; id++) {
		const struct perch_backend *b = &m->backends[id];
		struct way w = { .d = d, .b = b };

		if (b->state == PERCH_BACKEND_NONE || !tables_backend_named(b) || !perch_one_sided(b->forward))
			continue;
		w.s = a->by_id[b->version / PERCH_SLOTS];
		if (!w.s || !w.s->model || host_route(&b->address, &w.route))
			continue;
		address_format(&b->address, w.text);
		way_check(&w);
	}
}
