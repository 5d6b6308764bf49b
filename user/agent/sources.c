// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what fullnat needs of this host.  A source that is one of its addresses
 * shares its ports with the host's own connections, which take theirs from the
 * ephemeral range; one that is not has to be led here by somebody.
 */
#include "sources.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "../datapath/host.h"
#include "../datapath/routes.h"
#include "alarms.h"
#include "log.h"
#include "place.h"

#define ALARM "fullnat"
#define PORT_LEAST 1024		/* below are those of servers */
#define PORT_MOST 65535
#define REMEDY 160

/* The wider side of what the host takes for itself. */
static __u32 default_ports(void)
{
	__u16 first, last;

	host_ephemeral(&first, &last);
	if (first > PORT_LEAST && first - PORT_LEAST >= PORT_MOST - last)
		return perch_ports(PORT_LEAST, first - 1);
	return last < PORT_MOST ? perch_ports(last + 1, PORT_MOST) : perch_ports(PORT_LEAST, PORT_MOST);
}

static void source_add(struct perch_sources *to, const struct perch_address *a)
{
	enum perch_family family = address_family(a);
	unsigned number = to->n[PERCH_IPV4] + to->n[PERCH_IPV6];

	if (number == PERCH_SOURCES)
		return;
	to->address[number] = *a;
	to->list[family][to->n[family]++] = number;
}

/* A backend of this family that is not this host itself: the first with a
 * route, else any; NULL: there is none. */
static const struct model_backend *far_backend(const struct service *s, enum perch_family family, struct host_route *ret)
{
	const struct model_backend *any = NULL;

	for (int slot = 0; slot < PERCH_SLOTS; slot++) {
		for (size_t i = 0; i < s->slot[slot].n_backends; i++) {
			const struct model_backend *b = &s->slot[slot].backends[i];

			if (address_family(&b->address) != family || host_route(&b->address, ret) || ret->way == HOST_LOCAL)
				continue;
			if (ret->has_source)
				return b;
			any = b;
		}
	}
	return any;
}

void sources_find(const struct service *s, struct perch_sources *ret)
{
	const struct model_service *m = s->model;
	struct host_route r;

	memset(ret, 0, sizeof(*ret));
	ret->ports = m->source_last ? perch_ports(m->source_first, m->source_last) : default_ports();
	for (size_t i = 0; i < m->n_sources; i++)
		source_add(ret, &m->sources[i]);
	for (int family = 0; family < PERCH_FAMILIES && !m->n_sources; family++)
		if (far_backend(s, family, &r) && r.has_source)
			source_add(ret, &r.source);
}

static bool is_attached(const struct agent *a, __u32 ifindex)
{
	const struct perch_device *d = a->datapath.maps.devices;

	for (int i = 0; i < PERCH_DEVICES; i++)
		if (d[i].in_use && d[i].ifindex == ifindex && d[i].attached)
			return true;
	return false;
}

/* Is there a way to the backends, and back from them?  True: an alarm. */
static bool family_fails(struct agent *a, struct service *s, const struct perch_sources *from, enum perch_family family)
{
	char text[ADDRESS_TEXT], ifname[IF_NAMESIZE] = "?", remedy[REMEDY];
	struct host_route r = { 0 };
	const struct model_backend *b = far_backend(s, family, &r);

	if (!b)
		return false;
	address_format(&b->address, text);
	if (!from->n[family]) {
		alarm_raise(a, ALARM, s->name, s->name, "give this host an address and a route there, or name fullnat.sources",
			    "%s: no source address for %s: its connections are refused", s->name, text);
		return true;
	}
	if (r.way == HOST_UNREACHABLE || is_attached(a, r.ifindex))
		return false;
	if_indextoname(r.ifindex, ifname);
	snprintf(remedy, sizeof(remedy), "interfaces: - { name: %s }", ifname);
	alarm_raise(a, ALARM, s->name, s->name, remedy,
		    "%s: %s is reached by '%s', where perch is not attached: replies to fullnat's sources are lost there",
		    s->name, text, ifname);
	return true;
}

/* Does what is sent to a source come here, and is it ours then? */
static bool source_fails(struct agent *a, struct service *s, const struct perch_address *source, __u32 ports)
{
	char text[ADDRESS_TEXT], ifname[IF_NAMESIZE] = "?", remedy[REMEDY];
	__u32 first = perch_port_first(ports), last = perch_port_last(ports);
	struct host_route r;

	address_format(source, text);
	if (routes_is_local(source)) {
		if (!host_ephemeral_has(first, last))
			return false;
		snprintf(remedy, sizeof(remedy), "sysctl -w net.ipv4.ip_local_reserved_ports=%u-%u (with those that are there), or other fullnat.ports",
			 first, last);
		alarm_raise(a, ALARM, s->name, s->name, remedy,
			    "%s: ports %u-%u of %s are also those of this host's own connections (net.ipv4.ip_local_port_range)",
			    s->name, first, last, text);
		return true;
	}
	if (host_route(source, &r) || r.way != HOST_ON_LINK || host_proxies(source, r.ifindex) == 1)
		return false;
	if_indextoname(r.ifindex, ifname);
	snprintf(remedy, sizeof(remedy), "ip addr add %s/%d dev %s, or have it routed to this host", text,
		 address_is_v4(source) ? 32 : 128, ifname);
	alarm_raise(a, ALARM, s->name, s->name, remedy,
		    "%s: source %s is in the network of '%s' but no address of this host, and nobody answers %s for it", s->name,
		    text, ifname, address_is_v4(source) ? "ARP" : "neighbour discovery");
	return true;
}

/* One alarm at a time: what is worst comes first. */
static void sources_check(struct agent *a, struct service *s, const struct perch_sources *from)
{
	for (int family = 0; family < PERCH_FAMILIES; family++)
		if (family_fails(a, s, from, family))
			return;
	for (int i = 0; i < from->n[PERCH_IPV4] + from->n[PERCH_IPV6]; i++)
		if (source_fails(a, s, &from->address[i], from->ports))
			return;
	alarm_clear(a, ALARM, s->name);
}

/* Are these what new flows get now? */
static bool sources_placed(const struct agent *a, const struct service *s, const struct perch_sources *from)
{
	const struct perch_sources *there = &a->datapath.maps.sources[s->id];

	if (there->ports != from->ports || memcmp(there->n, from->n, sizeof(from->n)))
		return false;
	for (int family = 0; family < PERCH_FAMILIES; family++)
		for (int i = 0; i < from->n[family]; i++)
			if (memcmp(&there->address[there->list[family][i]], &from->address[from->list[family][i]],
				   sizeof(from->address[0])))
				return false;
	return true;
}

void sources_watch(struct agent *a)
{
	struct perch_sources from;
	char why[AGENT_WHY];

	for (struct service *s = a->services; s; s = s->next) {
		if (!s->placed || s->model->forward != PERCH_FULLNAT)
			continue;
		sources_find(s, &from);
		if (!sources_placed(a, s, &from) && place_service(a, s, why))
			log_error("%s", why);
		sources_check(a, s, &from);
	}
}
