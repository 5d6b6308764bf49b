// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What the connections of now tell: backends whose answers do not come back
 * through this host, addresses that nobody reaches, weights too small for the
 * clients there are.  One walk over the flow table for all of it.
 */
#include "doctor.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../../datapath/flows.h"
#include "../../datapath/host.h"
#include "../clock.h"
#include "../evidence.h"
#include "../api/view.h"

#define PATIENCE_NS NS_PER_S	/* a SYN-ACK may take so long */
#define RECENT_NS (60 * NS_PER_S)
#define SILENT_LEAST 3		/* connects, before silence means something */
#define CANARY_CLIENTS 20	/* fewer of them, and the share is coarse */
#define CLIENTS (1u << 19)	/* room of the set; half of it is used at most */
#define REMEDY 200

struct backend_traffic {
	__u32 silent;		/* TCP connects without an answer */
	__u32 answered;		/* of the last minute */
};

struct traffic {
	const struct agent *agent;
	__u64 now;
	struct backend_traffic *backend;	/* by element */
	__u32 *listener;	/* flows, by element */
	__u32 *clients;		/* distinct ones, by service */
	__u64 *seen;		/* open addressing: service and client, hashed */
	size_t n_seen;
};

static __u64 mix(__u64 h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	return h ^ h >> 31;
}

/* What affinity takes for one client: an address, of IPv6 the /64. */
static __u64 client_hash(unsigned service, const struct perch_address *a)
{
	__u64 high = (__u64)a->word[0] << 32 | a->word[1], low = (__u64)a->word[2] << 32 | a->word[3];

	return mix(mix(high + service) + (address_is_v4(a) ? low : 0)) | 1;
}

static void client_note(struct traffic *t, unsigned service, const struct perch_address *a)
{
	__u64 h = client_hash(service, a);
	size_t at = h >> 8 & (CLIENTS - 1);

	if (t->n_seen >= CLIENTS / 2)
		return;		/* more than any weight needs */
	while (t->seen[at] && t->seen[at] != h)
		at = (at + 1) & (CLIENTS - 1);
	if (t->seen[at])
		return;
	t->seen[at] = h;
	t->n_seen++;
	t->clients[service]++;
}

static void backend_note(struct traffic *t, const struct flow_copy *c)
{
	struct backend_traffic *b = &t->backend[c->flow.backend];
	__u64 age = t->now > c->flow.created ? t->now - c->flow.created : 0;

	if (c->flow.key.protocol != IPPROTO_TCP || c->class == PERCH_ALIAS ||
	    perch_one_sided(t->agent->datapath.maps.backends[c->flow.backend].forward))
		return;
	if (c->flow.flags & PERCH_FLOW_ANSWERED)
		b->answered += age < RECENT_NS;
	else if (c->class == PERCH_EMBRYONIC && age > PATIENCE_NS && !(c->flow.flags & PERCH_FLOW_RESET))
		b->silent++;
}

static bool flow_note(void *arg, const struct flow_copy *c)
{
	struct traffic *t = arg;
	const struct maps *m = &t->agent->datapath.maps;
	const struct perch_control *control = m->control;
	__u16 listener = c->flow.key.listener, service;

	if (c->flow.backend >= control->backends_n || listener >= control->listeners_n)
		return true;
	service = m->listeners[listener].service;
	backend_note(t, c);
	t->listener[listener]++;
	if (service < control->services)
		client_note(t, service, &c->flow.key.client);
	return true;
}

void traffic_free(struct traffic *t)
{
	if (!t)
		return;
	free(t->backend);
	free(t->listener);
	free(t->clients);
	free(t->seen);
	free(t);
}

struct traffic *traffic_look(const struct agent *a)
{
	const struct perch_control *c = a->datapath.maps.control;
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->agent = a;
	t->now = clock_now();
	t->backend = calloc(c->backends_n, sizeof(*t->backend));
	t->listener = calloc(c->listeners_n, sizeof(*t->listener));
	t->clients = calloc(c->services, sizeof(*t->clients));
	t->seen = calloc(CLIENTS, sizeof(*t->seen));
	if (!t->backend || !t->listener || !t->clients || !t->seen) {
		traffic_free(t);
		return NULL;
	}
	flows_walk(&a->datapath.maps, flow_note, t);
	return t;
}

/* "on 10.2.0.12: ip route replace default via 10.2.0.1" */
static void replies_remedy(const struct perch_backend *b, char out[REMEDY])
{
	char backend[ADDRESS_TEXT], own[ADDRESS_TEXT];
	struct host_route r = { .way = HOST_UNREACHABLE };

	address_format(&b->address, backend);
	host_route(&b->address, &r);
	if (r.way == HOST_LOCAL)
		snprintf(out, REMEDY, "see that it listens on %s and that this host's firewall lets clients in to it", backend);
	else if (r.way == HOST_ON_LINK && r.has_source)
		snprintf(out, REMEDY, "route the backends through here: on %s, ip %sroute replace default via %s", backend,
			 address_is_v4(&b->address) ? "" : "-6 ", address_format(&r.source, own));
	else
		snprintf(out, REMEDY, "route the replies of %s to its clients through this host", backend);
}

static void replies_say(struct doctor *d, enum doctor_level level, const struct perch_backend *b, __u64 forwarded)
{
	char text[ADDRESS_TEXT], remedy[REMEDY];

	address_port_format(&b->address, b->port, text);
	replies_remedy(b, remedy);
	doctor_say(d, level, text, remedy, "%s: %llu SYN forwarded, 0 SYN-ACK seen: its replies bypass this host, or it is silent",
		   text, (unsigned long long)forwarded);
}

/* Connects that are waiting now, and none answered beside them, or none ever.
 * A backend that refuses has answered, and so has one that is down by its
 * health check been told of. */
void doctor_replies(struct doctor *d)
{
	const struct maps *m = &d->agent->datapath.maps;

	for (__u32 id = 1; d->traffic && id < m->control->backends_n; id++) {
		const struct backend_traffic *now = &d->traffic->backend[id];
		const struct perch_backend *b = &m->backends[id];
		struct perch_counters c = view_counters(d->agent, id);
		bool never = c.opened >= SILENT_LEAST && c.connect_failures + now->silent >= c.opened && !now->answered;

		if (b->state == PERCH_BACKEND_NONE || b->held & PERCH_HELD_HEALTH || perch_one_sided(b->forward))
			continue;
		if (now->silent >= SILENT_LEAST && !now->answered)
			replies_say(d, DOCTOR_ERROR, b, never ? c.opened : now->silent);
		else if (never)
			replies_say(d, DOCTOR_WARNING, b, c.opened);
	}
}

static __u64 flows_to(const struct doctor *d, const struct perch_address *a)
{
	const struct maps *m = &d->agent->datapath.maps;
	__u64 n = 0;

	for (__u32 i = 1; d->traffic && i < m->control->listeners_n; i++)
		if (m->listeners[i].in_use && !memcmp(&m->listeners[i].address, a, sizeof(*a)))
			n += d->traffic->listener[i];
	return n;
}

/* Proxied by an entry, or for a whole interface. */
static bool is_proxied(const struct perch_address *a, __u32 ifindex, const char *ifname)
{
	char path[96];

	if (host_proxies(a, ifindex) == 1)
		return true;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/proxy_arp_pvlan", ifname);
	return address_is_v4(a) && host_sysctl(path, 0);
}

static void announced_check(struct doctor *d, const struct service *s, const struct perch_address *a)
{
	char text[ADDRESS_TEXT], ifname[IF_NAMESIZE] = "", remedy[REMEDY];
	struct host_route r;

	if (host_route(a, &r) || r.way == HOST_LOCAL || flows_to(d, a))
		return;
	address_format(a, text);
	if (r.way == HOST_ON_LINK && if_indextoname(r.ifindex, ifname) && !is_proxied(a, r.ifindex, ifname)) {
		snprintf(remedy, sizeof(remedy), "ip addr add %s/%d dev %s, or have it routed to this host", text,
			 address_is_v4(a) ? 32 : 128, ifname);
		doctor_say(d, DOCTOR_ERROR, s->name, remedy,
			   "%s: %s is in the network of '%s' but no address of this host, and nobody answers %s for it",
			   s->name, text, ifname, address_is_v4(a) ? "ARP" : "neighbour discovery");
	} else if (r.way != HOST_ON_LINK) {
		doctor_say(d, DOCTOR_NOTICE, s->name, NULL,
			   "%s: %s is no address of this host, and no connection to it is here now: it works when the "
			   "routers before this host send it here", s->name, text);
	}
}

/* An address that stands in several listeners is looked at once. */
static void announced_of(struct doctor *d, const struct service *s, const struct perch_endpoint *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool before = false;

		for (size_t k = 0; k < i; k++)
			before |= !memcmp(&e[k].address, &e[i].address, sizeof(e[i].address));
		if (!before)
			announced_check(d, s, &e[i].address);
	}
}

void doctor_announced(struct doctor *d)
{
	for (const struct service *s = d->agent->services; s; s = s->next) {
		announced_of(d, s, s->model->listen, s->model->n_listen);
		for (int i = 0; i < PERCH_SLOTS; i++)
			announced_of(d, s, s->slot[i].doors, s->slot[i].n_doors);
	}
}

/* A share that is small: the canary's, or what is left for the others. */
static __u32 smaller_share(const struct service *s)
{
	__u32 rest = PERCH_SHARE_ALL - s->canary_share;

	return s->canary_share < rest ? s->canary_share : rest;
}

void doctor_clients(struct doctor *d)
{
	for (const struct service *s = d->agent->services; d->traffic && s; s = s->next) {
		__u32 clients = d->traffic->clients[s->id], share = smaller_share(s);

		if (s->model->affinity != PERCH_AFFINITY_CLIENT || service_rolled_back(s) || !share || !clients ||
		    (__u64)clients * share >= CANARY_CLIENTS * (__u64)PERCH_SHARE_ALL)
			continue;
		doctor_say(d, DOCTOR_WARNING, s->name, "affinity: connection where the service can bear it; else a larger weight",
			   "%s: %u distinct client%s for a weight of %.10g %%: about %.1f of them get it, so its real share is "
			   "coarse", s->name, clients, clients == 1 ? "" : "s", share / 100.0,
			   (double)clients * share / PERCH_SHARE_ALL);
	}
}
